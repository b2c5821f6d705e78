"""Ends answers that are not complete in time, whatever the server sends meanwhile.

A socket's time-out starts anew with each byte, so a server that sends interim answers, header
lines or chunk sizes one by one never exceeds it. One thread watches the requests of all others,
and shuts down the connection of each that has taken too long.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import requests
import urllib3
import urllib3.connection

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_TICK = 1.0  # seconds between two checks
TICKS = 10  # checks within the time that an answer may take

_thread = threading.local()


class Deadline:
    """Gives each request of a client the same time limit."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._under_way: dict[_Watch, None] = {}  # in order of their deadlines
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Raise a ReadTimeout unless the request is sent and its answer read in time."""
        watch = _thread.watch = _Watch(time.monotonic() + self._seconds)
        with self._lock:
            self._under_way[watch] = None
            if self._closed.is_set():
                watch.shut_down()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        try:
            yield
        except Exception:
            if not watch.is_over:
                raise
        finally:
            _thread.watch = None
            with self._lock:
                self._under_way.pop(watch, None)
        if watch.is_over:
            what = f"response not complete after {self._seconds:g} s"
            raise requests.ReadTimeout(what) from None

    def close(self) -> None:
        """End all pending requests, and the thread."""
        self._closed.set()
        with self._lock:
            for watch in self._under_way:
                watch.shut_down()

    def _run(self) -> None:
        while not self._closed.wait(min(LONGEST_TICK, self._seconds / TICKS)):
            now = time.monotonic()
            with self._lock:
                # Repeated at every check: a request may have had no connection at the last one.
                for watch in self._under_way:
                    if watch.end > now:
                        break
                    watch.shut_down()


def watched(manager: Any) -> Any:  # noqa: ANN401 a PoolManager of urllib3, such as one for SOCKS
    """Return the same pool manager, whose new connections a ``Deadline`` can shut down."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _watched(pool) for scheme, pool in pools.items()}
    return manager


@functools.cache
def _watched(pool: Any) -> Any:  # noqa: ANN401 a class of urllib3
    if issubclass(pool.ConnectionCls, _Connection):
        return pool
    connection = type("Connection", (_Connection, pool.ConnectionCls), {})
    return type("Pool", (pool,), {"ConnectionCls": connection})


class _Watch:
    """One request under way, and the time by which it must be over."""

    def __init__(self, end: float) -> None:
        self.end = end
        self.connection: _Connection | None = None
        self.socket: Any = None
        """The answer's socket, kept because http.client drops it if the server will close it."""
        self.is_over = False

    def shut_down(self) -> None:
        """Shut down the connection, so that the thread reading from it gets an error."""
        self.is_over = True
        connection = self.connection
        # There is none yet, or it went back to the pool and another request uses it.
        if connection is None or connection.watch is not self:
            return
        found: Any = connection.sock or self.socket
        found = getattr(found, "socket", found)  # TLS in TLS
        if found is not None:
            # Not SSLSocket.shutdown, after which the other thread would read on without TLS.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)


class _Connection(urllib3.connection.HTTPConnection):
    """A connection that registers itself and its socket with the watch of its thread."""

    watch: _Watch | None = None

    def connect(self) -> None:
        self._hold()
        super().connect()
        # Disabled verification is logged once: urllib3 would warn about each connection, and its
        # warning could only be silenced for the whole process.
        self.is_verified = True

    def request(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 as urllib3 has them
        self._hold()
        super().request(*args, **options)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override] # as urllib3 has it
        if self.watch is not None:
            self.watch.socket = self.sock
        return super().getresponse()

    def _hold(self) -> None:
        self.watch = getattr(_thread, "watch", None)
        if self.watch is not None:
            self.watch.connection = self
            if self.watch.is_over:  # it was shut down while this thread was connecting
                raise TimeoutError
