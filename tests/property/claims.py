"""What must hold of the tap's messages, whatever a world does.

* A run may be killed after **any** message. Every commit written so far is then reachable from a
  commit in the last state, so that the next run can correct its flag; and every commit reachable
  from the head in that state has been written.
* In an undisturbed run, new and removed commits are emitted, each exactly once.
* After a complete run, the commits on the default branch are those of ``git rev-list``.

There is one known limit, and the checks allow for it as narrowly as possible. If a former head, or
the end of a range whose reading was interrupted, has been garbage-collected, the server no longer
knows what was reachable from it. Commits that were reachable only from there may stay on the
default branch in the target; the run has to warn, and no commit of ``git rev-list`` may be missing.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, NamedTuple

from tests import singer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.property.histories import History

COLLECTED = ("were garbage-collected", "may still be marked")  # words of the warnings
RESTARTED = "starting over"


class Place(NamedTuple):
    """How far a repository was read, according to the state."""

    head: str | None = None
    until: str | None = None
    start: int = 0
    checksum: int = 0
    next: str = ""

    @classmethod
    def all(cls, state: singer.Json | None) -> dict[int, Place]:
        """Return the places in a state, by repository id."""
        partitions = (state or {}).get("bookmarks", {}).get("commits", {}).get("partitions", [])
        return collections.defaultdict(
            cls,
            {
                p["context"]["repository_id"]: cls(p.get("head"), **p.get("reading", {}))
                for p in partitions
            },
        )


class Claims:
    """A target's table, and what must be true of it and of the runs that fill it.

    Args:
        histories: The current repositories; the caller keeps the list up to date.
    """

    def __init__(self, histories: list[History]) -> None:
        self.table = singer.Table()
        self._histories = histories
        self._places = Place.all(None)
        self._present: dict[int, frozenset[str]] = {}
        self.replaced: set[int] = set()
        """Ids of deleted repositories whose name another one took. No 404 shows that they were
        deleted, so they may stay in the state."""
        self._left_over: dict[int, set[str]] = collections.defaultdict(set)

    def begin(self) -> None:
        """Remember the state and the server's commits before a run."""
        self._places = Place.all(self.table.state)
        self._present = {history.id: frozenset(history.present) for history in self._histories}

    def check_messages(self, output: singer.Output) -> None:
        """Check that after any message, the last state fits the commits written so far."""
        by_id = {history.id: history for history in self._histories}
        table = singer.Table()
        table.take(self._taken())
        places = self._places
        for message in output.messages:
            table.take([message])
            if message["type"] == "STATE":
                places = Place.all(table.state)
                for id_ in places.keys() & by_id:
                    self._check_place(by_id[id_], places[id_], table)
            elif message["type"] == "RECORD" and message["stream"] == "commits":
                record = message["record"]
                head, until, *_ = places[record["repository_id"]]
                history = by_id[record["repository_id"]]
                told = history.reach(head, until if record["on_default_branch"] else None)
                assert record["id"] in told, (
                    f"{history.name}: {head}..{until} tells not of {record}"
                )

    def check_emitted(self, output: singer.Output) -> None:
        """Check that new and removed commits are emitted exactly once, and no others."""
        for history in self._histories:
            place = self._places[history.id]
            if was_read(history, output) and place.until is None:
                found = [
                    (record["id"], record["on_default_branch"])
                    for record in output.records("commits")
                    if record["repository_id"] == history.id
                ]
                new = head(history, output)
                old = place.head
                if old and old not in self._present[history.id]:
                    assert any(says(output, history, words) for words in COLLECTED), output.log
                    old = None
                assert sorted(found) == _expected(history, old, new), history.name

    def check_table(self, output: singer.Output) -> None:
        """Check that the commits on the default branch in the target are those of git."""
        places = Place.all(self.table.state)
        known = {history.id for history in self._histories} | self.replaced
        assert set(places) <= known, "deleted, but in state"
        for history in self._histories:
            place = places[history.id]
            if not was_read(history, output):
                continue
            assert place.until is None
            assert place.head == head(history, output) or says(output, history, RESTARTED)
            reached = history.reach(place.head)
            if place.head in history.present:
                assert reached == set(history.git.rev_list(place.head))
            on_branch = self.table.on_default_branch(history.id)
            missing = reached - on_branch
            assert not missing, f"{history.name} misses {missing}"
            extra = on_branch - reached - self._left_over[history.id]
            assert not extra, f"{history.name} still has {extra}"

    def note_limits(self, output: singer.Output) -> None:
        """Remember which commits may be wrong from now on because of the known limit."""
        states = [self.table.state, *output.states]
        for history in self._histories:
            ends = [end for state in states for end in Place.all(state)[history.id][:2] if end]
            if any(says(output, history, words) for words in COLLECTED):
                self._left_over[history.id] |= history.reach(*{*ends} - history.present)

    def _taken(self) -> Iterable[singer.Json]:
        """Yield messages that produce an equal table."""
        for record in self.table.commits.values():
            yield {"type": "RECORD", "stream": "commits", "record": record}
        yield {"type": "STATE", "value": self.table.state}

    def _check_place(self, history: History, place: Place, table: singer.Table) -> None:
        there = {commit for id_, commit in table.commits if id_ == history.id}
        if place.until is None:
            there = table.on_default_branch(history.id)
        missing = history.reach(place.head) - there
        assert not missing, (
            f"{history.name}: {place} is in the state, but not yet out are {missing}"
        )


def _expected(history: History, old: str | None, new: str | None) -> list[tuple[str, bool]]:
    """Return what a run must emit, as (id, on default branch), sorted."""
    if old == new:
        return []
    difference = history.difference(old, new)
    expected = [(commit, True) for commit in difference.added]
    if old not in history.reach(new):  # otherwise none was removed
        expected += [(commit, False) for commit in difference.removed]
    return sorted(expected)


def says(output: singer.Output, history: History, words: str) -> bool:
    """Return whether a line of the log has the repository's name and these words."""
    lines = output.log.splitlines()
    return any(f" {history.name} " in line and words in line for line in lines)


def head(history: History, output: singer.Output) -> str | None:
    """Return the latest commit of the default branch as the run saw it."""
    row = _row(history, output)
    return row["latest_commit"] if row else None


def was_read(history: History, output: singer.Output) -> bool:
    """Return whether the repository was read to its end, as far as the log says."""
    if output.exit_code and "not read: " not in output.last_line:
        return False
    failed = any(says(output, history, words) for words in ("was not read", "is inaccessible"))
    row = _row(history, output)
    return row is not None and row["status"] != "inaccessible" and not failed


def _row(history: History, output: singer.Output) -> singer.Json | None:
    rows = output.records("default_branches")
    return next((row for row in rows if row["repository_id"] == history.id), None)
