"""The graph of the commits that a server sends: which of them are missing, by its own word.

A commit names its parents. So an answer proves itself: each parent has to arrive as well, unless
it lies outside of the range that was asked for. Sends no request and knows no bookmark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_bitbucket_dc.bitbucket import Commit

# An id is remembered by 60 bits of its hash: 65 bytes a commit in a set, where the id itself
# would take 130. In a history of a million commits two share them once in two million cases.
_BITS = (1 << 60) - 1


class Ancestry:
    """The commits of one range that have arrived, and those that still have to."""

    def __init__(self, until: str | None = None) -> None:
        """Begin with nothing; ``until`` has to arrive."""
        self.missing: set[str] = {until} if until else set()
        """Commits that were asked for, or are named as a parent, and have not arrived."""
        self.outside: set[str] = set()
        """Those of them that lie outside of the range, so that they need not arrive."""
        self.has_root = False
        """Whether a commit without parents has arrived."""
        self.is_skewed = False
        """Whether a commit is older than its parent: git then takes wrong turns.

        Git walks from new to old and stops early (``SLOP`` in its revision.c), so it may list
        commits that ought to be excluded. It lists a parent after its child: where dates rise
        in a listing, a clock was wrong.
        """
        self._seen: set[int] = set()
        self._last_date: int | None = None

    def __len__(self) -> int:
        """Return how many commits have arrived."""
        return len(self._seen)

    def __contains__(self, commit_id: str) -> bool:
        """Return whether a commit has arrived."""
        return _key(commit_id) in self._seen

    def names(self, commit_id: str) -> bool:
        """Return whether a commit has arrived, or is a parent of one that has."""
        return commit_id in self.missing or commit_id in self

    def wanted(self) -> set[str]:
        """Return the commits that still have to arrive."""
        return self.missing - self.outside

    def begin(self) -> None:
        """Note that another listing begins, whose dates start anew."""
        self._last_date = None

    def take(self, commits: list[Commit]) -> list[Commit]:
        """Note the commits of a page, and return those that had not arrived before."""
        ids = [commit.id for commit in commits]
        keys = {hash(commit_id) & _BITS for commit_id in ids}
        if len(keys) < len(ids) or not self._seen.isdisjoint(keys):
            commits = self._new(commits)
        self._seen |= keys
        named = {parent.id for commit in commits for parent in commit.parents}
        named.difference_update(ids)
        self.missing.difference_update(ids)
        self.missing.update(parent for parent in named if _key(parent) not in self._seen)
        self._look_at(commits)
        return commits

    def overlaps(self, other: Ancestry) -> bool:
        """Return whether a commit has arrived here that the other one has, or names."""
        if not self._seen.isdisjoint(other._seen):
            return True
        return any(commit_id in self for commit_id in other.missing)

    def remove(self, other: Ancestry) -> None:
        """Forget the commits that have arrived in the other one as well."""
        self._seen -= other._seen

    def _new(self, commits: list[Commit]) -> list[Commit]:
        unique = {commit.id: commit for commit in commits}
        return [commit for commit_id, commit in unique.items() if commit_id not in self]

    def _look_at(self, commits: Iterable[Commit]) -> None:
        last = self._last_date
        for commit in commits:
            date = commit.committer_timestamp
            if date is not None:
                self.is_skewed = self.is_skewed or (last is not None and date > last)
                last = date
            self.has_root = self.has_root or not commit.parents
        self._last_date = last


def _key(commit_id: str) -> int:
    return hash(commit_id) & _BITS
