"""A server whose every byte is written by a test: for answers that no HTTP library would send."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[socket.socket, str], object]
    """Gets the connection and the target of the request, and sends what it likes."""

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-AUSERNAME: ada\r\n"
PROJECT = {"id": 1, "key": "PAY", "name": "Payments"}
LEDGER = {"id": 7, "slug": "ledger", "project": PROJECT}
COMMIT = "a" * 40


def page(*rows: Any, **more: Any) -> dict[str, Any]:
    """Return a last page."""
    return {"values": list(rows), "isLastPage": True, **more}


BODIES: dict[str, Any] = {
    "/application-properties": {"version": "9.4.0", "displayName": "Bitbucket"},
    "/projects": page(PROJECT),
    "/repos": page(LEDGER),
    "/branches/default": {"id": "refs/heads/main", "displayId": "main", "latestCommit": COMMIT},
    "/commits": page({"id": COMMIT, "parents": []}),
    "/profile/recent/repos": page(),
}


def send_json(connection: socket.socket, body: Any, head: str = HEAD) -> None:
    """Send a JSON value as the whole answer."""
    send_body(connection, json.dumps(body).encode(), head)


def send_body(connection: socket.socket, body: bytes, head: str = HEAD) -> None:
    """Send the whole answer, and end the connection."""
    lines = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall(lines.encode("utf-8", "surrogateescape") + body)


def honest(connection: socket.socket, target: str, **changes: Any) -> None:
    """Answer as a small Bitbucket; ``changes`` replaces bodies, by the last word of their path."""
    path = target.partition("?")[0]
    for end in sorted(BODIES, key=len, reverse=True):
        if path.endswith(end):
            send_json(connection, changes.get(end.rpartition("/")[2], BODIES[end]))
            return
    send_json(connection, {}, HEAD.replace("200 OK", "404 Not Found"))


class Raw:
    """Listens on 127.0.0.1 and has a function answer each request."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.targets: list[str] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=[connection]))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        with contextlib.suppress(OSError), connection:
            while b"\r\n\r\n" not in head:
                if not (more := connection.recv(65536)):
                    return
                head += more
            target = head.split()[1].decode()
            self.targets.append(target)
            self._answer(connection, target)
