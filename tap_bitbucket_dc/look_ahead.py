"""Reads the next few items in threads while one is written, and keeps their order.

Knows nothing of HTTP, Bitbucket or Singer. Bounded in threads, and in what waits to
be written: an item whose turn is far off stops after ``DEPTH`` results.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2  # results of one item that wait for its turn
TICK = 1.0  # seconds between two calls of `tick` while waiting


class Page(Protocol):
    """A part of a long answer."""

    @property
    def start(self) -> int:
        """Where it starts."""

    @property
    def next_start(self) -> int | None:
        """Where the next one starts, None on the last."""


PageT = TypeVar("PageT", bound=Page)


class _Failure(NamedTuple):
    error: BaseException


_END = object()


class _Reading(Generic[Result]):
    """The results of one item: put in by a thread, taken out when its turn comes."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._results: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._room = threading.Semaphore(DEPTH)
        self._its_turn = threading.Event()
        self._cancelled = False

    def fill(self, read: Callable[..., Iterator[Result]], item: object) -> None:
        try:
            for result in read(item, self._its_turn.is_set):
                self._room.acquire()
                if self._cancelled:
                    return
                self._results.put(result)
            self._results.put(_END)
        except BaseException as error:  # noqa: BLE001 comes out when its turn comes
            self._results.put(_Failure(error))

    def cancel(self) -> None:
        self._cancelled = True
        self._room.release()

    def __iter__(self) -> Iterator[Result]:
        self._its_turn.set()
        while (result := self._next()) is not _END:
            if isinstance(result, _Failure):
                raise result.error
            self._room.release()
            yield result  # type: ignore[misc] # only _END and _Failure are no results

    def _next(self) -> object:
        while True:
            try:
                return self._results.get(timeout=TICK)
            except queue.Empty:
                self._tick()


def look_ahead(
    items: Iterable[Item],
    read: Callable[[Item, Callable[[], bool]], Iterator[Result]],
    *,
    workers: int,
    ahead: int,
    tick: Callable[[], None],
) -> Iterator[tuple[Item, Iterator[Result]]]:
    """Yield each item, in order, with an iterator over what ``read`` yields for it.

    Args:
        items: Taken by the thread that iterates, one when one was yielded.
        read: Called in a thread with the item and a function that says whether its
            turn has come. An error it raises comes out of the item's iterator.
        workers: Threads.
        ahead: Items being read or waiting to be yielded.
        tick: Called about every second while waiting for a result.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[Item, _Reading[Result]]] = deque()
    items = iter(items)
    more = True
    try:
        while more or waiting:
            while more and len(waiting) < ahead:
                for item in items:
                    reading: _Reading[Result] = _Reading(tick)
                    pool.submit(reading.fill, read, item)
                    waiting.append((item, reading))
                    break
                else:
                    more = False
            if waiting:
                yield waiting[0][0], iter(waiting[0][1])
                waiting.popleft()[1].cancel()
    finally:
        for _, reading in waiting:
            reading.cancel()
        pool.shutdown(cancel_futures=True)


def pages(
    ask: Callable[[int], PageT],
    start: int,
    *,
    most: int,
    threads: Executor,
    its_turn: Callable[[], bool],
) -> Iterator[PageT]:
    """Yield the pages from ``start`` on, the next ones asked for in parallel.

    Where they start is guessed, and a guess is believed only if the page before it
    confirms it: a wrong one costs a request, never a row, and is the last. At most half
    as many again as were read are asked for, so that short histories waste few requests.

    Args:
        ask: Return the page at a start. Both ends of the range must be fixed.
        start: Where the first page starts.
        most: Pages asked for at once.
        threads: Where they are asked for.
        its_turn: Whether guessing is worth it yet.
    """
    asked: deque[tuple[int, Future[PageT]]] = deque()
    expected: int | None = start
    stride: int | None = None
    read = 0
    try:
        while expected is not None:
            if stride and its_turn():
                following = asked[-1][0] + stride if asked else expected
                while len(asked) < min(most, read * 3 // 2 or 1):
                    asked.append((following, threads.submit(ask, following)))
                    following += stride
            page = asked.popleft()[1].result() if asked else ask(expected)
            read += 1
            expected = page.next_start
            if read == 1 and expected is not None:
                stride = expected - page.start
            if asked and asked[0][0] != expected:
                _cancel(asked)
                stride = None
            yield page
    finally:
        _cancel(asked)


def _cancel(asked: deque[tuple[int, Future[PageT]]]) -> None:
    for _, future in asked:
        future.cancel()
    asked.clear()
