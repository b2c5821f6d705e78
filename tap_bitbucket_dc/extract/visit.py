"""One visit to a repository: default branch, new commits, removed commits.

Knows how Bitbucket and git work, and the bookmark of one repository. Starts no threads and does
not know Singer. Ancestry decides what is new (``git rev-list until ^since``), never a date: a
branch that is merged late brings old dates.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.extract.ancestry import Ancestry, UnrelatedError
from tap_bitbucket_dc.extract.found import CommitPage, DefaultBranch
from tap_bitbucket_dc.extract.history import History
from tap_bitbucket_dc.state import EMPTIED, Bookmark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_bitbucket_dc.bitbucket import Ahead, Client, Commit, Repository
    from tap_bitbucket_dc.extract.history import Removed

logger = logging.getLogger("tap-bitbucket-dc")

MOST_RESTARTS = 3  # attempts to read a repository whose latest commit keeps vanishing


class _EndLostError(Exception):
    """The commit up to which to read has vanished, or was not the right one."""


class Visit:
    """What one run reads of one repository."""

    def __init__(
        self,
        client: Client,
        repository: Repository,
        bookmark: Bookmark,
        ahead: Ahead | None = None,
        *,
        full_table: bool = False,
    ) -> None:
        """Send no request yet.

        Args:
            ahead: How to request a whole history's pages in parallel, None for one by one.
            full_table: Whether all commits are read, and not only new ones.
        """
        self._client = client
        self._repository = repository
        self._bookmark = self._told = bookmark  # `_told`: the last one that was yielded
        self._history = History(client, repository, ahead)
        self._full_table = full_table

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
        """Yield the default branch and its new and removed commits.

        The branch is yielded after the first request for commits, because it is inaccessible if
        they are refused, and again whenever reading starts over.
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
                    "The responses about %s are no longer consistent: starting over",
                    self._repository,
                )
                self._history.require_same_repository()
                self._bookmark = self._told
            except errors.InaccessibleError as error:
                yield DefaultBranch("inaccessible", refusal=error)
                return
            else:
                return
        what = (
            f"{self._repository} was rewritten during each of {MOST_RESTARTS} attempts to read it."
        )
        raise errors.SkippableError(what)

    def _commits(self, branch: DefaultBranch) -> Iterator[CommitPage]:
        head = branch.latest_commit
        if branch.status == "inaccessible":
            return
        if self._bookmark.until not in {None, head or EMPTIED}:
            # Some commits of that range may be in the table. First read all of the range, to
            # know which of its commits have been removed since.
            yield from self._unfinished()
        if head is None and self._bookmark.head and self.default_branch().latest_commit:
            raise _EndLostError  # the first answer was wrong, or is no longer true
        if head != self._bookmark.head or (self._full_table and head):
            yield from self._move(head or EMPTIED, full_table=self._full_table)
        elif self._bookmark.until:  # of a FULL_TABLE run that was interrupted
            yield self._page([], then=Bookmark(head))

    def _move(self, until: str, *, full_table: bool = False) -> Iterator[CommitPage]:
        """Yield what has changed between the head in the state and ``until``, or ``EMPTIED``."""
        if until == EMPTIED:
            yield from self._emptied()
            return
        since = None if full_table else self._bookmark.head
        if self._bookmark.until != until or since or full_table:
            self._bookmark = Bookmark(self._bookmark.head, until)
        try:
            yield from self._range(until, since)
        except errors.NoSuchCommitError:
            if not self._history.has(until):
                raise _EndLostError from None
            if since is None:
                raise self._history.incomplete({until}) from None
            yield from self._in_full(until)

    def _unfinished(self) -> Iterator[CommitPage]:
        """Finish the range that a previous run, or this one, began."""
        try:
            yield from self._move(str(self._bookmark.until))
        except _EndLostError:
            self._history.require_same_repository()
            logger.warning(
                "%s was rewritten before it had been fully read: commits removed in between may "
                "still be marked as being on the default branch",
                self._repository,
            )
            yield from self._restored()

    def _restored(self) -> Iterator[CommitPage]:
        """Yield again what the head in the state leads to, in case it is marked as removed."""
        head = self._bookmark.head
        if head is not None:
            with contextlib.suppress(errors.NoSuchCommitError):
                for commits in self._history.complete(Ancestry(head, is_whole=True), head):
                    yield self._page(commits)
        yield self._page([], then=Bookmark(head))

    def _range(self, until: str, since: str | None) -> Iterator[CommitPage]:
        """Yield what is new up to a commit, then what is no longer reachable."""
        seen = self._resumed(until) if self._bookmark.start else None
        start = self._bookmark.start
        if seen is None:
            seen, start = Ancestry(until, is_whole=since is None), 0
            self._bookmark = Bookmark(self._bookmark.head, until)
        if since:
            seen.outside.add(since)
        try:
            yield from self._listed(seen, until, since, start)
        except UnrelatedError as error:
            logger.warning("Reading %s again: %s", self._repository, error.args[0])
            yield self._page([], then=Bookmark(self._bookmark.head, until))
            if start:
                seen = Ancestry(until, is_whole=True)
            yield from self._listed_again(seen, until, since)
        try:
            yield from self._proven(seen, until, since)
        except errors.SkippableError:
            yield self._page([], then=Bookmark(self._bookmark.head, until))  # nothing is proven
            raise
        yield self._page([], then=Bookmark(until))

    def _listed(
        self,
        seen: Ancestry,
        until: str,
        since: str | None,
        start: int = 0,
        confirmed: int | None = None,
    ) -> Iterator[CommitPage]:
        """Yield the new commits of a range; ``confirmed`` is its size if its graph has gaps."""
        is_first = confirmed is None and (bool(start) or not seen)
        for page in self._history.pages(until, since, start):
            commits = seen.take(page.values, strict=confirmed is None)
            place = self._place(seen, until, page.next_start) if is_first else None
            yield self._page(commits, then=place)
        if confirmed is None:
            # A whole history always has a root: checking it would cost every first read a request.
            self._history.require_roots(seen.untold | (seen.roots if since else set()))
        else:
            self._history.require_count(seen, confirmed)

    def _listed_again(self, seen: Ancestry, until: str, since: str | None) -> Iterator[CommitPage]:
        """Read again a range whose graph had gaps; if it still has some, check its size instead."""
        try:
            yield from self._listed(seen, until, since)
        except UnrelatedError:
            if (confirmed := self._history.confirmed(until, since)) is None:
                raise
            yield from self._listed(seen, until, since, confirmed=confirmed)

    def _place(self, seen: Ancestry, until: str, start: int | None) -> Bookmark | None:
        """Return the bookmark for resuming a first read, None if it cannot be resumed here."""
        if self._bookmark.head or start is None or seen.untold or not seen.missing:
            return None
        if len(seen.missing) == 1:
            return Bookmark(None, until, start, next=next(iter(seen.missing)))
        return Bookmark(None, until, start, seen.checksum) if seen.until == until else None

    def _resumed(self, until: str) -> Ancestry | None:
        """Return what arrived on the pages before ``start``, None if they have changed.

        If they named several commits that had not arrived, they are read again and compared.
        """
        _, _, start, checksum, following = self._bookmark
        if following:
            return Ancestry(following, is_whole=True)
        seen = Ancestry(until, is_whole=True)
        with contextlib.suppress(UnrelatedError):
            for page in self._history.pages(until):
                seen.take(page.values, strict=True)
                if page.next_start is None or page.next_start >= start:
                    if (page.next_start, seen.checksum) == (start, checksum):
                        return seen
                    break
        logger.warning(
            "Reading %s again from the start: the pages already read could not be confirmed",
            self._repository,
        )
        return None

    def _proven(self, seen: Ancestry, until: str, since: str | None) -> Iterator[CommitPage]:
        """Yield what is missing from a range, then the removed commits, or raise SkippableError."""
        old = self._bookmark.head
        removed = None
        if old is not None and not seen.names(old):
            removed = self._removed(old, until, seen)
            if removed and until in seen.missing and old not in removed.seen:
                removed = self._removed(old, until, seen)  # both directions were empty: ask again
            if removed and since:
                seen.outside |= {commit for commit in seen.missing if removed.seen.names(commit)}
        for commits in self._history.rest(seen, since):
            yield self._page(commits)
        if old is None or removed is None or seen.names(old):
            return
        if old not in removed.seen:  # the new head does not lead to it, so it has been removed
            removed = self._removed(old, until, seen)
            if removed is None or old not in removed.seen:
                raise self._history.incomplete({old})
        for commits in self._history.unreachable(removed, seen):
            yield self._page(commits, on_default_branch=False)

    def _removed(self, old: str, new: str, reachable: Ancestry) -> Removed | None:
        """Return what was removed, None if the server has garbage-collected it."""
        try:
            return self._history.removed(old, new, reachable)
        except errors.NoSuchCommitError:
            if not self._history.has(new):
                raise _EndLostError from None
            self._history.require_collected(old, "They")
            return None

    def _in_full(self, until: str) -> Iterator[CommitPage]:
        """Read a whole history, because the server does not know the head in the state."""
        self._history.require_same_repository()
        gone = "Reading it in full; removed commits"
        self._history.require_collected(str(self._bookmark.head), gone)
        self._bookmark = Bookmark(None, until)
        yield from self._move(until)

    def _emptied(self) -> Iterator[CommitPage]:
        """Yield all commits as removed: there is no default branch any more."""
        old = self._bookmark.head
        if old is None:
            return
        self._history.require_same_repository()
        self._bookmark = Bookmark(old, EMPTIED)
        try:
            for commits in self._history.complete(Ancestry(old, is_whole=True), old):
                yield self._page(commits, on_default_branch=False)
        except errors.NoSuchCommitError:
            self._history.require_collected(old, "They")
        yield self._page([], on_default_branch=False, then=Bookmark())

    def _page(
        self,
        commits: list[Commit],
        *,
        on_default_branch: bool = True,
        then: Bookmark | None = None,
    ) -> CommitPage:
        resume_at = self._bookmark
        self._bookmark = self._told = then or resume_at
        return CommitPage(commits, on_default_branch, resume_at, self._bookmark)
