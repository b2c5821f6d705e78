"""When the next request may be sent: one gate for all threads.

Knows nothing of HTTP: only how many requests are under way, how fast they may
follow each other, and until when the server asked for silence.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class ClosedError(Exception):
    """The gate was closed while a thread waited for its turn."""


class Pace:
    """A gate that lets requests through, never more than ``at_once`` together."""

    def __init__(
        self,
        at_once: int,
        per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the gate.

        Args:
            at_once: Requests under way at once.
            per_second: Own speed limit in requests per second, None for none.
            clock: Seconds that only grow.
        """
        self._at_once = at_once
        self._limit = float(at_once)
        self._gap = 1 / per_second if per_second else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: list[threading.Condition] = []  # who waits, retries first
        self._retries_waiting = 0
        self._under_way = 0
        self._not_before = 0.0
        self._closed = threading.Event()

    @contextlib.contextmanager
    def turn(self, *, again: bool = False) -> Iterator[None]:
        """Wait for a turn and hold it for one request.

        Args:
            again: The request was refused before: it goes ahead of new ones, so
                that none runs out of retries because others were luckier.

        Raises:
            ClosedError: The gate was closed.
        """
        with self._lock:
            # In order of arrival: one that is always overtaken would hold up all
            # that are read ahead of it.
            mine = threading.Condition(self._lock)
            self._queue.insert(self._retries_waiting if again else len(self._queue), mine)
            self._retries_waiting += again
            try:
                while seconds := self._seconds_to_wait(mine):
                    mine.wait(seconds)
            finally:
                self._retries_waiting -= again
                self._queue.remove(mine)
            self._under_way += 1
            if self._gap:
                self._not_before = max(self._not_before, self._clock()) + self._gap
            self._wake_one()
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                self._wake_one()

    def _seconds_to_wait(self, mine: threading.Condition) -> float:
        if self._closed.is_set():
            raise ClosedError
        if self._under_way >= int(self._limit) or self._queue[0] is not mine:
            return threading.TIMEOUT_MAX
        return max(self._not_before - self._clock(), 0.0)

    def _wake_one(self) -> None:
        # Whoever passes wakes the next one, if more may pass: to wake all each time
        # would cost more than the requests.
        if self._queue and self._under_way < int(self._limit):
            self._queue[0].notify()

    def pause(self, seconds: float) -> None:
        """Keep every thread from sending for so long, then begin again one by one."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)
            self._limit = 1.0

    def answered(self) -> None:
        """Say that a request was answered: after a pause, more may go at once by and by.

        One more when as many were answered as may go at once: the next pause comes
        anyway, and of those under way then each costs a retry.
        """
        if self._limit < self._at_once:
            with self._lock:
                self._limit = min(self._limit + 1 / self._limit, self._at_once)
                self._wake_one()

    def close(self) -> None:
        """Let nobody through any more; those who wait get ClosedError."""
        self._closed.set()
        with self._lock:
            for waiting in self._queue:
                waiting.notify()

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the gate is closed."""
        self._closed.wait(seconds)
