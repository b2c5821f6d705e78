"""Goes through all projects in order and visits each repository; threads read ahead.

One flat prefetch spans the repositories of all projects. With one prefetch per project, small
projects would leave most threads idle.
"""

from __future__ import annotations

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tap_bitbucket_dc.bitbucket import Ahead, errors
from tap_bitbucket_dc.extract.found import DefaultBranch
from tap_bitbucket_dc.extract.listing import Listing
from tap_bitbucket_dc.extract.outcome import Outcome
from tap_bitbucket_dc.extract.prefetch import Prefetch, in_background
from tap_bitbucket_dc.extract.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from tap_bitbucket_dc.bitbucket import Client, Project, Repository
    from tap_bitbucket_dc.extract.filters import Filters
    from tap_bitbucket_dc.extract.found import CommitPage
    from tap_bitbucket_dc.extract.listing import Listed
    from tap_bitbucket_dc.state import Bookmark

Result = TypeVar("Result")


class Wanted(NamedTuple):
    """What a run reads in addition to projects, which it always reads."""

    repositories: bool = True
    default_branches: bool = True
    commits: bool = True
    full_table: bool = False
    """Whether all commits are read, and not only new ones."""


class Turn:
    """A repository whose turn it is to be written, and what the visit to it finds."""

    def __init__(
        self,
        repository: Repository,
        found: Iterator[DefaultBranch | CommitPage],
        outcome: Outcome,
    ) -> None:
        """Wrap what a visit yields; its failures go to the outcome."""
        self.repository = repository
        self.branch: str | None = None
        """Short name of the default branch as last read, None if there is none."""
        self._found = found
        self._outcome = outcome

    def default_branches(self) -> Iterator[DefaultBranch]:
        """Yield the default branch; nothing if it could not be read."""
        for found in self._results():
            if isinstance(found, DefaultBranch):
                yield found
                return

    def commits(self) -> Iterator[CommitPage]:
        """Yield the new and the removed commits, page by page."""
        for found in self._results():
            if not isinstance(found, DefaultBranch):
                yield found

    def _results(self) -> Iterator[DefaultBranch | CommitPage]:
        try:
            for found in self._found:
                if isinstance(found, DefaultBranch):
                    self.branch = found.display_id
                    self._outcome.visited(str(self.repository), found.refusal)
                yield found
        except errors.SkippableError as error:
            self._outcome.failed(str(self.repository), error)


class Crawl:
    """One run over everything that is wanted, in the order of the listing.

    ::

        with Crawl(client, filters, state.bookmark, wanted=…, concurrency=8, on_wait=…) as crawl:
            for project, turns in crawl.projects():
                for turn in turns:
                    turn.repository, turn.default_branches(), turn.commits()
            crawl.finish()
    """

    def __init__(  # noqa: PLR0913 what a run depends on
        self,
        client: Client,
        filters: Filters,
        bookmark: Callable[[int], Bookmark],
        *,
        wanted: Wanted,
        concurrency: int,
        on_wait: Callable[[], None],
    ) -> None:
        """Send no request yet.

        Args:
            client: Where to read.
            filters: What to read.
            bookmark: Returns how far a repository was read, by its id; called from any thread.
            wanted: What to read in addition to projects.
            concurrency: Requests at once; the number of threads follows from it.
            on_wait: Called about every second while waiting for an answer.
        """
        self._client = client
        self._filters = filters
        self._bookmark = bookmark
        self._wanted = wanted
        self._concurrency = concurrency
        self._on_wait = on_wait
        self._threads = ExitStack()
        self.outcome = Outcome(lambda: self._in_background(client.application_properties))
        self.listing = Listing(client, filters, self.outcome)
        self.done = 0
        """Repositories whose turn is over."""

    def __enter__(self) -> Self:
        """Create the thread pools; each starts its threads when they are needed."""
        pool = functools.partial(
            Prefetch,
            workers=self._concurrency,
            ahead=2 * self._concurrency,
            on_wait=self._on_wait,
        )
        self._listings: Prefetch = self._threads.enter_context(pool())
        self._visits: Prefetch = self._threads.enter_context(pool())
        self._pages = ThreadPoolExecutor(self._concurrency)
        self._threads.callback(self._pages.shutdown, cancel_futures=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel what was requested ahead, and wait for the threads to end."""
        self._client.close()
        self._threads.close()

    def projects(self) -> Iterator[tuple[Project, Iterator[Turn]]]:
        """Yield each project with its repositories' turns; each turn ends when the next begins."""
        projects, failures = self._in_background(self.listing.projects)
        for name, error in failures:
            self.outcome.unread(name, error)
        if not self._wanted.repositories:
            self.listing.known = len(projects)
            yield from ((project, iter(())) for project in projects)
            return
        groups = itertools.groupby(self._turns(projects), lambda turn: turn.repository.project)
        group = next(groups, None)
        for project in projects:
            if group and group[0] is project:
                yield project, group[1]
                group = next(groups, None)
            else:
                yield project, iter(())

    def finish(self) -> None:
        """Raise what went wrong, now that everything else has been written.

        Raises:
            BitbucketError: See ``Outcome.finish``; or the login is no longer valid.
        """
        if self._client.login.in_doubt:
            self._in_background(self._client.confirm_login)
        self.outcome.finish(
            self._client.base_url,
            listed=self.listing.known,
            others=self.listing.others,
            unmatched=self._filters.unmatched(repositories=self._wanted.repositories),
        )

    def gone(self, names: dict[int, str | None]) -> list[int]:
        """Return the ids of repositories that were read before and no longer exist.

        Args:
            names: ``KEY/slug`` by id as the state has them, None where it has none.
        """
        if not self._wanted.repositories:
            return []
        return self._in_background(lambda: self.listing.gone(names))

    def _in_background(self, ask: Callable[[], Result]) -> Result:
        return in_background(ask, self._on_wait, self._client.close)

    def _turns(self, projects: Iterable[Project]) -> Iterator[Turn]:
        for repository, found in self._visits.each(self._repositories(projects), self._visit):
            yield Turn(repository, found, self.outcome)
            self.done += 1

    def _repositories(self, projects: Iterable[Project]) -> Iterator[Repository]:
        for project, listed in self._listings.each(projects, self._list):
            yield from self.listing.take(project, listed)
        self.listing.complete = True

    def _list(self, project: Project, _: Callable[[], bool]) -> Iterator[Listed]:
        yield self.listing.repositories(project)

    def _visit(
        self, repository: Repository, its_turn: Callable[[], bool]
    ) -> Iterator[DefaultBranch | CommitPage]:
        if not (self._wanted.default_branches or self._wanted.commits):
            return
        ahead = Ahead(self._pages, self._concurrency, its_turn)
        bookmark = self._bookmark(repository.id)
        full_table = self._wanted.full_table
        visit = Visit(self._client, repository, bookmark, ahead, full_table=full_table)
        if self._wanted.commits:
            yield from visit.read()
        else:
            yield visit.default_branch()
