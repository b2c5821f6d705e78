"""What a visit to a repository finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket import Branch, Commit
    from tap_bitbucket_dc.bitbucket.errors import InaccessibleError
    from tap_bitbucket_dc.state import Bookmark


class DefaultBranch(NamedTuple):
    """A default branch, whose ``status`` is ``ok``, ``empty``, ``missing`` or ``inaccessible``."""

    status: str
    branch: Branch | None = None
    """Only if the status is ``ok``."""
    refusal: InaccessibleError | None = None
    """Only if the status is ``inaccessible``."""

    @property
    def display_id(self) -> str | None:
        """Its short name, None unless the status is ``ok``."""
        return self.branch.display_id if self.branch else None

    @property
    def latest_commit(self) -> str | None:
        """The id of its newest commit, None unless the status is ``ok``."""
        return self.branch.latest_commit if self.branch else None


class CommitPage(NamedTuple):
    """Commits as Bitbucket sends them, with what the state must say before and after them."""

    values: list[Commit]
    on_default_branch: bool
    resume_at: Bookmark
    """What the state must say before the first of them is written."""
    then: Bookmark
    """What the state may say once the last of them is written."""
