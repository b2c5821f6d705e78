"""The server as tests use it: its options, its log of requests, and how it starts and stops.

Knows nothing of git, and of HTTP only that there are requests and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tap_bitbucket_dc.emulator.connections import Server
from tap_bitbucket_dc.emulator.options import Options
from tap_bitbucket_dc.emulator.traffic import Traffic

if TYPE_CHECKING:
    from tap_bitbucket_dc.emulator.exchange import Request


class Bitbucket(Options):
    """A Bitbucket Data Center backed by the git repositories in a directory.

    It answers requests inside the ``with`` block. Its arguments are those of ``Options``; all of
    them are attributes, and may be changed while it runs.
    """

    def __post_init__(self) -> None:
        """Prepare everything except the socket, which ``with`` opens."""
        super().__post_init__()
        self._traffic = Traffic(self)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        """Start answering requests.

        Raises:
            SameIdError: Two projects or two repositories have the same id.
            OSError: The port is taken.
        """
        self.projects.repositories(*self.projects.all())
        self._traffic.stopping.clear()
        self._server = Server(self, self._traffic)
        self.port = self._server.server_port
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop at once, even if requests are under way."""
        self._traffic.stopping.set()
        if self._server:
            self._server.stop()

    @property
    def requests(self) -> list[Request]:
        """Every request so far, including those that are not answered yet."""
        return self._traffic.requests

    @property
    def most_at_once(self) -> int:
        """The highest number of requests that were under way at the same time."""
        return self._traffic.most_at_once

    @most_at_once.setter
    def most_at_once(self, most: int) -> None:
        self._traffic.most_at_once = most
