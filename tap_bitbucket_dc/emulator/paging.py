"""Pages of a listing.

::

    {"size": 2, "limit": 2, "isLastPage": false, "values": […], "start": 0, "nextPageStart": 3}

Rows that the caller may not see are missing from ``values``, but have a number of their own. Above,
the third of four rows is hidden, so nextPageStart is not start + size.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tap_bitbucket_dc.emulator.exchange import Json

DEFAULT_LIMIT = 25


@dataclass(frozen=True)
class Paging:
    """Which page a request asks for, and how the server numbers rows.

    Attributes:
        query: The query of the request, in which ``start`` and ``limit`` are optional.
        caps: The highest limit for each kind of rows. A higher one is lowered silently.
        stride: How many numbers are skipped between two rows; twice as many between the first two.
        streamed_null: Whether nextPageStart is null on the last page of a listing that Bitbucket
            streams from git. Otherwise it is absent.
        null: The same for every other listing.
    """

    query: Mapping[str, str]
    caps: Mapping[str, int]
    stride: int
    streamed_null: bool
    null: bool

    def page(
        self, kind: str, shown: Sequence[int], values: Callable[[Sequence[int]], list[Json]]
    ) -> Json:
        """Return a page.

        Args:
            kind: The kind of the rows: a key of ``caps``.
            shown: The numbers of the rows that the caller may see, ascending.
            values: Returns the JSON of the rows with the given numbers.
        """
        start, limit, rows, following = self._cut(kind, shown)
        body: Json = {
            "size": len(rows),
            "limit": limit,
            "isLastPage": following is None,
            "values": values(rows),
            "start": start,
        }
        return body if following is None and not self.null else {**body, "nextPageStart": following}

    def streamed(
        self, kind: str, shown: Sequence[int], values: Callable[[Sequence[int]], list[Json]]
    ) -> Json:
        """Return a page in the form Bitbucket uses for output of git: ``values`` come first."""
        start, limit, rows, following = self._cut(kind, shown)
        body: Json = {
            "values": values(rows),
            "size": len(rows),
            "isLastPage": following is None,
            "start": start,
            "limit": limit,
        }
        if following is None and not self.streamed_null:
            return body
        return {**body, "nextPageStart": following}

    def _cut(self, kind: str, shown: Sequence[int]) -> tuple[int, int, Sequence[int], int | None]:
        start = self._number("start", 0, least=0)
        limit = min(self._number("limit", DEFAULT_LIMIT, least=1), self.caps[kind])
        first = bisect_left(shown, self._row(start))
        following = [self._position(row) for row in shown[first + limit : first + limit + 1]]
        return start, limit, shown[first : first + limit], following[0] if following else None

    def _number(self, name: str, default: int, *, least: int) -> int:
        value = self.query.get(name, str(default))
        if not value.isdecimal() or int(value) < least:
            raise errors.invalid(name, value)
        return int(value)

    def _position(self, row: int) -> int:
        """Return the number that stands for a row in ``start`` and ``nextPageStart``."""
        return row + self.stride * (row + 1) if row else 0

    def _row(self, position: int) -> int:
        return max(0, -(-(position - self.stride) // (self.stride + 1)))
