"""One visit to a repository: default branch, new commits, removed commits.

Knows how Bitbucket and git work, and the bookmark of one repository. Knows neither threads nor
Singer. Ancestry decides what is new (``git rev-list until ^since``), never a date: a branch that
is merged late brings old dates.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, NamedTuple

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.state import EMPTIED, Bookmark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tap_bitbucket_dc.bitbucket import Ahead, Branch, Client, Commit, Page, Repository

logger = logging.getLogger("tap-bitbucket-dc")

MOST_RESTARTS = 3  # of a range whose end the server lost while it was read


class DefaultBranch(NamedTuple):
    """What a repository's default branch is: ``ok``, ``empty``, ``missing`` or ``inaccessible``."""

    status: str
    branch: Branch | None = None
    """Only if the status is ``ok``."""
    refusal: errors.InaccessibleError | None = None
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
    """What it may say once the last of them is written."""


class _EndLostError(Exception):
    """The server lost the commit up to which a range was being read."""


class Visit:
    """What one run reads of one repository."""

    def __init__(
        self,
        client: Client,
        repository: Repository,
        bookmark: Bookmark,
        ahead: Ahead | None = None,
    ) -> None:
        """Ask nothing yet.

        Args:
            client: Where to read.
            repository: What to read.
            bookmark: How far it was read before.
            ahead: How the pages of a first read are requested in parallel; None for one
                after the other.
        """
        self._client = client
        self._repository = repository
        self._bookmark = bookmark
        self._ahead = ahead

    def default_branch(self) -> DefaultBranch:
        """Ask for the default branch: one request."""
        try:
            branch = self._client.default_branch(self._repository)
        except errors.NoDefaultBranchError:
            return DefaultBranch("missing")
        except errors.InaccessibleError as error:
            return DefaultBranch("inaccessible", refusal=error)
        return DefaultBranch("ok", branch) if branch else DefaultBranch("empty")

    def read(self) -> Iterator[DefaultBranch | CommitPage]:
        """Yield the default branch, then its new and its removed commits.

        The branch comes after the first request for commits, because a server that shows the
        branch but not the commits makes the repository ``inaccessible``. It comes again if
        the branch was rewritten while it was read, and reading started over.
        """
        for _ in range(MOST_RESTARTS):
            branch = self.default_branch()
            pages = self._commits(branch)
            try:
                first = next(pages, None)
                yield branch
                if first is not None:
                    yield first
                    yield from pages
            except _EndLostError:
                logger.warning(
                    "%s was rewritten while it was read: starting over", self._repository
                )
            except errors.InaccessibleError as error:
                yield DefaultBranch("inaccessible", refusal=error)
                return
            else:
                return
        what = f"The latest commit of {self._repository} vanishes each time it is read."
        raise errors.SkippableError(what)

    def _commits(self, branch: DefaultBranch) -> Iterator[CommitPage]:
        head = branch.latest_commit
        if branch.status == "inaccessible":
            return
        if self._bookmark.until not in {None, head or EMPTIED}:
            # A part of that range may be in the table. It is finished first, so that the
            # commits that were removed from it since are known.
            yield from self._unfinished()
        if head != self._bookmark.head:
            yield from self._move(head or EMPTIED)

    def _move(self, until: str) -> Iterator[CommitPage]:
        """Yield what lies between the head in the state and another commit."""
        if until == EMPTIED:
            yield from self._removed(None)
        else:
            yield from self._range(until)

    def _unfinished(self) -> Iterator[CommitPage]:
        """Finish the range that a former run, or this one, began."""
        try:
            yield from self._move(str(self._bookmark.until))
        except _EndLostError:
            logger.warning(
                "%s was rewritten before it was read to its end: commits that were on the "
                "default branch only then may still be marked as such",
                self._repository,
            )
            yield from self._restored()

    def _restored(self) -> Iterator[CommitPage]:
        """Yield what the head in the state leads to once more: some may be marked as removed."""
        before = self._bookmark
        if before.head is not None:
            with contextlib.suppress(errors.NoSuchCommitError):
                for page in self._read(before.head, None, 0):
                    yield CommitPage(page.values, True, before, before)  # noqa: FBT003
        self._bookmark = Bookmark(before.head)
        yield CommitPage([], True, before, self._bookmark)  # noqa: FBT003

    def _range(self, until: str) -> Iterator[CommitPage]:
        """Yield what is new up to a commit, then what is no longer reachable."""
        since = self._bookmark.head
        if self._bookmark.until != until:
            self._bookmark = Bookmark(since, until)
        forward = since is None
        ends: set[str] = set()
        try:
            for page in self._read(until, since, self._bookmark.start):
                if since is not None:
                    _follow(page.values, ends)
                    forward = since in ends
                resume_at = Bookmark(since, until, page.start)
                if page.next_start is not None:
                    then = Bookmark(since, until, page.next_start)
                else:
                    then = Bookmark(until) if forward else resume_at
                self._bookmark = then
                yield CommitPage(page.values, True, resume_at, then)  # noqa: FBT003
        except errors.NoSuchCommitError:
            yield from self._in_full(until)
            return
        if not forward:
            yield from self._removed(until, ends)

    def _in_full(self, until: str) -> Iterator[CommitPage]:
        """Read a whole history, because the server does not know ``since``."""
        if self._bookmark.head is None or not self._exists(until):
            raise _EndLostError
        logger.warning(
            "%s was rewritten and its former commits were collected: reading it in "
            "full; commits that are gone keep on_default_branch true",
            self._repository,
        )
        self._bookmark = Bookmark(None)
        yield from self._range(until)

    def _removed(self, new: str | None, ends: Collection[str] = ()) -> Iterator[CommitPage]:
        """Yield the commits that the former head leads to and the new one does not.

        Args:
            new: None if there is no default branch any more.
            ends: Commits that the new head leads to. If one of them comes back, wrong clocks
                misled git (``SLOP`` in its revision.c), and other commits may be wrong as
                well: only a history that is read in full is certain.
        """
        old = self._bookmark.head
        if old is None:
            return
        before = self._bookmark if new else Bookmark(old, EMPTIED)
        after = Bookmark(new)
        misled = False
        try:
            for page in self._read(old, new, 0):
                misled = misled or any(commit.id in ends for commit in page.values)
                last = page.next_start is None and not misled
                self._bookmark = after if last else before
                yield CommitPage(page.values, False, before, self._bookmark)  # noqa: FBT003
        except errors.NoSuchCommitError:
            if new is not None and not self._exists(new):
                raise _EndLostError from None
            logger.warning(
                "%s was rewritten and its former commits were collected: they keep "
                "on_default_branch true",
                self._repository,
            )
            self._bookmark = after
            yield CommitPage([], False, before, after)  # noqa: FBT003
        if new is not None and misled:
            logger.warning("%s has dates that mislead git: reading it in full", self._repository)
            self._bookmark = Bookmark(None)
            yield from self._range(new)

    def _read(self, until: str, since: str | None, start: int) -> Iterator[Page[Commit]]:
        # What is new is mostly one page: only a first read is requested ahead.
        ahead = self._ahead if since is None else None
        try:
            yield from self._client.commits(
                self._repository, until=until, since=since, start=start, ahead=ahead
            )
        except errors.NoDefaultBranchError as error:
            # The repository was emptied meanwhile: then no commit is known either.
            raise errors.NoSuchCommitError(
                error.args[0], url=error.url, status=error.status
            ) from None

    def _exists(self, commit: str) -> bool:
        try:
            next(self._read(commit, None, 0))
        except errors.NoSuchCommitError:
            return False
        return True


def _follow(commits: list[Commit], ends: set[str]) -> None:
    """Add the parents of commits to the ends, and remove the commits themselves."""
    ends.update(parent.id for commit in commits for parent in commit.parents)
    ends.difference_update(commit.id for commit in commits)
