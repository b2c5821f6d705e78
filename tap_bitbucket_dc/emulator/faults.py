"""What can go wrong between a server and its client, as data. For wrong pages see ``lies``.

::

    bitbucket.faults += [BUSY] * 4
    bitbucket.faults.append(HTML_502.on("start=100", times=None))
    bitbucket.faults.append(Fault(kind="replace", replace=lambda body: {**body, "values": 1}))

The first fault in the list that matches a request happens to it. A fault that has happened
``times`` times is removed. Below, the *true answer* is the one that is sent without a fault.

No recording of a 429 or a 503 of Bitbucket is known, so their bodies here are invented.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from tap_bitbucket_dc.emulator.exchange import HTML, JSON, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_bitbucket_dc.emulator.exchange import Json, Request

Kind = Literal["answer", "redirect", "replace", "reset", "cut", "delay", "hang", "drip"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        match: Which requests it happens to: a regular expression to search for in path and query
            as they were sent, or a function of the request. The empty one matches every request.
        status: The status of an ``answer`` or ``redirect``.
        headers: The headers of an ``answer`` or ``redirect``.
        body: The body of an ``answer`` or ``redirect``.
        content_type: The type of ``body``.
        times: How many requests it happens to; None for no limit.
        kind: ``answer``, ``redirect``: status, headers and body take the place of the true answer.
            ``replace``: the true answer is changed by ``ask`` or ``replace``, or by both.
            ``reset``: the connection is reset without an answer.
            ``cut``: the connection is closed in the middle of the true answer's body.
            ``delay``: the true answer is sent ``seconds`` later.
            ``hang``: nothing is sent for ``seconds`` (if None, until the server stops), and then
            the connection is closed.
            ``drip``: the true answer's body is sent one byte at a time, ``seconds`` apart.
        seconds: The time for ``delay``, ``hang`` and ``drip``.
        replace: Turns the JSON of the true answer into other JSON, or into bytes of any kind.
        ask: Turns the path and query of the request into those that are answered instead. The
            log keeps the original ones.
    """

    match: str | Callable[[Request], bool] = ""
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = HTML
    times: int | None = 1
    kind: Kind = "answer"
    seconds: float | None = None
    replace: Callable[[Json], Json | bytes] | None = None
    ask: Callable[[str], str] | None = None

    def on(self, match: str | Callable[[Request], bool], times: int | None = 1) -> Self:
        """Return the same fault for the requests that match."""
        return dataclasses.replace(self, match=match, times=times)

    def matches(self, request: Request) -> bool:
        """Tell whether the fault matches a request."""
        if callable(self.match):
            return self.match(request)
        return re.search(self.match, request.target) is not None

    def answer(self) -> Answer:
        """Return the answer that takes the place of the true one."""
        return Answer(self.status, self.body, {"Content-Type": self.content_type, **self.headers})


def redirect(location: str, match: str = "", times: int | None = 1) -> Fault:
    """Return the fault that redirects a request to another location."""
    return Fault(match, 302, {"Location": location}, times=times, kind="redirect")


BUSY = Fault(
    status=503,
    content_type=JSON,
    body=b'{"errors":[{"context":null,"message":"Bitbucket is currently under load and is not able '
    b'to service your request","exceptionName":'
    b'"com.atlassian.bitbucket.throttle.ResourceBusyException"}]}',
)
HTML_502 = Fault(status=502, body=b"<html><body><h1>502 Bad Gateway</h1></body></html>")
TOO_MANY = Fault(
    status=429,
    content_type=JSON,
    headers={"Retry-After": "1"},
    body=b'{"errors":[{"context":null,"message":"Too many requests","exceptionName":null}]}',
)
RESET = Fault(kind="reset")
CUT = Fault(kind="cut")
LOGIN_PAGE = Fault(
    status=200, body=b"<!DOCTYPE html><html><title>Log in - Bitbucket</title></html>"
)
