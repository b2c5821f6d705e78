"""Order, laziness, bounds, failures and threads of the look-ahead; guessed pages."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_bitbucket_dc import look_ahead as module
from tap_bitbucket_dc.look_ahead import DEPTH, look_ahead, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNHURRIED = settings(deadline=None)  # other tests may run beside it
WAIT = 5.0  # seconds after which something will not happen any more


def never() -> None:
    """Be called while waiting, and do nothing."""


def numbers(item: int, _: Callable[[], bool]) -> Iterator[int]:
    """Yield as many numbers as the item says."""
    yield from range(item)


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds; return whether it came to that."""
    end = time.monotonic() + WAIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_items_and_results_come_in_order(workers: int) -> None:
    def read(item: int, _: Callable[[], bool]) -> Iterator[str]:
        time.sleep(0.002 * (item % 3))
        for n in range(item % 4):
            yield f"{item}.{n}"

    found = look_ahead(range(20), read, workers=workers, ahead=2 * workers, tick=never)
    expected = [(item, [f"{item}.{n}" for n in range(item % 4)]) for item in range(20)]
    assert [(item, list(results)) for item, results in found] == expected


def test_of_no_items_nothing_comes() -> None:
    assert list(look_ahead([], numbers, workers=2, ahead=2, tick=never)) == []


def test_nothing_is_read_before_it_is_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(3):
            taken.append(item)
            yield item

    found = look_ahead(items(), numbers, workers=2, ahead=2, tick=never)
    assert taken == []
    next(found)
    assert taken == [0, 1]
    found.close()  # type: ignore[attr-defined] # a generator


def test_items_are_taken_only_as_far_ahead_as_was_said() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    ahead = 4
    found = look_ahead(items(), numbers, workers=2, ahead=ahead, tick=never)
    for turn, (item, results) in enumerate(found):
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

    for _ in look_ahead(items(), numbers, workers=3, ahead=6, tick=never):
        pass
    assert threads == {threading.get_ident()}


def test_no_more_threads_read_than_workers_are_there() -> None:
    lock, at_once, most = threading.Lock(), 0, 0

    def read(_: int, __: Callable[[], bool]) -> Iterator[int]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002)
        with lock:
            at_once -= 1
        yield 0

    for _, results in look_ahead(range(30), read, workers=3, ahead=6, tick=never):
        list(results)
    assert most == 3


def test_an_item_whose_turn_is_far_off_stops_after_a_few_results() -> None:
    read: list[int] = []

    def endless(item: int, _: Callable[[], bool]) -> Iterator[int]:
        for n in range(1000):
            if item == 1:
                read.append(n)
            yield n

    found = look_ahead([0, 1], endless, workers=2, ahead=2, tick=never)
    _, first = next(found)
    next(first)
    assert eventually(lambda: len(read) == DEPTH + 1)  # one is in hand
    time.sleep(0.02)
    assert len(read) == DEPTH + 1
    found.close()  # type: ignore[attr-defined]


def test_a_long_item_goes_on_when_its_turn_comes() -> None:
    found = look_ahead([3, 1000, 2], numbers, workers=2, ahead=3, tick=never)
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

    for item, results in look_ahead([0, 1], read, workers=2, ahead=2, tick=never):
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

    found = look_ahead([0, 1, 2], read, workers=3, ahead=3, tick=never)
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

    found = look_ahead([0, 1], read, workers=1, ahead=2, tick=never)
    next(found)
    _, second = next(found)
    assert list(second) == [1]
    found.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_no_thread_is_left_when_it_is_closed_early(taken: int) -> None:
    before = set(threading.enumerate())
    found = look_ahead([1000] * 9, numbers, workers=4, ahead=8, tick=never)
    for _ in range(taken):
        next(next(found)[1])
    found.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) == before


def test_no_thread_is_left_when_the_consumer_fails() -> None:
    before = set(threading.enumerate())
    found = look_ahead([1000, 0, 1000], numbers, workers=4, ahead=8, tick=never)
    with pytest.raises(ZeroDivisionError):
        sum(1 // item for item, _ in found)
    del found
    assert eventually(lambda: set(threading.enumerate()) == before)


def test_no_thread_is_left_at_the_end() -> None:
    before = set(threading.enumerate())
    for _, results in look_ahead([5] * 9, numbers, workers=4, ahead=8, tick=never):
        list(results)
    assert set(threading.enumerate()) == before


def test_what_waits_for_its_turn_is_not_read_after_closing() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def read(item: int, _: Callable[[], bool]) -> Iterator[int]:
        begun.append(item)
        assert go_on.wait(WAIT)
        yield item

    found = look_ahead(range(9), read, workers=1, ahead=9, tick=never)
    next(found)
    assert eventually(lambda: begun == [0])
    go_on.set()
    found.close()  # type: ignore[attr-defined]
    assert len(begun) < 9


def test_the_tick_is_called_while_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    ticks = threading.Semaphore(0)

    def read(item: int, _: Callable[[], bool]) -> Iterator[int]:
        assert ticks.acquire(timeout=WAIT)
        assert ticks.acquire(timeout=WAIT)
        yield item

    found = look_ahead([7], read, workers=1, ahead=1, tick=ticks.release)
    assert [list(results) for _, results in found] == [[7]]


def test_what_the_tick_raises_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.01)
    stop = threading.Event()

    def read(item: int, _: Callable[[], bool]) -> Iterator[int]:
        assert stop.wait(WAIT)
        yield item

    def tick() -> None:
        stop.set()
        raise SystemExit(143)

    found = look_ahead([7], read, workers=1, ahead=1, tick=tick)
    _, results = next(found)
    with pytest.raises(SystemExit):
        next(results)
    found.close()  # type: ignore[attr-defined]


class Page(NamedTuple):
    """A page as ``pages`` sees it."""

    values: list[int]
    start: int
    next_start: int | None


class Server:
    """Pages of numbered rows; asked for a start that is none, it answers nonetheless.

    As Bitbucket does: the page begins with the first row at or after the start.
    """

    def __init__(self, positions: list[int], size: int) -> None:
        self.positions = positions
        self.size = size
        self.asked: list[int] = []

    def ask(self, start: int) -> Page:
        self.asked.append(start)
        rows = [position for position in self.positions if position >= start]
        more = rows[self.size :]
        return Page(rows[: self.size], start, more[0] if more else None)

    def one_by_one(self, start: int) -> list[Page]:
        found = [self.ask(start)]
        while (following := found[-1].next_start) is not None:
            found.append(self.ask(following))
        return found


def read_pages(
    server: Server, start: int = 0, *, most: int = 4, its_turn: Callable[[], bool] = lambda: True
) -> list[Page]:
    """Return all pages, read with guesses."""
    with ThreadPoolExecutor(most) as threads:
        return list(pages(server.ask, start, most=most, threads=threads, its_turn=its_turn))


def test_guesses_that_are_right_cost_no_request_more_than_the_pages() -> None:
    server = Server(list(range(80)), 10)
    assert [page.start for page in read_pages(server)] == list(range(0, 80, 10))
    assert sorted(set(server.asked)) == sorted(server.asked)
    # All eight are needed; past the end a guess may have been under way.
    assert set(range(0, 80, 10)) <= set(server.asked)
    assert len(server.asked) <= 8 + 3


def test_a_short_history_wastes_no_request() -> None:
    server = Server(list(range(10)), 10)
    assert len(read_pages(server)) == 1
    assert server.asked == [0]


def test_guesses_are_asked_for_together() -> None:
    server = Server(list(range(200)), 10)
    together = threading.Barrier(2)

    def ask(start: int) -> Page:
        if start in {120, 130}:
            together.wait(WAIT)  # breaks if the two are asked one after the other
        return server.ask(start)

    with ThreadPoolExecutor(4) as threads:
        found = list(pages(ask, 0, most=4, threads=threads, its_turn=lambda: True))
    assert [value for page in found for value in page.values] == list(range(200))


def test_no_more_pages_are_guessed_than_were_read_before() -> None:
    server = Server(list(range(1000)), 10)
    with ThreadPoolExecutor(1) as threads:
        found = pages(server.ask, 0, most=16, threads=threads, its_turn=lambda: True)
        for read in range(1, 6):
            next(found)
            assert len(server.asked) <= 2 * read
        found.close()  # type: ignore[attr-defined]


def test_before_its_turn_nothing_is_guessed() -> None:
    server = Server(list(range(80)), 10)
    read_pages(server, its_turn=lambda: False)
    assert server.asked == list(range(0, 80, 10))


def test_a_wrong_guess_is_the_last_and_costs_no_row() -> None:
    # A row that nobody may see shifts the fourth page.
    positions = [n for n in range(60) if n != 30]
    server = Server(positions, 10)
    found = read_pages(server)
    assert [value for page in found for value in page.values] == positions
    wrong = [start for start in server.asked if start not in {page.start for page in found}]
    assert len(wrong) <= 3


def test_pages_go_on_where_a_former_run_stopped() -> None:
    server = Server(list(range(80)), 10)
    assert [page.start for page in read_pages(server, 50)] == [50, 60, 70]


def test_an_error_of_a_page_comes_at_its_place() -> None:
    server = Server(list(range(80)), 10)

    def ask(start: int) -> Page:
        if start == 40:
            raise LookupError
        return server.ask(start)

    with ThreadPoolExecutor(4) as threads:
        found = pages(ask, 0, most=4, threads=threads, its_turn=lambda: True)
        assert [next(found).start for _ in range(4)] == [0, 10, 20, 30]
        with pytest.raises(LookupError):
            next(found)


def test_an_error_of_a_guess_that_is_not_needed_is_nobodys() -> None:
    server = Server(list(range(75)), 10)

    def ask(start: int) -> Page:
        if start >= 75:
            raise LookupError
        return server.ask(start)

    with ThreadPoolExecutor(4) as threads:
        found = list(pages(ask, 0, most=4, threads=threads, its_turn=lambda: True))
    assert len(found) == 8


@UNHURRIED
@given(
    gaps=st.lists(st.integers(1, 4), max_size=60),
    size=st.integers(1, 9),
    most=st.integers(1, 6),
    turns=st.lists(st.booleans(), min_size=1, max_size=8),
    begin=st.integers(0, 3),
)
def test_guessing_gives_what_one_by_one_gives(
    gaps: list[int], size: int, most: int, turns: list[bool], begin: int
) -> None:
    positions = [sum(gaps[: n + 1]) - 1 for n in range(len(gaps))]
    server = Server(positions, size)
    told = iter(turns)
    found = read_pages(server, begin, most=most, its_turn=lambda: next(told, True))
    assert found == Server(positions, size).one_by_one(begin)
