"""Pages one by one and ahead: their order, guesses, ends and errors; nothing is sent."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_bitbucket_dc.bitbucket.errors import SkippableError
from tap_bitbucket_dc.bitbucket.paging import MOST_EQUAL_PAGES, Ahead, Page, page_of, pages

if TYPE_CHECKING:
    from collections.abc import Callable

UNHURRIED = settings(deadline=None)  # other tests may run beside it
MOST = 1_000_000  # rows: any number
WAIT = 5.0  # seconds after which something will not happen any more
URL = "https://bitbucket.example.com/rest/api/1.0/projects"


def always() -> bool:
    """Say that it is worth guessing."""
    return True


class Server:
    """Pages of numbered rows; asked for a start that is none, it answers nonetheless.

    As Bitbucket does: the page begins with the first row at or after the start.
    """

    def __init__(self, positions: list[int], size: int) -> None:
        self.positions = positions
        self.size = size
        self.asked: list[int] = []

    def ask(self, start: int) -> Page[int]:
        self.asked.append(start)
        rows = [position for position in self.positions if position >= start]
        more = rows[self.size :]
        return Page(rows[: self.size], start, more[0] if more else None)

    def one_by_one(self, start: int) -> list[Page[int]]:
        found = [self.ask(start)]
        while (following := found[-1].next_start) is not None:
            found.append(self.ask(following))
        return found


def read_pages(
    server: Server, start: int = 0, *, most: int = 4, its_turn: Callable[[], bool] = always
) -> list[Page[int]]:
    """Return all pages, read with guesses."""
    with ThreadPoolExecutor(most) as threads:
        return list(
            pages(server.ask, start, url=URL, most=MOST, ahead=Ahead(threads, most, its_turn))
        )


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

    def ask(start: int) -> Page[int]:
        if start in {120, 130}:
            together.wait(WAIT)  # breaks if the two are asked one after the other
        return server.ask(start)

    with ThreadPoolExecutor(4) as threads:
        found = list(pages(ask, url=URL, most=MOST, ahead=Ahead(threads, 4, always)))
    assert [value for page in found for value in page.values] == list(range(200))


def test_no_more_pages_are_guessed_than_were_read_before() -> None:
    server = Server(list(range(1000)), 10)
    with ThreadPoolExecutor(1) as threads:
        found = pages(server.ask, url=URL, most=MOST, ahead=Ahead(threads, 16, always))
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

    def ask(start: int) -> Page[int]:
        if start == 40:
            raise LookupError
        return server.ask(start)

    with ThreadPoolExecutor(4) as threads:
        found = pages(ask, url=URL, most=MOST, ahead=Ahead(threads, 4, always))
        assert [next(found).start for _ in range(4)] == [0, 10, 20, 30]
        with pytest.raises(LookupError):
            next(found)


def test_an_error_of_an_unneeded_guess_is_ignored() -> None:
    server = Server(list(range(75)), 10)

    def ask(start: int) -> Page[int]:
        if start >= 75:
            raise LookupError
        return server.ask(start)

    with ThreadPoolExecutor(4) as threads:
        found = list(pages(ask, url=URL, most=MOST, ahead=Ahead(threads, 4, always)))
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


def test_without_ahead_each_page_is_requested_when_it_is_wanted() -> None:
    server = Server(list(range(30)), 10)
    found = pages(server.ask, 10, url=URL, most=MOST)
    assert server.asked == []
    assert next(found).start == 10
    assert server.asked == [10]
    assert [page.start for page in found] == [20]


def test_pages_without_rows_are_not_the_end() -> None:
    def ask(start: int) -> Page[int]:
        return Page([] if start < 50 else [1], start, start + 1 if start < 50 else None)

    assert [page.values for page in pages(ask, url=URL, most=MOST)][-1] == [1]


@pytest.mark.parametrize("rows", [[], [1, 2]])
def test_pages_that_say_the_same_without_end_are_an_error(rows: list[int]) -> None:
    read: list[int] = []

    def ask(start: int) -> Page[int]:
        read.append(start)
        return Page(rows, start, start + 1)

    with pytest.raises(SkippableError, match="empty pages") as found:
        list(pages(ask, url=URL, most=MOST))
    assert MOST_EQUAL_PAGES < len(read) <= MOST_EQUAL_PAGES + 2
    assert found.value.url == URL


@pytest.mark.parametrize("last", [{}, {"nextPageStart": None}, {"nextPageStart": 3}])
def test_the_last_page_says_so(last: dict[str, Any]) -> None:
    body = {"values": [{"id": 1}], "isLastPage": True, **last}
    assert page_of(body, 5, URL, dict) == Page([{"id": 1}], 5, None)


@pytest.mark.parametrize("next_start", [None, 5, 4, "6", True, 6.5])
def test_a_page_that_is_not_the_last_must_lead_on(next_start: object) -> None:
    body = {"values": [], "isLastPage": False, "nextPageStart": next_start}
    with pytest.raises(
        SkippableError, match="not the last page, but its `nextPageStart` is"
    ) as found:
        page_of(body, 5, URL, dict)
    assert found.value.url == URL
