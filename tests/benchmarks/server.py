"""A server so fast that it is not what is measured; it runs in a process of its own.

All answers are prepared beforehand, in a dictionary. The server listens on 127.0.0.1 only, prints
its address, and ends when its standard input is closed, and so with the process that started it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from tests.benchmarks.world import World, answers, counted, nothing_left

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

COUNTS = "/counts"
TOO_MANY = b'{"errors":[{"context":null,"message":"Rate limited","exceptionName":null}]}'


class Counts(NamedTuple):
    """What the server has counted since it was last asked."""

    requests: int
    refused: int
    """How many of these were answered with 429."""
    at_once: int
    """Most requests under way at the same time."""


class Site:
    """Answers requests, and counts them."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self._world = world
        self._loop = loop
        self._pages = {
            path.encode(): [_response(page) for page in pages]
            for path, pages in answers(world).items()
        }
        self._nothing_left = _response(nothing_left())
        self._counted = _response(counted(world.commits))
        self._not_found = _response(b'{"errors":[]}', "404 Not Found")
        self._too_many = _response(TOO_MANY, "429 Too Many Requests", "Retry-After: 1\r\n")
        self._under_way = self._requests = self._refused = self._most = 0
        self._tokens = float(world.bucket)
        self._filled_at = time.monotonic()

    def ask(self, target: bytes, write: Callable[[bytes], None]) -> None:
        """Write the answer, after the latency."""
        if target == COUNTS.encode():
            counts = Counts(self._requests, self._refused, self._most)
            write(_response(json.dumps(counts).encode()))
            self._forget()
            return
        self._requests += 1
        self._under_way += 1
        self._most = max(self._most, self._under_way)
        if self._world.latency:
            self._loop.call_later(self._world.latency, self._answer, target, write)
        else:
            self._answer(target, write)

    def _answer(self, target: bytes, write: Callable[[bytes], None]) -> None:
        self._under_way -= 1
        if self._world.per_second and not self._takes_token():
            self._refused += 1
            write(self._too_many)
        else:
            write(self._find(target))

    def _find(self, target: bytes) -> bytes:
        path, _, text = target.partition(b"?")
        pages = self._pages.get(path)
        if pages is None:
            return self._not_found
        query = parse_qs(text)
        if b"withCounts" in query:
            return self._counted
        number = int(query.get(b"start", [b"0"])[0]) // self._world.cap
        if b"since" in query or number >= len(pages):
            return self._nothing_left
        return pages[number]

    def _takes_token(self) -> bool:
        now = time.monotonic()
        filled = self._tokens + (now - self._filled_at) * self._world.per_second
        self._tokens, self._filled_at = min(filled, self._world.bucket), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _forget(self) -> None:
        self._requests = self._refused = self._most = 0
        self._tokens = float(self._world.bucket)


class Connection(asyncio.Protocol):
    """One connection, kept alive; requests have no body, because all are GET."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._received = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport, to which answers are written."""
        self._transport = transport  # type: ignore[assignment] # of a socket

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            target = bytes(self._received[:end].split(b" ", 2)[1])
            del self._received[: end + 4]
            self._site.ask(target, self._write)

    def _write(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


class Server:
    """A running server; ``with`` stops it."""

    def __init__(self, world: World) -> None:
        """Start the server, and wait until it answers."""
        self.world = world
        command = [sys.executable, "-m", __name__, json.dumps(world)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()

    def counts(self) -> Counts:
        """Return the counts; then reset them, and fill the bucket of the rate limit."""
        with urllib.request.urlopen(f"{self.url}{COUNTS}") as answer:  # noqa: S310 our own
            return Counts(*json.load(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._process.communicate()


def _response(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json;charset=UTF-8\r\n"
        f"X-AUSERNAME: abyron\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def serve(world: World) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    site = Site(world, loop)
    server = await loop.create_server(lambda: Connection(site), "127.0.0.1", 0)
    port: Any = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)  # noqa: T201 whoever started it reads it
    over = asyncio.Event()
    loop.add_reader(sys.stdin, over.set)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(serve(World(*json.loads(sys.argv[1]))))
