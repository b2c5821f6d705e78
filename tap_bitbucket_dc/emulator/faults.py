"""What can go wrong between a server and its client, as data.

::

    bitbucket.faults += [BUSY] * 4
    bitbucket.faults.append(HTML_502.on("start=100", times=None))
    bitbucket.faults.append(Fault(kind="replace", replace=lambda body: {**body, "values": 1}))

The first fault that matches a request is used, ``times`` times, and then gone.
No recording of a 429 or a 503 of Bitbucket is known: their bodies here are made up.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tap_bitbucket_dc.emulator.exchange import HTML, JSON, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from tap_bitbucket_dc.emulator.exchange import Json, Request

Kind = Literal["answer", "redirect", "replace", "reset", "cut", "delay", "hang", "drip"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, ``times`` times; None: for ever.

    Attributes:
        match: Of the requests it happens to: a pattern searched for in path and query as they
            were sent, or a function that tells. The empty pattern is in every request.
        kind: ``answer``, ``redirect``: status, headers and body stand for Bitbucket's answer.
            ``replace``: the JSON of the true answer is changed by ``replace``, into other JSON
            or into bytes that are none.
            ``reset``: the connection is reset without an answer.
            ``cut``: the true answer breaks off in the middle of its body.
            ``delay``: the true answer comes ``seconds`` later.
            ``hang``: nothing is answered for ``seconds``, None: until the server stops.
            ``drip``: of the true answer one byte comes every ``seconds``.
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

    def on(self, match: str | Callable[[Request], bool], times: int | None = 1) -> Self:
        """Return the same fault for other requests."""
        return dataclasses.replace(self, match=match, times=times)

    def matches(self, request: Request) -> bool:
        """Tell whether it happens to this request."""
        if callable(self.match):
            return self.match(request)
        return re.search(self.match, request.target) is not None

    def answer(self) -> Answer:
        """Return what is answered in Bitbucket's place."""
        return Answer(self.status, self.body, {"Content-Type": self.content_type, **self.headers})


def redirect(location: str, match: str = "", times: int | None = 1) -> Fault:
    """Return the fault that sends a request elsewhere."""
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
