"""One visit to a repository: default branch, new commits, removed commits.

Knows how Bitbucket and git work, and the bookmark of one repository. Knows neither
threads nor Singer. New is decided by ancestry (``git rev-list until ^since``), never
by date: a branch merged late brings old dates.
"""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, NamedTuple

from tap_bitbucket_dc import errors
from tap_bitbucket_dc.client import ENDLESS, Advance

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from tap_bitbucket_dc.client import Client, Page
    from tap_bitbucket_dc.payload import Commit

    CommitPage = Page[Commit]
    Pages = Callable[[Callable[[int], CommitPage], int], Iterator[CommitPage]]
    """Yields the pages from a start on; as ``one_by_one`` does."""

logger = logging.getLogger("tap-bitbucket-dc")

EMPTIED = ""  # the `until` of a bookmark whose default branch is gone
MOST_RESTARTS = 3  # of a range whose end the server lost while it was read
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


class Repository(NamedTuple):
    """Where a repository is found now; its id stays when it is renamed or moved."""

    id: int
    project_key: str
    """As in URLs: ``PAY``, or ``~ada`` for a personal project."""
    slug: str

    def __str__(self) -> str:
        """Return it as filters name it: ``PAY/ledger``; fit for a terminal."""
        return errors.printable(f"{self.project_key}/{self.slug}")


class Bookmark(NamedTuple):
    """How far a repository was read. All commits up to ``head`` are out.

    Those from ``head`` to ``until`` are being read, and the pages before ``start``
    are out.
    """

    head: str | None = None
    until: str | None = None
    start: int = 0


class Branch(NamedTuple):
    """A default branch: ``ok``, ``empty``, ``missing`` or ``inaccessible``."""

    status: str
    id: str | None = None
    display_id: str | None = None
    type: str | None = None
    latest_commit: str | None = None


class Commits(NamedTuple):
    """Commits as Bitbucket sends them, with what the state must and may say."""

    values: list[Commit]
    on_default_branch: bool
    before: Bookmark
    """What the state must say before the first of them is out."""
    after: Bookmark
    """What it may say as soon as the last of them is out."""


class _EndLostError(Exception):
    """The server lost the commit up to which it was being read."""


def one_by_one(ask: Callable[[int], CommitPage], start: int) -> Iterator[CommitPage]:
    """Yield the pages from ``start`` on, each where the one before it said."""
    expected: int | None = start
    while expected is not None:
        page = ask(expected)
        yield page
        expected = page.next_start


class Visit:
    """What one run reads of one repository."""

    def __init__(
        self,
        client: Client,
        repository: Repository,
        bookmark: Bookmark,
        pages: Pages = one_by_one,
    ) -> None:
        """Take what to read and how far it was read before; ask nothing yet."""
        self._client = client
        self._repository = repository
        self._bookmark = bookmark
        self._pages = pages

    def branch(self) -> Branch:
        """Ask for the default branch: one request."""
        repository = self._repository
        try:
            found = self._client.default_branch(repository.project_key, repository.slug)
        except errors.NoDefaultBranchError:
            return Branch("missing")
        except errors.InaccessibleError as error:
            return _inaccessible(repository, error)
        if found is None:
            return Branch("empty")
        head = found.get("latestCommit")
        if not isinstance(head, str) or not _COMMIT_ID.fullmatch(head):
            what = f"The default branch of {repository} has no commit id as its latest."
            raise errors.BitbucketError(what)
        id_, display_id, kind = (
            found[key] if isinstance(found.get(key), str) else None
            for key in ("id", "displayId", "type")
        )
        return Branch("ok", id_, display_id, kind, head)

    def events(self) -> Iterator[Branch | Commits]:
        """Yield the default branch, then its new and its removed commits.

        The branch comes after the first request for commits: a server that shows the
        branch but not the commits makes the repository ``inaccessible``.
        """
        for _ in range(MOST_RESTARTS):
            branch = self.branch()
            commits = self._commits(branch)
            try:
                first = next(commits, None)
                yield branch
                if first is not None:
                    yield first
                    yield from commits
            except _EndLostError:
                logger.warning(
                    "%s was rewritten while it was read: starting over",
                    self._repository,
                )
            except errors.InaccessibleError as error:
                yield _inaccessible(self._repository, error)
                return
            else:
                return
        what = f"{self._repository} loses its latest commit each time it is read."
        raise errors.BitbucketError(what)

    def _commits(self, branch: Branch) -> Iterator[Commits]:
        head = branch.latest_commit
        if branch.status == "inaccessible":
            return
        if self._bookmark.until not in {None, head or EMPTIED}:
            # Its range may be out in part: finish it first, so that what was
            # removed from it since is known.
            yield from self._unfinished()
        if head != self._bookmark.head:
            yield from self._move(head or EMPTIED)

    def _move(self, until: str) -> Iterator[Commits]:
        """Yield what lies between the head in state and another."""
        if until == EMPTIED:
            yield from self._removed(None)
        else:
            yield from self._range(until)

    def _unfinished(self) -> Iterator[Commits]:
        """Finish the range that a former run, or this one, has begun."""
        try:
            yield from self._move(str(self._bookmark.until))
        except _EndLostError:
            logger.warning(
                "%s was rewritten before it was read to its end: commits that only "
                "then were on the default branch may still be marked so",
                self._repository,
            )
            yield from self._restored()

    def _restored(self) -> Iterator[Commits]:
        """Yield what the head in state leads to again: some may be out as removed."""
        before = self._bookmark
        if before.head is not None:
            with contextlib.suppress(errors.NoSuchCommitError):
                for page in self._read(before.head, None, 0):
                    yield Commits(page.values, True, before, before)  # noqa: FBT003
        self._bookmark = Bookmark(before.head)
        yield Commits([], True, before, self._bookmark)  # noqa: FBT003

    def _range(self, until: str) -> Iterator[Commits]:
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
                before = Bookmark(since, until, page.start)
                if page.next_start is not None:
                    after = Bookmark(since, until, page.next_start)
                else:
                    after = Bookmark(until) if forward else before
                self._bookmark = after
                yield Commits(page.values, True, before, after)  # noqa: FBT003
        except errors.NoSuchCommitError:
            yield from self._in_full(until)
            return
        if not forward:
            yield from self._removed(until, ends)

    def _in_full(self, until: str) -> Iterator[Commits]:
        """Read all of a history, because the server does not know ``since``."""
        if self._bookmark.head is None or not self._exists(until):
            raise _EndLostError
        logger.warning(
            "%s was rewritten and its former commits were collected: reading it in "
            "full; commits that are gone keep on_default_branch true",
            self._repository,
        )
        self._bookmark = Bookmark(None)
        yield from self._range(until)

    def _removed(self, new: str | None, ends: Collection[str] = ()) -> Iterator[Commits]:
        """Yield the commits that the former head leads to, and the new does not.

        Args:
            new: None if there is no default branch any more.
            ends: Commits that the new head leads to. If one of them comes back, git
                went by clocks that were wrong (``SLOP`` in its revision.c) and others
                may be no less mistaken: only a history read in full is sure.
        """
        old = self._bookmark.head
        if old is None:
            return
        before = self._bookmark if new else Bookmark(old, EMPTIED)
        after = Bookmark(new)
        mistaken = False
        try:
            for page in self._read(old, new, 0):
                mistaken = mistaken or any(commit.id in ends for commit in page.values)
                last = page.next_start is None and not mistaken
                self._bookmark = after if last else before
                yield Commits(page.values, False, before, self._bookmark)  # noqa: FBT003
        except errors.NoSuchCommitError:
            if new is not None and not self._exists(new):
                raise _EndLostError from None
            logger.warning(
                "%s was rewritten and its former commits were collected: they keep "
                "on_default_branch true",
                self._repository,
            )
            self._bookmark = after
            yield Commits([], False, before, after)  # noqa: FBT003
        if new is not None and mistaken:
            logger.warning("%s has dates that mislead git: reading it in full", self._repository)
            self._bookmark = Bookmark(None)
            yield from self._range(new)

    def _read(self, until: str, since: str | None, start: int) -> Iterator[CommitPage]:
        def ask(start: int) -> CommitPage:
            _, key, slug = self._repository
            try:
                return self._client.commits(key, slug, until=until, since=since, start=start)
            except errors.NoDefaultBranchError as error:
                # Emptied meanwhile: then no commit is known either.
                raise errors.NoSuchCommitError(error.args[0]) from None

        # What is new is mostly one page: no guessing where the next ones start.
        pages = self._pages if since is None else one_by_one
        advance = Advance()
        for page in pages(ask, start):
            if not advance.by(page):
                what = f"The listing of the commits of {self._repository} {ENDLESS}."
                raise errors.BitbucketError(what)
            yield page

    def _exists(self, commit: str) -> bool:
        try:
            next(self._read(commit, None, 0))
        except errors.NoSuchCommitError:
            return False
        return True


def _follow(commits: list[Commit], ends: set[str]) -> None:
    """Add the parents of commits to the ends, and take the commits themselves away."""
    ends.update(parent.id for commit in commits for parent in commit.parents)
    ends.difference_update(commit.id for commit in commits)


def _inaccessible(repository: Repository, error: errors.InaccessibleError) -> Branch:
    logger.warning("%s is inaccessible: %s", repository, error.args[0])
    return Branch("inaccessible")
