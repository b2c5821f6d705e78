"""How many requests were sent, and for each endpoint, how long its answers took.

Names of projects and repositories are replaced in the addresses:
``/projects/{project_key}/repos/{repository_slug}/commits``.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import NamedTuple

NAMES = {1: "{project_key}", 3: "{repository_slug}"}  # of /projects/PAY/repos/ledger/commits


class Requests(NamedTuple):
    """The answered requests to one endpoint, retries included."""

    answers: int = 0
    seconds: float = 0.0
    """Sum of the times until the last byte of each answer."""
    failed: int = 0
    """Those of them answered with 4xx or 5xx."""


class Usage:
    """Counts requests. Safe to use from many threads."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._found: dict[str, Requests] = {}
        self.requests = 0
        """Requests sent so far, retries and redirects included."""
        self.throttled = 0
        """Answers so far that asked for fewer requests (429)."""

    def sent(self) -> None:
        """Count a request."""
        with self._counting:
            self.requests += 1

    def answered(self, url: str, status: int, seconds: float) -> None:
        """Count an answer."""
        endpoint = _endpoint(url)
        with self._counting:
            answers, total, failed = self._found.get(endpoint, Requests())
            failed += status >= HTTPStatus.BAD_REQUEST
            self._found[endpoint] = Requests(answers + 1, total + seconds, failed)
            self.throttled += status == HTTPStatus.TOO_MANY_REQUESTS

    def by_endpoint(self) -> dict[str, Requests]:
        """Return the requests that were answered so far, by their endpoint."""
        with self._counting:
            return dict(self._found)


def _endpoint(url: str) -> str:
    _, _, path = url.partition("?")[0].partition("/rest/")
    parts = path.split("/")[2:]  # without the API's name and version
    if parts[:1] == ["projects"]:
        parts = [NAMES.get(place, part) for place, part in enumerate(parts)]
    return "/" + "/".join(parts)
