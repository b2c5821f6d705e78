"""Reads items in threads, ahead of the one that is being consumed, and keeps their order.

This module knows nothing of HTTP, Bitbucket or Singer. It is an item's turn when its results are
being consumed. Until then, the thread that reads the item pauses after ``DEPTH`` results.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2  # results of one item that wait for its turn
TICK = 1.0  # seconds between two calls of `on_wait`


class Prefetch:
    """A pool of threads that works through items ahead of the thread that consumes them.

    ::

        with Prefetch(workers=8, ahead=16, on_wait=checkpoint) as prefetch:
            for item, results in prefetch.each(items, read):
                for result in results:
                    ...
    """

    def __init__(self, *, workers: int, ahead: int, on_wait: Callable[[], None]) -> None:
        """Start no thread yet.

        Args:
            workers: Maximum number of threads.
            ahead: Maximum number of items that are being read or wait to be consumed.
            on_wait: Called by the consuming thread about every second while it waits.
        """
        self._pool = ThreadPoolExecutor(workers)
        self._ahead = ahead
        self._on_wait = on_wait
        self._open: set[_Results[Any]] = set()

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what is waiting, and wait for the threads to end."""
        # First the items that no thread has started: a freed thread would start the next.
        self._pool.shutdown(wait=False, cancel_futures=True)
        for results in self._open:
            results.cancel()
        self._pool.shutdown()

    def each(
        self,
        items: Iterable[Item],
        read: Callable[[Item, Callable[[], bool]], Iterator[Result]],
    ) -> Iterator[tuple[Item, Iterator[Result]]]:
        """Yield each item, in order, with an iterator over what ``read`` yields for it.

        Args:
            items: Taken by the consuming thread, never more than ``ahead`` in advance.
            read: Called in a thread with the item and a function that tells whether it is the
                item's turn. Its errors are raised again in the consuming thread.
        """
        waiting: deque[tuple[Item, _Results[Result]]] = deque()
        rest = iter(items)
        while True:
            while len(waiting) < self._ahead:
                try:
                    item = next(rest)
                except StopIteration:
                    break
                waiting.append((item, self._start(read, item)))
            if not waiting:
                return
            item, results = waiting[0]
            yield item, iter(results)
            waiting.popleft()
            results.cancel()
            self._open.discard(results)

    def _start(
        self, read: Callable[[Item, Callable[[], bool]], Iterator[Result]], item: Item
    ) -> _Results[Result]:
        results: _Results[Result] = _Results(self._on_wait)
        self._open.add(results)
        self._pool.submit(results.fill, read, item)
        return results


def in_background(
    ask: Callable[[], Result], on_wait: Callable[[], None], cancel: Callable[[], None]
) -> Result:
    """Return what ``ask`` returns, and call ``on_wait`` about every second until then.

    ``ask`` runs in a thread of its own, so that the calling one can react to signals. If
    ``on_wait`` raises, ``cancel`` is called to end ``ask`` early.
    """
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        try:
            while not wait([asked], TICK).done:
                on_wait()
        except BaseException:
            cancel()
            raise
        return asked.result()


class _Failure(NamedTuple):
    error: BaseException


class _End:
    """Marks the end of an item's results."""


class _Results(Generic[Result]):
    """The results of one item: a thread adds them, the consumer takes them in order."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        self._on_wait = on_wait
        self._queue: queue.SimpleQueue[Result | _Failure | _End] = queue.SimpleQueue()
        self._room = threading.Semaphore(DEPTH)
        self._its_turn = threading.Event()
        self._cancelled = False

    def fill(
        self, read: Callable[[Item, Callable[[], bool]], Iterator[Result]], item: Item
    ) -> None:
        try:
            for result in read(item, self._its_turn.is_set):
                self._room.acquire()
                if self._cancelled:
                    return
                self._queue.put(result)
            self._queue.put(_End())
        except BaseException as error:  # noqa: BLE001 raised again in the consuming thread
            self._queue.put(_Failure(error))

    def cancel(self) -> None:
        self._cancelled = True
        self._room.release()

    def __iter__(self) -> Iterator[Result]:
        self._its_turn.set()
        while not isinstance(result := self._next(), _End):
            if isinstance(result, _Failure):
                raise result.error
            self._room.release()
            yield result

    def _next(self) -> Result | _Failure | _End:
        while True:
            try:
                return self._queue.get(timeout=TICK)
            except queue.Empty:
                self._on_wait()
