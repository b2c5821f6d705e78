"""How many requests went to each endpoint, and how long their answers took.

Names of projects and repositories are replaced in the addresses:
``/projects/{project_key}/repos/{repository_slug}/commits``.
"""

from __future__ import annotations

import re
import threading
from http import HTTPStatus
from typing import NamedTuple

_NAMES = re.compile(r"(/projects/)[^/]+(?:(/repos/)[^/]+)?")
_VERSION = re.compile(r".*?/rest/\w+/[^/]+(?=/)")


class Requests(NamedTuple):
    """The answered requests to one endpoint, retries included."""

    answers: int = 0
    seconds: float = 0.0
    """Sum of the times until the last byte of each answer."""
    failed: int = 0
    """Those of them answered with 4xx or 5xx."""


class Usage:
    """Counts requests by endpoint. Safe to use from many threads."""

    def __init__(self) -> None:
        """Start with none."""
        self._counting = threading.Lock()
        self._found: dict[str, Requests] = {}

    def add(self, url: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        endpoint = _endpoint(url)
        with self._counting:
            answers, total, failed = self._found.get(endpoint, Requests())
            failed += status >= HTTPStatus.BAD_REQUEST
            self._found[endpoint] = Requests(answers + 1, total + seconds, failed)

    def by_endpoint(self) -> dict[str, Requests]:
        """Return the requests so far, by their endpoint."""
        with self._counting:
            return dict(self._found)


def _endpoint(url: str) -> str:
    path = _VERSION.sub("", url.partition("?")[0], count=1)
    return _NAMES.sub(_without_names, path, count=1)


def _without_names(match: re.Match[str]) -> str:
    return f"{match[1]}{{project_key}}" + (f"{match[2]}{{repository_slug}}" if match[2] else "")
