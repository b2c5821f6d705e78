"""A request as it was received and the answer to it. Knows nothing of Bitbucket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

HTML = "text/html;charset=UTF-8"
JSON = "application/json;charset=UTF-8"


def encoded(body: Json) -> bytes:
    """Return JSON as Bitbucket sends it: in UTF-8, without spaces."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


@dataclass
class Request:
    """One request as it was received and, later, how it was answered.

    Attributes:
        method: The HTTP method.
        target: Path and query as they were sent, percent-encoded.
        headers: The headers as they were sent, their names in lower case.
        started: When it arrived, by ``time.monotonic()``.
        finished: When its answer was about to be sent, by ``time.monotonic()``; None until then.
        status: The status of its answer; None until then, or if the connection ended without one.
        user: The login name of the caller; None if the caller is anonymous.
        number: The number of the request in order of arrival, counted from 1.
        path: The path as it was sent.
        query: The query, decoded. If a parameter is given twice, its first value counts.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    started: float
    finished: float | None = None
    status: int | None = None
    user: str | None = None
    number: int = 0
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Split the target into path and query."""
        parts = urlsplit(self.target)
        self.path = parts.path
        self.query = dict(reversed(parse_qsl(parts.query, keep_blank_values=True)))


@dataclass
class Answer:
    """The status, body and headers of an answer, ``Content-Type`` included."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
