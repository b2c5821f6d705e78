"""Wrong answers with status 200, after which an extractor may lose commits without noticing.

::

    bitbucket.faults.append(EMPTY_PAGE.on("ledger/commits"))
    bitbucket.faults.append(EMPTY_PAGE.on("ledger/commits.*start=100"))  # on the second page
    bitbucket.faults.append(WITHOUT_LAST_ROW.on("ledger/commits", times=None))
    bitbucket.faults.append(commits_of("PAY/wages").on("ledger/commits"))

A lie changes the pages that it happens to only as described; the rest of each page, ``totalCount``
included, is as in the true answer. An answer that is not a page, such as a 404, stays as it is,
except that ``commits_of`` replaces the whole answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator.exchange import Json


def _lie(change: Callable[[Json], Json], ask: Callable[[str], str] | None = None) -> Fault:
    """Return the fault that changes pages, and leaves every other answer as it is."""
    return Fault(
        kind="replace",
        replace=lambda body: change(body) if "values" in body else body,
        ask=ask,
    )


def _last(body: Json) -> Json:
    """Return the page as the last one."""
    return {**{name: body[name] for name in body if name != "nextPageStart"}, "isLastPage": True}


def _empty(body: Json) -> Json:
    return {**_last(body), "values": [], "size": 0}


def _without(place: Callable[[int], int]) -> Callable[[Json], Json]:
    """Return a function that removes a row; ``place`` maps the number of rows to its index."""

    def change(body: Json) -> Json:
        values = list(body["values"])
        if values:
            del values[place(len(values))]
        return {**body, "values": values, "size": len(values)}

    return change


def _without_parents(body: Json) -> Json:
    """Return the page with a row in its middle that has no parents."""
    values = list(body["values"])
    if values:
        place = len(values) // 2
        values[place] = {**values[place], "parents": []}
    return {**body, "values": values}


def _from_the_start(target: str) -> str:
    return re.sub(r"(?<=[?&]start=)\d+", "0", target)


EMPTY_PAGE = _lie(_empty)
"""The page has no rows and claims to be the last. On the first page this hides all rows, on a later
page the remaining ones."""

LAST_TOO_EARLY = _lie(_last)
"""The true rows, but ``isLastPage`` is true and there is no ``nextPageStart``."""

WITHOUT_FIRST_ROW = _lie(_without(lambda _: 0))
"""The first row is missing. ``size`` agrees with the rows, and the next page is the true one."""

WITHOUT_MIDDLE_ROW = _lie(_without(lambda size: size // 2))
"""The row in the middle is missing; otherwise the same as ``WITHOUT_FIRST_ROW``."""

WITHOUT_LAST_ROW = _lie(_without(lambda _: -1))
"""The last row is missing; otherwise the same as ``WITHOUT_FIRST_ROW``."""

WITHOUT_PARENTS = _lie(_without_parents)
"""The row in the middle has no parents, as if it were the first commit of its history."""

START_IGNORED = Fault(kind="replace", ask=_from_the_start)
"""The page at ``start=0``, whatever ``start`` was asked for. ``start`` in the answer is 0, and
``nextPageStart`` is that of the first page, so a client that follows it never comes to an end."""

START_IGNORED_AND_LAST = _lie(_last, ask=_from_the_start)
"""The page at ``start=0``, whatever ``start`` was asked for, and it claims to be the last one."""


def commits_of(repository: str) -> Fault:
    """Return the fault that shows the commits of the default branch of another repository.

    The ids in ``until`` and ``since`` are ignored, as the other repository may not have them.

    Args:
        repository: ``KEY/slug``.
    """
    key, _, slug = repository.partition("/")

    def ask(target: str) -> str:
        path, _, query = target.partition("?")
        if not path.endswith("/commits"):
            return target
        path = re.sub(r"/projects/[^/]+/repos/[^/]+", f"/projects/{key}/repos/{slug}", path)
        kept = [part for part in query.split("&") if not re.match("(until|since)=", part)]
        return f"{path}?{'&'.join(kept)}"

    return Fault(kind="replace", ask=ask)
