"""The history of one repository, read until its own graph shows that it is complete.

An answer may be wrong although its status is 200: empty, cut short, shifted, or with a row missing.
Whatever is missing is requested once more. If it is still missing, reading fails, and the caller's
bookmark does not move. Knows no bookmarks itself.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, NamedTuple

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.extract.ancestry import Ancestry, UnrelatedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_bitbucket_dc.bitbucket import Ahead, Client, Commit, Page, Repository

MOST_KEPT = 10_000  # commits in memory while it is not certain that they were removed
MOST_NAMED = 3  # ids in a sentence

logger = logging.getLogger("tap-bitbucket-dc")


class Removed(NamedTuple):
    """What is reachable from a former head and not from the new one, as the server says."""

    until: str
    """The former head."""
    since: str
    """The new head."""
    seen: Ancestry
    commits: list[Commit]
    """Not all of them, if there are more than ``MOST_KEPT``."""


class History:
    """Reads the commits of one repository."""

    def __init__(self, client: Client, repository: Repository, ahead: Ahead | None) -> None:
        """Send no request yet; ``ahead`` is for the pages of a whole history, see ``Client``."""
        self._client = client
        self._repository = repository
        self._ahead = ahead

    def pages(self, until: str, since: str | None = None, start: int = 0) -> Iterator[Page[Commit]]:
        """Yield the pages of a range as the server sends them.

        Raises:
            NoSuchCommitError: ``until`` or ``since`` is not, or is no longer, in the repository.
        """
        # New commits usually fit on one page: only a whole history is requested ahead.
        ahead = self._ahead if since is None else None
        with _emptied_is_unknown():
            yield from self._client.commits(
                self._repository, until=until, since=since, start=start, ahead=ahead
            )

    def has(self, commit: str) -> bool:
        """Return whether the server knows a commit: one request."""
        try:
            next(self.pages(commit))
        except errors.NoSuchCommitError:
            return False
        return True

    def count(self, until: str, since: str | None = None) -> int | None:
        """Return how many commits a range has, None if the server does not report it."""
        with _emptied_is_unknown():
            return self._client.count_commits(self._repository, until=until, since=since)

    def confirmed(self, until: str, since: str | None) -> int | None:
        """Return how many commits of a range Bitbucket sends, None if its own count differs.

        If Bitbucket reports no count, it has to send as many commits when asked again.
        """
        sent = self._sent(until, since)
        total = self.count(until, since)
        return sent if sent == (self._sent(until, since) if total is None else total) else None

    def require_count(self, seen: Ancestry, confirmed: int) -> None:
        """Check that as many commits have arrived as were confirmed.

        Raises:
            SkippableError: Some are missing.
        """
        if len(seen) < confirmed:
            what = f"Bitbucket sent only {len(seen)} of {confirmed} commits of {self._repository}."
            raise errors.SkippableError(what, url=self._repository.url or "")

    def _sent(self, until: str, since: str | None) -> int | None:
        """Return how many commits of a range are sent, None if ``until`` is not among them."""
        seen = Ancestry(until)
        for _ in self.read(seen, until, since, strict=False):
            pass
        return len(seen) if until in seen else None

    def require_roots(self, commits: Iterable[str]) -> None:
        """Check that commits that arrived without parents really have none.

        Raises:
            UnrelatedError: One of them has parents, or is not sent when requested again.
        """
        for commit in commits:
            page = next(self.pages(commit))
            if page.next_start or [found.id for found in page.values] != [commit]:
                what = f"Bitbucket did not send the parents of the commit {commit}."
                raise UnrelatedError(what)

    def require_same_repository(self) -> None:
        """Check that no other repository has taken the address since it was listed.

        Raises:
            SkippableError: Another one has.
        """
        repository = self._repository
        found = self._client.repository(repository.path_key, repository.slug)
        if found.id != repository.id:
            what = (
                f"{repository} had the id {repository.id} when it was listed, but now has the id "
                f"{found.id}."
            )
            raise errors.SkippableError(what, url=repository.url or "")

    def require_collected(self, old: str, which: str) -> None:
        """Check that the server really does not know a former head, and warn of what follows.

        Args:
            old: The former head.
            which: The commits that cannot be marked as removed, for the warning.

        Raises:
            SkippableError: The server knows it.
        """
        if self.has(old):
            raise self.incomplete({old})
        logger.warning(
            "%s was rewritten and its former commits were garbage-collected. %s remain marked "
            "as being on the default branch",
            self._repository,
            which,
        )

    def read(
        self, seen: Ancestry, until: str, since: str | None = None, *, strict: bool = True
    ) -> Iterator[list[Commit]]:
        """Yield the commits of a range that are new to ``seen``; ``strict`` is that of ``take``."""
        seen.begin()
        for page in self.pages(until, since):
            yield seen.take(page.values, strict=strict)

    def every(self, seen: Ancestry, until: str, since: str | None = None) -> Iterator[list[Commit]]:
        """Yield the commits of a range; if its graph has gaps, check how many commits it has."""
        try:
            yield from self.read(seen, until, since)
            self.require_roots(seen.untold | seen.roots)
        except UnrelatedError:
            if (confirmed := self.confirmed(until, since)) is None:
                raise
            yield from self.read(seen, until, since, strict=False)
            self.require_count(seen, confirmed)

    def rest(self, seen: Ancestry, since: str | None = None) -> Iterator[list[Commit]]:
        """Yield what is missing from a range: each missing commit is requested once more.

        A parent that is reachable from ``since`` is not missing. Whether ``seen.until`` itself is
        reachable from there, ``Visit`` has found out from the opposite range.

        Args:
            seen: The range as it arrived, with what is known to lie outside of it.
            since: What is reachable from it is not in the range; None for a whole history.

        Raises:
            SkippableError: A commit is missing, although other answers show that it exists.
        """
        while wanted := seen.wanted():
            commit = min(wanted)  # any of them, but the same one in every run
            try:
                if since and commit != seen.until and self._is_behind(commit, since):
                    seen.outside.add(commit)
                    continue
                for commits in self.read(seen, commit, since):
                    yield commits
                    if not seen.wanted():
                        break
            except errors.NoSuchCommitError:
                raise self.incomplete(wanted) from None
            if commit in seen.missing:
                raise self.incomplete(seen.wanted())
            logger.warning(
                "%s: Bitbucket omitted commits, but sent them when asked again", self._repository
            )

    def removed(self, old: str, new: str, reachable: Ancestry) -> Removed:
        """Return what is reachable from ``old`` and not ``new``; complete if it contains ``old``.

        Args:
            old: The former head.
            new: The new head.
            reachable: What is known to be reachable from the new head.

        Raises:
            NoSuchCommitError: ``old`` or ``new`` is not, or is no longer, in the repository.
            SkippableError: A commit is missing.
        """
        removed = Removed(old, new, Ancestry(old), [])
        seen = removed.seen
        for commits in self.every(seen, old, new):
            if len(seen) <= MOST_KEPT:
                removed.commits.extend(commits)
        if old in seen:
            seen.outside |= {commit for commit in seen.missing if reachable.names(commit)} | {new}
            for commits in self.rest(seen, new):
                removed.commits.extend(commits)
        return removed

    def unreachable(self, removed: Removed, reachable: Ancestry) -> Iterator[list[Commit]]:
        """Yield the commits that were removed, and none that is reachable from the new head.

        Wrong dates mislead git (see ``Ancestry``). At any sign of them, the whole history of the
        new head is read and decides. If it is known anyway, it always decides.

        Args:
            removed: What the server says was removed.
            reachable: What is known to be reachable from the new head.

        Raises:
            SkippableError: A commit is missing.
        """
        gone, new = removed.seen, removed.since
        again: Iterable[list[Commit]] = [removed.commits]
        if len(removed.commits) != len(gone):  # not all were kept
            again = self.read(Ancestry(), removed.until, new, strict=False)
        if not reachable.missing:
            gone.remove(reachable)
        elif gone.has_root or gone.is_skewed or reachable.is_skewed or gone.overlaps(reachable):
            logger.warning(
                "%s has commit dates out of order: reading its full history to compare",
                self._repository,
            )
            gone.remove(self.whole(new))
        marked = 0
        for commits in again:
            values = [commit for commit in commits if commit.id in gone]
            marked += len(values)
            yield values
        if marked != len(gone):
            what = f"Bitbucket sent two different lists of commits removed from {self._repository}."
            raise errors.SkippableError(what, url=self._repository.url or "")

    def complete(self, seen: Ancestry, until: str) -> Iterator[list[Commit]]:
        """Yield all commits reachable from ``until``."""
        yield from self.every(seen, until)
        yield from self.rest(seen)

    def whole(self, until: str) -> Ancestry:
        """Return all commits reachable from ``until``, read only to compare them with others."""
        seen = Ancestry(until, is_whole=True)
        for _ in self.complete(seen, until):
            pass
        return seen

    def _is_behind(self, commit: str, since: str) -> bool:
        """Return whether a commit is reachable from ``since``: one request if the range is empty.

        Wrong dates mislead git, so a range ``since..commit`` that is not empty proves nothing (see
        ``Ancestry``). Then the graph of the opposite range, ``commit..since``, decides.
        """
        with _emptied_is_unknown():
            if self._client.is_empty(self._repository, until=commit, since=since):
                return True
        seen = Ancestry(since)
        for _ in self.read(seen, since, commit):
            pass
        return seen.names(commit)

    def incomplete(self, missing: Iterable[str]) -> errors.SkippableError:
        """Return the error that names missing commits."""
        ids = sorted(missing)
        more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
        verb = "is" if len(ids) == 1 else "are"
        what = (
            f"Bitbucket did not send all commits of {self._repository}: "
            f"{', '.join(ids[:MOST_NAMED])}{more} {verb} missing."
        )
        return errors.SkippableError(what, url=self._repository.url or "")


@contextlib.contextmanager
def _emptied_is_unknown() -> Iterator[None]:
    """Raise NoSuchCommitError for a repository that was emptied: it has no commits any more."""
    try:
        yield
    except errors.NoDefaultBranchError as error:
        what = str(error.args[0])
        raise errors.NoSuchCommitError(what, url=error.url, status=error.status) from None
