"""What goes wrong with single requests in a world: temporary and lasting faults, and lies."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator import (
    BUSY,
    CUT,
    EMPTY_PAGE,
    HTML_502,
    LAST_TOO_EARLY,
    RESET,
    START_IGNORED,
    START_IGNORED_AND_LAST,
    TOO_MANY,
    WITHOUT_FIRST_ROW,
    WITHOUT_LAST_ROW,
    WITHOUT_MIDDLE_ROW,
    WITHOUT_PARENTS,
    Fault,
    commits_of,
)

if TYPE_CHECKING:
    from tap_bitbucket_dc.emulator import Request

SOON = {"Retry-After": "0.001"}  # seconds
NOT_PERMITTED = (
    b'{"errors":[{"context":null,"message":"You are not permitted to access this resource",'
    b'"exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}'
)
EXPIRED = (
    b'{"errors":[{"context":null,"message":"Authentication failed.",'
    b'"exceptionName":"com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException"}]}'
)
JSON = "application/json;charset=UTF-8"

PASSING = [
    dataclasses.replace(TOO_MANY, headers=SOON),
    dataclasses.replace(BUSY, headers=SOON),
    HTML_502,
    RESET,
    CUT,
]
"""Temporary: a retry of the request succeeds."""

LASTING = [
    Fault(status=404, body=b'{"errors":[{"message":"?"}]}', content_type=JSON),
    Fault(status=401, body=NOT_PERMITTED, content_type=JSON, headers={"X-AUSERNAME": "admin"}),
    Fault(status=401, body=EXPIRED, content_type=JSON),
]
"""Not retried: the repository fails, or is inaccessible, or the run ends."""


LIES = [
    EMPTY_PAGE,
    LAST_TOO_EARLY,
    START_IGNORED,
    START_IGNORED_AND_LAST,
    WITHOUT_FIRST_ROW,
    WITHOUT_MIDDLE_ROW,
    WITHOUT_LAST_ROW,
]
"""Wrong answers with status 200. A run has at most one of them: the tap asks Bitbucket once more
for what is missing, and a second lie could confirm the first."""

NO_BRANCH = Fault(status=204)
"""The server claims that there is no default branch. To a request for commits, this is not a valid
answer."""


def later_lies(others: list[str]) -> list[Fault]:
    """Return further lies, kept out of ``LIES`` so that known seeds still draw the same worlds.

    Args:
        others: ``KEY/slug`` of repositories whose commits may be sent instead of the true ones.
    """
    return [WITHOUT_PARENTS, NO_BRANCH, *map(commits_of, others)]


def is_lie(fault: Fault) -> bool:
    """Return whether a fault makes an answer wrong without making it an error."""
    return fault.kind == "replace" or fault.status == NO_BRANCH.status


class Nth:
    """Matches the n-th request about a repository, counted from 1, and no other."""

    def __init__(self, name: str, number: int) -> None:
        self._name = name
        self._left = number

    def __call__(self, request: Request) -> bool:
        self._left -= is_about(request, self._name)
        return self._left == 0 and is_about(request, self._name)


def is_about(request: Request, name: str) -> bool:
    """Return whether a request asks for something inside a repository: ``PAY/ledger``."""
    key, _, slug = name.partition("/")
    return f"/projects/{key}/repos/{slug}/" in request.path
