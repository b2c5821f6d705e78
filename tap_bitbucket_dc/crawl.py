"""All projects, their repositories and a visit to each: in order, read ahead.

Knows which of them are wanted, and what a failure of one means for the run. Knows
neither Singer nor HTTP. One flat look-ahead spans all projects: with one for each,
small projects would leave most threads idle.
"""

from __future__ import annotations

import functools
import itertools
import logging
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tap_bitbucket_dc import errors, records
from tap_bitbucket_dc.errors import printable
from tap_bitbucket_dc.look_ahead import look_ahead, pages
from tap_bitbucket_dc.visit import Branch, Commits, Repository, Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tap_bitbucket_dc.client import Client, Json
    from tap_bitbucket_dc.filters import Filters
    from tap_bitbucket_dc.visit import Bookmark

MOST_PROBES = 100  # in a run, for repositories of the state that are not listed
MOST_IN_A_ROW = 500  # repositories that the server fails to answer for
MOST_NAMED = 5  # repositories in a sentence

GRANT = "Have an administrator grant the user (or token) read permission."

logger = logging.getLogger("tap-bitbucket-dc")

Answer = TypeVar("Answer")


class Wanted(NamedTuple):
    """What is asked for; projects always are."""

    repositories: bool = True
    branches: bool = True
    commits: bool = True


class _Row(NamedTuple):
    """A repository of a project, or the project alone, before its repositories."""

    project: Json
    repository: Json | None = None
    name: Repository | None = None


class Reading:
    """What is read of one repository, as it comes; failures are the crawl's."""

    def __init__(self, crawl: Crawl, row: _Row, events: Iterator[Branch | Commits]) -> None:
        """Take a row with a repository."""
        self.project = row.project
        self.repository: Json = row.repository or {}
        self.name: Repository = row.name or Repository(0, "", "")
        self.branch: Branch | None = None
        """The default branch; None before ``read_branch``, or if it failed."""
        self._crawl = crawl
        self._events = self._guarded(events)

    def read_branch(self) -> Branch | None:
        """Return the default branch, None if it could not be read."""
        if self.branch is None:
            next(self._events, None)
        return self.branch

    def commits(self) -> Iterator[Commits]:
        """Yield the new and the removed commits, page by page."""
        for event in self._events:
            if event is not None:
                yield event

    def _guarded(self, events: Iterator[Branch | Commits]) -> Iterator[Commits | None]:
        """Yield commits, and None for each time the branch is known (anew)."""
        try:
            for event in events:
                if isinstance(event, Branch):
                    self.branch = event
                    self._crawl.visited(str(self.name), event)
                    yield None
                else:
                    yield event
        except errors.FatalError:
            raise
        except errors.BitbucketError as error:
            self._crawl.failed(str(self.name), error)


class Crawl:
    """One run over everything that is wanted, handed out in order."""

    def __init__(  # noqa: PLR0913 they are what a run depends on
        self,
        client: Client,
        filters: Filters,
        bookmark: Callable[[int], Bookmark],
        *,
        wanted: Wanted,
        concurrency: int,
        tick: Callable[[], None],
    ) -> None:
        """Ask nothing yet.

        Args:
            client: Where to read.
            filters: What to read.
            bookmark: How far a repository was read, by its id; for any thread.
            wanted: What is asked for.
            concurrency: Requests at once; threads follow from it.
            tick: Called about every second while waiting for an answer.
        """
        self._client = client
        self._filters = filters
        self._bookmark = bookmark
        self._wanted = wanted
        self._look_ahead = functools.partial(
            look_ahead, workers=concurrency, ahead=2 * concurrency, tick=tick
        )
        self._page_threads = ThreadPoolExecutor(concurrency)
        self._pages = functools.partial(pages, most=concurrency, threads=self._page_threads)
        self._group: Iterator[tuple[_Row, Iterator[Branch | Commits]]] = iter(())
        self._seen: set[int] = set()
        self._failures: dict[str, errors.BitbucketError] = {}
        self._failed_in_a_row = 0
        self._refused: list[str] = []
        self.reading: Reading
        """The repository whose turn it is."""
        self.known = 0
        """Repositories listed so far to be read; projects, if only they are read."""
        self.all_listed = False
        """Whether ``known`` does not grow any more."""
        self.done = 0
        """Repositories whose visit is over."""
        self._visited = False
        self._accessible = 0
        self._others = 0  # pass the filters, and are for other shards to read

    # Handed out in order.

    def projects(self) -> Iterator[Json]:
        """Yield each project that passes the filters, as Bitbucket lists it."""
        projects = self._meanwhile_tick(self._list_projects)
        if not self._wanted.repositories:
            self.known = len(projects)
            yield from projects
            return
        readings = self._look_ahead(self._rows(projects), self._read)
        try:
            groups = itertools.groupby(readings, lambda reading: reading[0].project["id"])
            for _, self._group in groups:
                row, _ = next(self._group)  # the project alone comes first
                yield row.project
        finally:
            readings.close()  # type: ignore[attr-defined] # a generator

    def repositories(self) -> Iterator[Json]:
        """Yield each repository of the current project, and set ``reading``."""
        for row, events in self._group:
            self.reading = Reading(self, row, events)
            yield self.reading.repository
            self.done += 1

    def close(self) -> None:
        """Cancel what was asked ahead."""
        self._client.close()
        self._page_threads.shutdown(wait=False, cancel_futures=True)

    # What became of it.

    def failed(self, name: str, error: errors.BitbucketError) -> None:
        """Note that a repository or project could not be read; go on with others.

        Raises:
            FatalError: The server does not answer anything any more, or nothing but
                errors: thousands of repositories would each be tried for long.
        """
        logger.warning("%s was not read: %s", name, error)
        self._failures[name] = error
        if isinstance(error, errors.UnavailableError):
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= MOST_IN_A_ROW:
                raise _no_use(f"{MOST_IN_A_ROW} failed in a row: {error.args[0]}", error)
            try:
                self._meanwhile_tick(self._client.application_properties)
            except errors.UnavailableError as down:
                raise _no_use(str(down.args[0]), down) from None
            except errors.BitbucketError:
                pass  # it answers

    def visited(self, name: str, branch: Branch) -> None:
        """Note what a repository's default branch says about server and permissions."""
        self._failed_in_a_row = 0
        self._visited = True
        if branch.status == "inaccessible":
            self._refused.append(name)
        else:
            self._accessible += 1

    def finish(self) -> None:
        """Raise what went wrong on the way, once all the rest is out.

        Raises:
            BitbucketError: Some repositories failed, or nothing could be read, or a
                pattern matched nothing.
        """
        if self._client.unsure:
            self._client.confirm_login()
        if self._failures:
            raise self._summary()
        nothing = not (self.known or self._others)
        # Where nothing is visited, what is listed is all that is read.
        access = self._accessible or self._others or (self.known and not self._visited)
        if self._refused and not access:
            what = f"No access to {_listed(self._refused)}, and there is nothing else: see "
            what += f"{self._client.url_of(self._refused[0])}."
            raise errors.FatalError(what, code="invalid_permissions", remedy=GRANT)
        unmatched = self._filters.unmatched(repositories=self._wanted.repositories)
        if nothing or unmatched:
            raise _nothing(self._client.base_url, unmatched) if nothing else _typo(unmatched)

    def gone(self, names: dict[int, str | None]) -> list[int]:
        """Return the ids of repositories that do not exist any more.

        Args:
            names: ``KEY/slug`` of repositories, None where not known, by id.

        Only the server's word for each counts: filters and lost permissions hide
        repositories, too.
        """
        if not self._wanted.repositories:
            return []
        unseen = [(id_, name) for id_, name in names.items() if name and id_ not in self._seen]
        expected = [u for u in unseen if self._filters.project(u[1].partition("/")[0])]
        # Others each time, or many that are only hidden would shield those behind them.
        probed = random.sample(expected, min(len(expected), MOST_PROBES))
        return self._meanwhile_tick(lambda: [u[0] for u in probed if self._is_gone(*u)])

    def _is_gone(self, repository_id: int, name: str) -> bool:
        key, _, slug = name.partition("/")
        try:
            found = self._client.repository(key, slug)
        except errors.InaccessibleError as error:
            return error.status == 404  # noqa: PLR2004
        except errors.BitbucketError:
            return False
        return found.get("id") != repository_id

    def _meanwhile_tick(self, ask: Callable[[], Answer]) -> Answer:
        """Return what ``ask`` does, in a thread: this one hears signals meanwhile."""
        asked = self._look_ahead((None,), lambda *_: iter((ask(),)))
        [answer] = (next(answers) for _, answers in asked)
        return answer

    # Read in threads, or ahead.

    def _read(self, row: _Row, its_turn: Callable[[], bool]) -> Iterator[Branch | Commits]:
        wanted = self._wanted
        if row.name is None or not (wanted.branches or wanted.commits):
            return
        visit = Visit(
            self._client,
            row.name,
            self._bookmark(row.name.id),
            functools.partial(self._pages, its_turn=its_turn),
        )
        if wanted.commits:
            yield from visit.events()
        else:
            yield visit.branch()

    def _rows(self, projects: Iterable[Json]) -> Iterator[_Row]:
        for project, listing in self._look_ahead(projects, self._list_repositories):
            yield _Row(project)
            path_key = _path_key(project)
            try:
                for repository in itertools.chain.from_iterable(listing):
                    if self._is_new(path_key, repository):
                        if not self._filters.shard(repository["id"]):
                            self._others += 1
                            continue
                        self.known += 1
                        name = Repository(repository["id"], path_key, repository["slug"])
                        yield _Row(project, repository, name)
            except errors.FatalError:
                raise
            except errors.InaccessibleError as error:
                logger.warning("%s is inaccessible: %s", printable(path_key), error.args[0])
                self._refused.append(path_key)
            except errors.BitbucketError as error:
                self.failed(printable(path_key), error)
        self.all_listed = True

    def _is_new(self, path_key: str, repository: Json) -> bool:
        """Return whether it passes the filters, and was not listed before.

        Rows that come or go while a listing is paged shift it: one may come twice.
        """
        repository_id = records.key(repository, "id", int)
        records.key(repository, "slug", str)
        if repository_id in self._seen:
            return False
        self._seen.add(repository_id)
        return self._filters.repository(path_key, repository)

    def _list_repositories(self, project: Json, _: Callable[[], bool]) -> Iterator[list[Json]]:
        yield list(self._client.repositories(_path_key(project)))

    def _list_projects(self) -> list[Json]:
        """Return the projects that pass the filters, each once."""
        try:
            projects = list(self._client.projects())
        except errors.InaccessibleError as error:
            raise self._locked_out(error) from None
        if self._client.user is None:
            self._client.confirm_login()
        if self._filters.all_personal():
            projects += [
                repository["project"]
                for repository in self._client.all_repositories()
                if _is_personal(repository.get("project"))
            ]
        wanted = self._unique(projects)
        missing = self._missing(wanted)
        return wanted + self._unique(self._named(missing))

    def _named(self, missing: list[str]) -> Iterator[Json]:
        """Yield the projects that a key names, but the listing leaves out.

        Personal ones, and such where we may see a repository, but not the project.
        """
        for key in missing:
            try:
                yield self._client.project(key)
            except errors.InaccessibleError as error:
                if error.status in {401, 403}:
                    self._refused.append(key)

    def _missing(self, projects: list[Json]) -> list[str]:
        found = {str(project["key"]).casefold() for project in projects}
        keys = self._filters.named_projects()
        return [key for key in keys if key.casefold() not in found]

    def _unique(self, projects: Iterable[Json]) -> list[Json]:
        unique = {records.key(p, "id", int): p for p in projects}
        return [
            project
            for project in unique.values()
            if self._filters.project(records.key(project, "key", str))
        ]

    def _locked_out(self, error: errors.InaccessibleError) -> errors.BitbucketError:
        """Return what it means that the very first request is refused."""
        what = str(error.args[0])
        if error.status == 401 and self._client.user is None:  # noqa: PLR2004
            return self._client.bad_login(what)
        return errors.FatalError(what, code=error.code, remedy=GRANT)

    def _summary(self) -> errors.BitbucketError:
        first = next(iter(self._failures.values()))
        names = _listed(list(self._failures))
        return errors.BitbucketError(
            f"{len(self._failures)} not read: {names}. First: {first.args[0]} All "
            "others are complete; the state of these has not moved.",
            code=first.code,
            remedy=first.remedy,
        )


def _path_key(project: Json) -> str:
    """Return the key as in URLs: of a personal project ``~`` and its owner's slug."""
    owner = project.get("owner")
    if project["key"].startswith("~") and isinstance(owner, dict) and owner.get("slug"):
        return f"~{owner['slug']}"
    return str(project["key"])


def _is_personal(project: object) -> bool:
    return isinstance(project, dict) and str(project.get("key")).startswith("~")


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _no_use(what: str, error: errors.UnavailableError) -> errors.FatalError:
    return errors.FatalError(what, code=error.code, remedy=error.remedy)


def _nothing(base_url: str, unmatched: list[str]) -> errors.FatalError:
    what = f"The login is right, but {base_url} shows no repository that passes the filters"
    what += f": nothing matches {_listed(unmatched)}." if unmatched else "."
    remedy = "Grant the user (or token) read permission, or change the filters."
    return errors.FatalError(what, code="no_resources", remedy=remedy)


def _typo(unmatched: list[str]) -> errors.ConfigError:
    what = f"Nothing visible matches {_listed(unmatched)}; all else is as it should be."
    remedy = "Correct the filter, or grant read permission on it."
    return errors.ConfigError(what, remedy=remedy)
