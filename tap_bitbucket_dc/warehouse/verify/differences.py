"""What `verify` has found, as text and as JSON. Knows neither the database nor Bitbucket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tap_bitbucket_dc.extract.outcome import counted

SHOWN = 5  # ids of each kind in the text


def differ(number: int) -> str:
    """Return how many repositories differ."""
    return f"{number:,} {'differs' if number == 1 else 'differ'}"


class Difference(NamedTuple):
    """A repository that differs between the warehouse and Bitbucket."""

    repository: str
    """``KEY/slug``."""
    repository_id: int
    kind: str
    """``commits``: the ids of its commits differ.
    ``not_loaded``: the repository or its default branch has no row.
    ``gone``: it has rows, but Bitbucket no longer has it, or lists it no longer.
    ``rewritten``: Bitbucket no longer has the loaded head.
    """
    why: str = ""
    """The reason as text; empty if ``kind`` is ``commits``."""
    missing: tuple[str, ...] = ()
    """Ids of commits on the default branch that no row marks as such, newest first."""
    too_many: tuple[str, ...] = ()
    """Ids of commits that a row marks as on the default branch, although they are not."""
    marked: frozenset[str] = frozenset()
    """Missing ids that have a row whose ``on_default_branch`` is false."""

    @property
    def text(self) -> str:
        """The difference as text, with the first ids, one per line."""
        if self.kind != "commits":
            return f"{self.repository}: {self.why}"
        parts = {"missing": self.missing, "too many": self.too_many}
        counts = [f"{len(ids):,} {part}" for part, ids in parts.items() if ids]
        lines = [f"{self.repository}: {', '.join(counts)}"]
        for part, ids in parts.items():
            for id_ in ids[:SHOWN]:
                note = " (its row has on_default_branch false)" if id_ in self.marked else ""
                lines.append(f"  {part}: {id_}{note}")
            if len(ids) > SHOWN:
                lines.append(f"  … and {len(ids) - SHOWN:,} more")
        return "\n".join(lines)

    @property
    def facts(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        facts: dict[str, Any] = {
            "repository": self.repository,
            "repository_id": self.repository_id,
            "kind": self.kind,
        }
        if self.kind != "commits":
            return {**facts, "why": self.why}
        return {
            **facts,
            "missing": list(self.missing),
            "too_many": list(self.too_many),
            "on_default_branch_false": [id_ for id_ in self.missing if id_ in self.marked],
        }


@dataclass
class Result:
    """What one run has found so far."""

    allow_gone: bool = False
    """Whether differences of the kind ``gone`` do not count."""
    repositories: int = 0
    """Repositories that were compared, including those that differ."""
    commits: int = 0
    """Commits reachable from their default branches in Bitbucket."""
    seconds: float = 0.0
    requests: int = 0
    differences: list[Difference] = field(default_factory=list)
    inaccessible: list[str] = field(default_factory=list)
    """Repositories that could not be compared: inaccessible now, or when they were loaded."""
    failed: list[str] = field(default_factory=list)
    """Repositories that could not be compared because of errors."""
    is_complete: bool = False
    """Whether the run finished without an error."""

    @property
    def is_equal(self) -> bool:
        """Whether everything was compared and is equal; inaccessible repositories do not count."""
        return self.is_complete and not self._counting

    @property
    def _counting(self) -> list[Difference]:
        return [each for each in self.differences if not (self.allow_gone and each.kind == "gone")]

    @property
    def text(self) -> str:
        """The last line of the output."""
        found = "all equal"
        if self._counting:
            found = differ(len(self._counting))
        elif not self.is_complete:
            found = "no differences so far"
        notes = {"inaccessible": self.inaccessible, "failed": self.failed}
        others = "".join(f", {len(names):,} {note}" for note, names in notes.items() if names)
        return (
            f"{counted(self.repositories, 'repository')}, {counted(self.commits, 'commit')}, "
            f"{self.seconds:.1f} seconds: {found}{others}"
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        return {
            "equal": self.is_equal,
            "repositories": self.repositories,
            "commits": self.commits,
            "seconds": round(self.seconds, 3),
            "requests": self.requests,
            "differences": [difference.facts for difference in self.differences],
            "inaccessible": self.inaccessible,
            "failed": self.failed,
        }
