"""Order, laziness, bounds, failures and threads of what is read ahead."""

from __future__ import annotations

import functools
import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.extract import prefetch as module
from tap_bitbucket_dc.extract.prefetch import DEPTH, Prefetch, in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WAIT = 60.0  # seconds after which a test that waits for something fails


def never() -> None:
    """Be called while waiting, and do nothing."""


Quiet = functools.partial(Prefetch, on_wait=never)


def numbers(item: int, _: Callable[[], bool]) -> Iterator[int]:
    """Yield as many numbers as the item says."""
    yield from range(item)


@pytest.fixture
def short_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `on_wait` called a hundred times a second instead of once."""
    monkeypatch.setattr(module, "TICK", 0.01)


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_items_and_results_come_in_order(workers: int) -> None:
    begun = [threading.Event() for _ in range(20)]

    def read(item: int, _: Callable[[], bool]) -> Iterator[str]:
        begun[item].set()
        if workers > 1 and item % 2 == 0:  # the one behind it is quicker
            assert begun[item + 1].wait(WAIT)
        for n in range(item % 4):
            yield f"{item}.{n}"

    with Quiet(workers=workers, ahead=2 * workers) as prefetch:
        found = [(item, list(results)) for item, results in prefetch.each(range(20), read)]
    assert found == [(item, [f"{item}.{n}" for n in range(item % 4)]) for item in range(20)]


def test_no_items_yield_nothing() -> None:
    with Quiet(workers=2, ahead=2) as prefetch:
        assert list(prefetch.each([], numbers)) == []


def test_nothing_is_read_before_it_is_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(3):
            taken.append(item)
            yield item

    with Quiet(workers=2, ahead=2) as prefetch:
        found = prefetch.each(items(), numbers)
        assert taken == []
        next(found)
        assert taken == [0, 1]


def test_items_are_taken_only_as_far_ahead_as_was_said() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    ahead = 4
    with Quiet(workers=2, ahead=ahead) as prefetch:
        for turn, (item, results) in enumerate(prefetch.each(items(), numbers)):
            assert item == turn
            assert len(taken) <= turn + ahead
            list(results)
    assert taken == list(range(100))


def test_items_are_taken_by_the_thread_that_iterates() -> None:
    threads: set[int] = set()

    def items() -> Iterator[int]:
        for item in range(9):
            threads.add(threading.get_ident())
            yield item

    with Quiet(workers=3, ahead=6) as prefetch:
        for _ in prefetch.each(items(), numbers):
            pass
    assert threads == {threading.get_ident()}


def test_as_many_threads_read_as_workers_are_there() -> None:
    threads: set[int] = set()
    together = threading.Barrier(3)

    def read(_: int, __: Callable[[], bool]) -> Iterator[int]:
        threads.add(threading.get_ident())
        together.wait(WAIT)  # breaks if fewer than three read at once
        yield 0

    with Quiet(workers=3, ahead=6) as prefetch:
        for _, results in prefetch.each(range(30), read):
            list(results)
    assert len(threads) == 3


def test_an_item_whose_turn_is_far_off_stops_after_a_few_results() -> None:
    read: list[int] = []
    is_full = threading.Event()

    def endless(item: int, _: Callable[[], bool]) -> Iterator[int]:
        for n in range(1000):
            if item == 1:
                read.append(n)
                if n == DEPTH:
                    is_full.set()
            yield n

    with Quiet(workers=2, ahead=2) as prefetch:
        _, first = next(prefetch.each([0, 1], endless))
        assert is_full.wait(WAIT)
        assert len(list(first)) == 1000
        assert len(read) == DEPTH + 1  # one is in hand


def test_a_long_item_goes_on_when_its_turn_comes() -> None:
    with Quiet(workers=2, ahead=3) as prefetch:
        found = prefetch.each([3, 1000, 2], numbers)
        assert [len(list(results)) for _, results in found] == [3, 1000, 2]


def test_an_item_is_told_when_its_turn_comes() -> None:
    told: dict[int, list[bool]] = {0: [], 1: []}
    second_has_begun = threading.Event()

    def read(item: int, its_turn: Callable[[], bool]) -> Iterator[int]:
        for n in range(DEPTH + 3):
            told[item].append(its_turn())
            if item == 1:
                second_has_begun.set()
            yield n

    with Quiet(workers=2, ahead=2) as prefetch:
        for item, results in prefetch.each([0, 1], read):
            if item == 0:
                assert second_has_begun.wait(WAIT)
            list(results)
    assert told[1][0] is False
    assert told[1][-1] is True


def test_an_error_comes_out_at_its_turn_after_the_results_before_it() -> None:
    def read(item: int, _: Callable[[], bool]) -> Iterator[int]:
        yield item
        if item == 1:
            msg = "the second breaks"
            raise LookupError(msg)

    with Quiet(workers=3, ahead=3) as prefetch:
        found = prefetch.each([0, 1, 2], read)
        assert [list(results) for _, results in [next(found)]] == [[0]]
        _, second = next(found)
        assert next(second) == 1
        with pytest.raises(LookupError, match="the second breaks"):
            next(second)
        assert [list(results) for _, results in found] == [[2]]


def test_an_error_of_an_item_that_is_skipped_disturbs_nobody() -> None:
    def read(item: int, _: Callable[[], bool]) -> Iterator[int]:
        if item == 0:
            raise LookupError
        yield item

    with Quiet(workers=1, ahead=2) as prefetch:
        found = prefetch.each([0, 1], read)
        next(found)
        _, second = next(found)
        assert list(second) == [1]


def test_an_item_that_is_skipped_gives_its_thread_back() -> None:
    with Quiet(workers=1, ahead=2) as prefetch:
        found = prefetch.each([1000, 3], numbers)
        _, first = next(found)
        next(first)
        _, second = next(found)
        assert list(second) == [0, 1, 2]


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_no_thread_is_left_when_it_is_left_early(taken: int) -> None:
    before = set(threading.enumerate())
    with Quiet(workers=4, ahead=8) as prefetch:
        found = prefetch.each([1000] * 9, numbers)
        for _ in range(taken):
            next(next(found)[1])
    assert set(threading.enumerate()) == before


def test_no_thread_is_left_when_the_consumer_fails() -> None:
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError), Quiet(workers=4, ahead=8) as prefetch:
        sum(1 // item for item, _ in prefetch.each([1000, 0, 1000], numbers))
    assert set(threading.enumerate()) == before


def test_no_thread_is_left_at_the_end() -> None:
    before = set(threading.enumerate())
    with Quiet(workers=4, ahead=8) as prefetch:
        for _, results in prefetch.each([5] * 9, numbers):
            list(results)
    assert set(threading.enumerate()) == before


def test_waiting_items_are_not_read_after_leaving() -> None:
    begun: list[int] = []

    def endless(item: int, _: Callable[[], bool]) -> Iterator[int]:
        begun.append(item)
        yield from itertools.count()

    with Quiet(workers=1, ahead=9) as prefetch:
        _, first = next(prefetch.each(range(9), endless))
        next(first)
    assert begun == [0]


@pytest.mark.usefixtures("short_tick")
def test_on_wait_is_called_by_the_consuming_thread_while_it_waits() -> None:
    ticks = threading.Semaphore(0)
    callers: set[int] = set()

    def read(item: int, _: Callable[[], bool]) -> Iterator[int]:
        assert ticks.acquire(timeout=WAIT)
        assert ticks.acquire(timeout=WAIT)
        yield item

    def on_wait() -> None:
        callers.add(threading.get_ident())
        ticks.release()

    with Prefetch(workers=1, ahead=1, on_wait=on_wait) as prefetch:
        assert [list(results) for _, results in prefetch.each([7], read)] == [[7]]
    assert callers == {threading.get_ident()}


@pytest.mark.usefixtures("short_tick")
def test_what_on_wait_raises_ends_the_wait() -> None:
    stop = threading.Event()

    def read(item: int, _: Callable[[], bool]) -> Iterator[int]:
        assert stop.wait(WAIT)
        yield item

    def on_wait() -> None:
        stop.set()
        raise SystemExit(143)

    with Prefetch(workers=1, ahead=1, on_wait=on_wait) as prefetch:
        _, results = next(prefetch.each([7], read))
        with pytest.raises(SystemExit):
            next(results)


# One question in a thread of its own.


def test_in_background_returns_the_result_of_another_thread() -> None:
    asked = in_background(threading.get_ident, never, never)
    assert asked != threading.get_ident()


def test_in_background_raises_the_error_of_the_other_thread() -> None:
    def ask() -> int:
        msg = "no answer"
        raise LookupError(msg)

    with pytest.raises(LookupError, match="no answer"):
        in_background(ask, never, never)


@pytest.mark.usefixtures("short_tick")
def test_in_background_calls_on_wait_in_the_waiting_thread() -> None:
    ticks = threading.Semaphore(0)
    callers: set[int] = set()

    def ask() -> int:
        assert ticks.acquire(timeout=WAIT)
        assert ticks.acquire(timeout=WAIT)
        return 7

    def on_wait() -> None:
        callers.add(threading.get_ident())
        ticks.release()

    assert in_background(ask, on_wait, never) == 7
    assert callers == {threading.get_ident()}


@pytest.mark.usefixtures("short_tick")
def test_in_background_cancels_if_on_wait_raises_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    stop = threading.Event()

    def ask() -> None:
        assert stop.wait(WAIT)

    def on_wait() -> None:
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        in_background(ask, on_wait, cancel=stop.set)
    assert stop.is_set()
    assert set(threading.enumerate()) == before
