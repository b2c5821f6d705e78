"""However slowly a server answers, the request ends after `request_timeout`."""

from __future__ import annotations

import gzip
import threading
from typing import TYPE_CHECKING

import pytest

from tests import singer
from tests.contract.raw import HEAD, Raw

if TYPE_CHECKING:
    import socket

    from tests.contract.raw import Answer

TIMEOUT = 0.5
LONGEST = 30  # seconds after which a server gives up; a run that waits for it has failed
STATUS = b"HTTP/1.1 200 OK\r\n"
CHUNKED = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
ZIPPED = f"{HEAD}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# Each row: what the server sends first, and what it then sends again and again.
DRAWN_OUT = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the status line": (b"HTTP/1.1 200 ", b"O"),
    "a header": (b"%sX-A: " % STATUS, b"O"),
    "header lines": (STATUS, b"A: b\r\n"),
    "a chunk size": (CHUNKED, b"0"),
    "a chunk extension": (b"%s5;" % CHUNKED, b"x"),
    "tiny chunks": (CHUNKED, chunk(b" ")),
    "trailers": (b"%s2\r\n{}\r\n0\r\n" % CHUNKED, b"A: b\r\n"),
    "empty gzip members": (ZIPPED, chunk(gzip.compress(b""))),
    "empty gzip blocks": (ZIPPED + chunk(gzip.compress(b"")[:10]), chunk(b"\0\0\0\xff\xff")),
    "a file name in gzip": (ZIPPED + chunk(b"\x1f\x8b\x08\x08\0\0\0\0\0\3"), chunk(b"A")),
    "a body of known length": (f"{HEAD}Content-Length: 999999\r\n\r\n".encode(), b" "),
    "a body until the end": (f"{HEAD}\r\n".encode(), b" "),
    "nothing": (b"", b""),
}


def drawing_out(first: bytes, again: bytes, over: threading.Event, *, flood: bool) -> Answer:
    def answer(connection: socket.socket, _: str) -> None:
        connection.sendall(first)
        while not over.wait(0 if flood else 0.02):
            connection.sendall(again * (1000 if flood else 1))

    return answer


@pytest.mark.parametrize("flood", [False, True], ids=["bit by bit", "as a flood"])
@pytest.mark.parametrize("kind", DRAWN_OUT)
def test_an_answer_is_over_in_time(kind: str, *, flood: bool) -> None:
    over = threading.Event()
    late = threading.Timer(LONGEST, over.set)
    late.start()
    with Raw(drawing_out(*DRAWN_OUT[kind], over, flood=flood)) as server:
        output = singer.sync(
            {"base_url": server.url, "token": "x", "request_timeout": TIMEOUT, "max_retries": 0}
        )
        assert not over.is_set()
        late.cancel()
        over.set()
    assert output.exit_code == 1
    # A fast stream may be refused before the timeout, because of its headers or its size.
    refused = {"unreachable", "unexpected_answer"} if flood else set()
    assert output.code in {"unavailable", *refused}, output.log
    assert "Traceback" not in output.log
