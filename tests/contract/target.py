"""A target that takes what the tap writes, and starts the next run with the last state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests import singer
from tests.contract.catalogs import catalog

if TYPE_CHECKING:
    from tests.conftest import Sync
    from tests.git_repository import GitRepository


class Target(singer.Table):
    """Runs the tap, one run after the other, each from the state that the last one left."""

    def __init__(self, sync: Sync) -> None:
        super().__init__()
        self._sync = sync

    def read(self, **settings: Any) -> singer.Output:
        """Run the tap, which must succeed, and take everything it writes."""
        output = self._sync(self.state, **settings)
        assert output.exit_code == 0, output.log
        self.take(output.messages)
        return output

    def read_full_table(self) -> singer.Output:
        """Do the same as ``read``, with commits as FULL_TABLE."""
        output = self._sync(self.state, catalog(full_table=["commits"]))
        assert output.exit_code == 0, output.log
        self.take(output.messages)
        return output

    def read_until(self, commits: int, **settings: Any) -> None:
        """Run the tap, but take only this many commits, as if it then ended by ``kill -9``."""
        self.take(until(self._sync(self.state, **settings), commits))

    def copy(self) -> Target:
        """Return another one with the same rows and state."""
        copy = Target(self._sync)
        copy.commits, copy.state = {**self.commits}, self.state
        return copy

    def holds(self, repository: GitRepository, repository_id: int = 12) -> bool:
        """Return whether its commits on the default branch are those of ``git rev-list``."""
        return self.on_default_branch(repository_id) == set(repository.rev_list())


def until(output: singer.Output, commits: int) -> list[singer.Json]:
    """Return the messages up to and including the n-th commit."""
    seen = 0
    for index, message in enumerate(output.messages):
        if seen == commits:
            return output.messages[:index]
        seen += message["type"] == "RECORD" and message["stream"] == "commits"
    return output.messages


def flags(output: singer.Output) -> list[tuple[str, bool]]:
    """Return (id, on_default_branch) of the commits, in their order."""
    return [(record["id"], record["on_default_branch"]) for record in output.records("commits")]


def partitions(state: singer.Json | None) -> dict[int, singer.Json]:
    """Return the partitions of the commits in a state, by repository id."""
    found = state["bookmarks"]["commits"]["partitions"] if state else []
    return {partition["context"]["repository_id"]: partition for partition in found}
