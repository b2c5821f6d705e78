"""One repository of a world: real git, changed at random, and a record of every commit it ever had.

After a ``gc``, git no longer knows what was reachable from a collected commit; the record does.
This module knows nothing of the server or the tap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tests.git_repository import FIRST_DATE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from tests.git_repository import GitRepository

YEAR = 365 * 24 * 3600  # seconds
BRANCHES = ("main", "trunk", "release/1.x")
SIDE = "side"  # the branch to which new commits are written first


class Difference(NamedTuple):
    """The commits that a run has to emit when the head moves from an old to a new commit.

    Attributes:
        added: Reachable from the new, but not from the old. If clocks were wrong, git may list more
            commits that are reachable from the new, and these are included.
        removed: Reachable from the old, but not from the new. Git may list more, because it goes by
            dates and gives up after a few wrong ones; the tap must not believe it.
    """

    added: frozenset[str]
    removed: frozenset[str]


class History:
    """A repository with a random past and future.

    Attributes:
        present: The commits that the server has, reachable or not.
        branches: The id of the tip of each branch, by name.
        skewed: Whether the dates of some commits are wrong by years.
    """

    def __init__(self, git: GitRepository, repository_id: int, *, skewed: bool = False) -> None:
        self.git = git.facts(id=repository_id)
        self.id = repository_id
        self.skewed = skewed
        self.default = git.default_branch
        self.present: set[str] = set()
        self.branches: dict[str, str] = {}
        self._parents: dict[str, tuple[str, ...]] = {}
        self._reach: dict[str, frozenset[str]] = {}
        self._former: list[str] = []

    @property
    def name(self) -> str:
        """``PAY/ledger``, as the tap's log names it."""
        return f"{self.git.path.parent.name}/{self.git.path.name}"

    @property
    def tip(self) -> str | None:
        return self.branches.get(self.default)

    def reach(self, *commits: str | None) -> frozenset[str]:
        """Return these commits and all reachable from them, even if they were collected."""
        return frozenset().union(*(self._reached(commit) for commit in commits if commit))

    def _reached(self, commit: str) -> frozenset[str]:
        if commit not in self._reach:
            found: set[str] = set()
            following = [commit]
            while following:
                one = following.pop()
                if one not in found:
                    found.add(one)
                    following += self._parents[one]
            self._reach[commit] = frozenset(found)
        return self._reach[commit]

    def fork(self, git: GitRepository, repository_id: int) -> History:
        """Return another repository that begins with the same commits."""
        fork = History(git, repository_id, skewed=self.skewed)
        fork.default, fork.present, fork.branches = self.default, {*self.present}, {**self.branches}
        fork._parents, fork._former = {**self._parents}, [*self._former]
        return fork

    def change(self, random: Random, changes: Iterable[Change] | None = None) -> str:
        """Make one change, drawn from ``changes`` or else ``CHANGES``, and return its name."""
        change = random.choice(list(changes or CHANGES))
        change(self, random)
        return change.__name__

    def difference(self, old: str | None, new: str | None) -> Difference:
        """Return what the tap has to emit when the head moves from ``old`` to ``new``."""
        reached, former = self.reach(new), self.reach(old)
        exact = Difference(reached - former, former - reached)
        if not self.skewed or not {old, new} <= self.present:
            return exact
        added = frozenset(self.git.rev_list(str(new), f"^{old}"))
        assert exact.added <= added <= reached
        return Difference(added, exact.removed)

    # Changes.

    def push(self, random: Random) -> None:
        """Push one or a few commits on the default branch."""
        self._move(self._line(random, self.tip))

    def merge_late(self, random: Random) -> None:
        """Merge a branch that starts at any commit, or has a root of its own if there is none."""
        side = self._line(random, self._any(random))
        self._move(self._commit(random, [*filter(None, [self.tip]), side]))

    def merge_octopus(self, random: Random) -> None:
        """Merge several branches at once."""
        sides = [self._line(random, self._any(random)) for _ in range(random.randint(2, 4))]
        self._move(self._commit(random, [*filter(None, [self.tip]), *sides]))

    def merge_unrelated(self, random: Random) -> None:
        """Merge a history with a root of its own."""
        side = self._line(random, None)
        self._move(self._commit(random, [*filter(None, [self.tip]), side]))

    def rewind(self, random: Random) -> None:
        """Force the branch back to an ancestor."""
        if self.tip:
            self._move(random.choice(self._ordered(self.reach(self.tip))))

    def rewrite(self, random: Random) -> None:
        """Force push new commits on top of some ancestor."""
        if self.tip:
            self._move(self._line(random, random.choice(self._ordered(self.reach(self.tip)))))

    def replace(self, random: Random) -> None:
        """Force push an unrelated history."""
        self._move(self._line(random, None))

    def come_back(self, random: Random) -> None:
        """Force the default branch to where it, or an earlier default branch, once was."""
        former = [commit for commit in self._former if commit in self.present]
        if former:
            self._move(random.choice(former))

    def switch(self, random: Random) -> None:
        """Change the default branch at random; the new one may not exist."""
        self.default = random.choice(BRANCHES)
        if self.default not in self.branches and random.randrange(2) and (to := self._any(random)):
            self._move(to)
        self.git.default_branch = self.default

    def delete(self, _: Random) -> None:
        """Delete the default branch."""
        self._drop(self.default)

    def empty(self, _: Random) -> None:
        """Delete all branches."""
        for branch in list(self.branches):
            self._drop(branch)

    def collect(self, _: Random) -> None:
        """Garbage-collect what is not reachable from a branch."""
        self.git.gc()
        self.present = set(self.reach(*self.branches.values()))

    def vanish(self, random: Random) -> None:
        """Force push, delete all other branches, and collect what is no longer reachable."""
        random.choice([History.rewind, History.come_back, History.replace])(self, random)
        for branch in set(self.branches) - {self.default}:
            self._drop(branch)
        self.collect(random)

    # Helpers.

    def _line(self, random: Random, base: str | None) -> str:
        """Push a few commits in a row on the side branch; return the last."""
        wrong = self.skewed and random.randrange(4) == 0
        date = FIRST_DATE + random.randint(-20, 20) * YEAR if wrong else None
        for _ in range(random.randint(5, 9) if wrong else random.randint(1, 4)):
            base = self._commit(random, [base] if base else [], date)
        return str(base)

    def _commit(self, random: Random, parents: list[str], date: int | None = None) -> str:
        if self.skewed and random.randrange(8) == 0:
            date = FIRST_DATE + random.randint(-20, 20) * YEAR
        parents = list(dict.fromkeys(parents))
        message = f"Commit {len(self._parents)} of {self.id}"
        commit = self.git.commit(message, parents=parents, date=date, branch=SIDE)
        self._parents[commit] = tuple(parents)
        self.present.add(commit)
        self.branches[SIDE] = commit
        return commit

    def _move(self, commit: str) -> None:
        self.git.point(self.default, commit)
        self.branches[self.default] = commit
        self._former.append(commit)

    def _drop(self, branch: str) -> None:
        if self.branches.pop(branch, None):
            self.git.point(branch, None)

    def _any(self, random: Random) -> str | None:
        """Return any commit the server has, None if it has none."""
        return random.choice(self._ordered(self.present)) if self.present else None

    def _ordered(self, commits: Iterable[str]) -> list[str]:
        """Return commits in the order of creation, so that a draw does not depend on their ids."""
        wanted = set(commits)
        return [commit for commit in self._parents if commit in wanted]


Change = Callable[[History, "Random"], None]

GROWTH: list[Change] = [
    History.push,
    History.push,
    History.merge_late,
    History.merge_octopus,
    History.merge_unrelated,
]
REWRITES: list[Change] = [
    History.rewind,
    History.rewrite,
    History.rewrite,
    History.replace,
    History.come_back,
    History.come_back,
    History.switch,
    History.delete,
    History.empty,
]
COLLECTIONS: list[Change] = [History.collect, History.vanish, History.vanish]
CHANGES: list[Change] = [*GROWTH, *REWRITES, *COLLECTIONS]
