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
    """Return JSON as it is sent: in UTF-8, without spaces."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


@dataclass
class Request:
    """One request; what is None is not known yet, or never will be.

    Attributes:
        method: GET, mostly.
        target: Path and query as they were sent, with everything percent-encoded.
        headers: As sent; names in lower case.
        started: When it arrived, by ``time.monotonic()``.
        finished: When its answer was out, by ``time.monotonic()``.
        status: Of the answer; None where the connection was broken off without one.
        user: The login name it was answered for, None for anonymous.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    started: float
    finished: float | None = None
    status: int | None = None
    user: str | None = None
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Take the target apart: path as sent, query decoded."""
        parts = urlsplit(self.target)
        self.path = parts.path
        self.query = dict(reversed(parse_qsl(parts.query, keep_blank_values=True)))


@dataclass
class Answer:
    """Status, body and headers of an answer, ``Content-Type`` among them."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
