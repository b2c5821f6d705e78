"""Listings: one loop that follows their pages, one by one or several at once.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/ ("Paged APIs").
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from tap_bitbucket_dc.bitbucket.errors import SkippableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Executor, Future

MOST_EQUAL_PAGES = 1000  # in a row; pages without rows are equal too
LEAST_ROWS = 25  # a page with fewer rows counts as this many, so that an endless listing is noticed

Row = TypeVar("Row")


class PageBody(msgspec.Struct, Generic[Row], rename="camel", gc=False, frozen=True):
    """A page as Bitbucket sends it, if all its rows are as expected."""

    values: list[Row]
    is_last_page: bool = False
    next_page_start: int | None = None


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of a listing."""

    values: list[Row]
    start: int
    next_start: int | None
    """Where the next page starts, None on the last one."""


@dataclass(frozen=True)
class Ahead:
    """Where and when pages are requested before the previous page has arrived."""

    threads: Executor
    most: int
    """Maximum number of pages requested at once."""
    its_turn: Callable[[], bool]
    """Returns whether this listing's rows are needed next; before that, no page is guessed."""


def page_of(
    body: object, start: int, url: str, row: Callable[[Any], Row | None], *, most: float = math.inf
) -> Page[Row]:
    """Return the page that starts at ``start``.

    ``nextPageStart`` is not always start + size: rows that the user may not see count too. On
    the last page it is missing or null.

    Args:
        body: A ``PageBody``, or plain JSON if something in the page does not fit.
        row: Returns a row from plain JSON, None to leave it out.
        most: The number of rows that were requested.

    Raises:
        SkippableError: It is not a page, has more rows than were requested, or is not the last
            one and has no valid ``nextPageStart``.

    Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/ ("Paged APIs");
    a listing of projects recorded by sourcegraph/sourcegraph has gaps.
    """
    if isinstance(body, PageBody):
        rows, last, next_start = body.values, body.is_last_page, body.next_page_start
    else:
        found: dict[str, Any] = body if isinstance(body, dict) else {}
        rows = found.get("values", ())
        last, next_start = found.get("isLastPage") is True, found.get("nextPageStart")
        if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
            what = f"The response from {url} has no list of objects in `values`."
            raise SkippableError(what, url=url)
    if len(rows) > most:
        what = f"The response from {url} has {len(rows):,} rows, but only {most:,} were requested."
        raise SkippableError(what, url=url)
    if not isinstance(body, PageBody):
        rows = [value for each in rows if (value := row(each)) is not None]
    if last:
        return Page(rows, start, None)
    if type(next_start) is not int or next_start <= start:
        wrong = f"its `nextPageStart` is {next_start} (expected a number above {start})"
        what = f"The response from {url} is not the last page, but {wrong}."
        raise SkippableError(what, url=url)
    return Page(rows, start, next_start)


def pages(
    ask: Callable[[int], Page[Row]],
    start: int = 0,
    *,
    url: str,
    ahead: Ahead | None = None,
    most: int,
) -> Iterator[Page[Row]]:
    """Yield the pages of a listing in order, each starting where the previous one says.

    Args:
        ask: Returns the page at a start. Called in threads if ``ahead`` is given.
        ahead: Request following pages before their turn; the listing must not change meanwhile.
        most: The largest number of rows that such a listing can have.

    Raises:
        SkippableError: The listing does not end: too many pages in a row have the same rows or
            none, or there are too many rows.
    """
    values: list[Row] = []
    equal = counted = 0
    with contextlib.closing(_followed(ask, start, ahead)) as found:
        for page in found:
            equal = equal + 1 if page.values == values else 0
            values = page.values
            counted += max(len(values), LEAST_ROWS)
            if equal > MOST_EQUAL_PAGES:
                raise _endless(url, "it repeats empty pages or the same rows")
            if counted > most:
                raise _endless(url, "no server has this many rows")
            yield page


def _endless(url: str, why: str) -> SkippableError:
    return SkippableError(f"The listing {url} does not end: {why}.", url=url)


def _followed(
    ask: Callable[[int], Page[Row]], start: int, ahead: Ahead | None
) -> Generator[Page[Row], None, None]:
    """Yield the pages; request following ones where they would start if all had equal size.

    A guessed page is used only if the page before it confirms its start. A wrong guess costs
    requests but no rows, and ends the guessing. At most one and a half times as many pages are
    requested ahead as have been read, so that short listings waste few requests.
    """
    asked: deque[tuple[int, Future[Page[Row]]]] = deque()
    expected: int | None = start
    stride: int | None = None
    read = 0
    try:
        while expected is not None:
            if ahead and stride and ahead.its_turn():
                following = asked[-1][0] + stride if asked else expected
                while len(asked) < min(ahead.most, read * 3 // 2 or 1):
                    asked.append((following, ahead.threads.submit(ask, following)))
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


def _cancel(asked: deque[tuple[int, Future[Page[Row]]]]) -> None:
    for _, future in asked:
        future.cancel()
    asked.clear()
