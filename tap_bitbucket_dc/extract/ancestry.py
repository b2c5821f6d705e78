"""The graph of the commits that a server sends, which shows which of them are missing.

A commit names its parents. So answers prove their own completeness: each parent has to arrive as
well, unless it lies outside of the requested range. Sends no requests and knows no bookmarks.
"""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING

from tap_bitbucket_dc.bitbucket.errors import SkippableError
from tap_bitbucket_dc.bitbucket.models import UNTOLD

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket import Commit
    from tap_bitbucket_dc.bitbucket.models import Parent


class UnrelatedError(SkippableError):
    """A commit is unrelated to the others: none names it as a parent, or its parents are missing.

    It belongs to another range or repository, or an answer left out a commit or its parents.
    """


class Ancestry:
    """The commits of one range that have arrived, and those that still have to.

    Each commit is remembered as a 64-bit hash of its id. This takes 8 bytes per commit as long as
    the history is linear, so that no commit can arrive twice, and 70 more once it has branched.
    """

    def __init__(self, until: str | None = None, *, is_whole: bool = False) -> None:
        """Start with no commits.

        Args:
            until: The commit that has to arrive, None if none in particular.
            is_whole: Whether the range is a whole history, for which wrong clocks do not matter.
        """
        self.until = until
        self.missing: set[str] = {until} if until else set()
        """Commits that were requested, or are named as a parent, and have not arrived."""
        self.outside: set[str] = set()
        """Those of them that lie outside of the range, so that they need not arrive."""
        self.is_skewed = False
        """Whether a commit is older than its parent; not determined for a whole history.

        Git walks from new to old and stops early (``SLOP`` in its revision.c), so wrong
        dates can make it list commits that ought to be excluded. It lists the newest first, but
        a parent never before its child: where dates rise in a listing, a clock was wrong.
        """
        self._is_whole = is_whole
        self._keys = array("q")
        self._index: set[int] | None = None
        self.checksum = 0
        """CRC-32 of the ids in the order in which they were returned by ``take``."""
        self.untold: set[str] = set()
        """Commits whose list of parents no answer has contained; see ``UNTOLD``."""
        self.roots: set[str] = set()
        """Commits that have arrived with an empty list of parents."""
        self._last_date: int | None = None

    def __len__(self) -> int:
        """Return how many commits have arrived."""
        return len(self._keys if self._index is None else self._index)

    def __contains__(self, commit_id: str) -> bool:
        """Return whether a commit has arrived."""
        return hash(commit_id) in self._indexed()

    @property
    def has_root(self) -> bool:
        """Whether a commit has arrived with an empty list of parents, or without a list."""
        return bool(self.roots or self.untold)

    def names(self, commit_id: str) -> bool:
        """Return whether a commit has arrived, or is a parent of one that has."""
        return commit_id in self.missing or commit_id in self

    def wanted(self) -> set[str]:
        """Return the commits that still have to arrive."""
        return self.missing - self.outside

    def begin(self) -> None:
        """Note that another listing begins, with its own order of dates."""
        self._last_date = None

    def take(self, commits: list[Commit], *, strict: bool = False) -> list[Commit]:
        """Note the commits of a page, and return those that are new.

        A commit is returned again if its list of parents was missing before, or was empty, and
        no longer is.

        Args:
            commits: In the order of the listing.
            strict: Whether each new commit has to be in ``missing``, or a parent of one before it
                on the page. Git always lists a child first.

        Raises:
            UnrelatedError: One of them is neither. Then none of them has been noted.
        """
        ids = [commit.id for commit in commits]
        parents = [commit.parents for commit in commits]
        named = [parent.id for each in parents for parent in each]
        untold = [commit.id for commit in commits if commit.parents is UNTOLD]
        if untold:
            named = [commit_id for commit_id in named if commit_id]
        if self._index is None and self._is_chain(ids, parents, named):
            self.missing = {*named[len(ids) - 1 :]}
            self._keys.extend(map(hash, ids))
            if not self.missing:
                self.roots.add(ids[-1])
        else:
            if strict:
                self._require_related(commits)
            index, keys = self._indexed(), {*map(hash, ids)}
            if len(keys) < len(ids) or not index.isdisjoint(keys):
                commits = self._new(commits)
            index |= keys
            self.roots.update(commit.id for commit in commits if not commit.parents)
            self.missing.difference_update(ids)
            self.missing.update(parent for parent in named if hash(parent) not in index)
        self.untold.update(untold)
        ids = [commit.id for commit in commits]
        self.checksum = zlib.crc32("".join(ids).encode(), self.checksum)
        if not self._is_whole:
            self._look_at(commits)
        return commits

    def overlaps(self, other: Ancestry) -> bool:
        """Return whether a commit has arrived here that has arrived or is missing in ``other``."""
        if not self._indexed().isdisjoint(other._indexed()):
            return True
        return any(commit_id in self for commit_id in other.missing)

    def remove(self, other: Ancestry) -> None:
        """Forget the commits that have arrived in the other one as well."""
        self._indexed().difference_update(other._indexed())

    def _is_chain(
        self, ids: list[str], parents: list[tuple[Parent, ...]], named: list[str]
    ) -> bool:
        """Return whether the commits continue a linear history.

        Then only the first of them is missing, and each names the next as its only parent.

        Args:
            ids: Of the commits.
            parents: Of each commit.
            named: The ids of all parents.
        """
        before_last = len(ids) - 1
        return (
            bool(ids)
            and self.missing == {ids[0]}
            and named[:before_last] == ids[1:]
            and len(named) == before_last + len(parents[-1])
            and all(parents[:before_last])
        )

    def _require_related(self, commits: list[Commit]) -> None:
        known = {*self.missing}
        for commit in commits:
            if commit.id not in known and commit.id not in self:
                what = f"Bitbucket sent {commit.id}, which no commit before it names as a parent."
                raise UnrelatedError(what)
            known.update(parent.id for parent in commit.parents)

    def _indexed(self) -> set[int]:
        if self._index is None:
            self._index = set(self._keys)
        return self._index

    def _new(self, commits: list[Commit]) -> list[Commit]:
        unique = {commit.id: commit for commit in commits}
        told = {id_ for id_ in self.untold & unique.keys() if unique[id_].parents is not UNTOLD}
        grown = told | {id_ for id_ in self.roots & unique.keys() if unique[id_].parents}
        self.untold -= told
        self.roots -= grown
        return [each for id_, each in unique.items() if id_ in grown or id_ not in self]

    def _look_at(self, commits: list[Commit]) -> None:
        last = self._last_date
        for commit in commits:
            date = commit.committer_timestamp
            if date is not None:
                self.is_skewed = self.is_skewed or (last is not None and date > last)
                last = date
        self._last_date = last
