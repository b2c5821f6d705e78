"""When the next request may be sent: one throttle for all threads.

Knows how many requests are under way, how fast they may follow each other, and until when
the server asked to wait. Does not know what a request is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class ClosedError(Exception):
    """The throttle was closed: nothing more may be sent."""


class Throttle:
    """Lets requests through.

    Args:
        at_once: Maximum number of requests at a time.
        per_second: Maximum number of requests started per second, None for no limit.
        clock: Returns monotonic seconds.
        sleep: Sleeps before a retry. By default it ends early when the throttle is closed.
    """

    def __init__(
        self,
        at_once: int,
        per_second: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._at_once = at_once
        self._limit = float(at_once)
        self._gap = 1 / per_second if per_second else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: list[threading.Condition] = []  # waiting threads, retries first
        self._retries_waiting = 0
        self._under_way = 0
        self._not_before = 0.0
        self._closed = threading.Event()
        self.sleep: Callable[[float], object] = sleep or self._closed.wait

    @contextlib.contextmanager
    def turn(self, *, again: bool = False) -> Iterator[None]:
        """Wait until a request may be sent; it counts as under way until the block ends.

        A request that failed before (``again``) goes ahead of new ones, so that it does not run
        out of retries because others keep overtaking it.

        Raises:
            ClosedError: The throttle was closed.
        """
        with self._lock:
            # In order of arrival: results are used in order, so a request that keeps being
            # overtaken would hold up all those behind it.
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
        # Each thread that passes wakes the next one, if more may pass: waking all of them
        # each time would cost more than the requests.
        if self._queue and self._under_way < int(self._limit):
            self._queue[0].notify()

    def pause(self, seconds: float) -> None:
        """Let no request through for that many seconds, and then only one at a time."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)
            self._limit = 1.0

    def answered(self) -> None:
        """Note that a request was answered. After a pause, concurrency is raised step by step.

        It grows by one each time that as many requests were answered as may be under way.
        Growing faster gains nothing: the server soon asks for the next pause, and then each
        request under way costs a retry.
        """
        if self._limit < self._at_once:
            with self._lock:
                self._limit = min(self._limit + 1 / self._limit, self._at_once)
                self._wake_one()

    def close(self) -> None:
        """Let nothing through any more; waiting threads get ClosedError."""
        self._closed.set()
        with self._lock:
            for waiting in self._queue:
                waiting.notify()
