"""The projects and repositories that are visible and pass the filters.

Knows the listings of Bitbucket and what they omit: personal projects, projects of which only a
repository is visible, and repositories that are gone. Knows nothing of branches and commits.
"""

from __future__ import annotations

import random
from http.client import NOT_FOUND
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_bitbucket_dc.bitbucket import Client, Project, Repository
    from tap_bitbucket_dc.extract.filters import Filters
    from tap_bitbucket_dc.extract.outcome import Outcome

MOST_PROBES = 100  # requests in a run about repositories of the state that are not listed


Failures = list[tuple[str, errors.SkippableError]]
"""The name and the error of everything that could not be read."""


class Listed(NamedTuple):
    """The repositories of a project."""

    repositories: list[Repository]
    failures: Failures


class Listing:
    """The projects and repositories of one run, each listed once."""

    def __init__(self, client: Client, filters: Filters, outcome: Outcome) -> None:
        """Send no request yet."""
        self._client = client
        self._filters = filters
        self._outcome = outcome
        self._seen: dict[int, str] = {}
        self._projects: dict[int, str] = {}
        self.known = 0
        """Repositories of this shard listed so far; projects, if only they are read."""
        self.others = 0
        """Repositories listed so far that pass the filters and belong to other shards."""
        self.complete = False
        """Whether ``known`` is final."""

    def projects(self) -> tuple[list[Project], Failures]:
        """Return the projects that pass the filters. Any thread may call it.

        Raises:
            FatalError: The login is invalid, or may see nothing at all.
        """
        failures: Failures = []

        def failed(row: dict[str, Any], error: errors.SkippableError) -> None:
            failures.append((_name(row, "key", "project"), error))

        try:
            projects = list(self._client.projects(failed))
        except errors.InaccessibleError as error:
            raise self._client.login.refused_at_first(error) from None
        if self._client.login.user is None:
            self._client.confirm_login()
        if self._filters.all_personal():
            # A repository that cannot be read is noted when those of its project are listed.
            repositories = self._client.all_repositories(lambda *_: None)
            owners = (repository.project for repository in repositories)
            projects += [project for project in owners if project and project.is_personal]
        wanted = self._passing(projects, failures)
        named = self._named(self._missing(wanted), failures)
        return wanted + self._passing(named, failures), failures

    def repositories(self, project: Project) -> Listed:
        """Return all repositories of a project, in the order of Bitbucket's listing."""
        failures: Failures = []

        def failed(row: dict[str, Any], error: errors.SkippableError) -> None:
            name = f"{project.path_key}/{_name(row, 'slug', 'repository')}"
            failures.append((printable(name), error))

        return Listed(list(self._client.repositories(project, failed)), failures)

    def take(self, project: Project, listed: Iterator[Listed]) -> list[Repository]:
        """Return those of a project's repositories that this run reads.

        Args:
            project: A project that passes the filters.
            listed: Yields what ``repositories`` returned for it, or raises its error.
        """
        try:
            found = next(listed)
        except errors.SkippableError as error:
            self._outcome.unread(printable(project.path_key), error)
        else:
            for name, failure in found.failures:
                self._outcome.failed(name, failure)
            return [each for each in found.repositories if self._is_new(each)]
        return []

    def has_seen(self, repository_id: int) -> bool:
        """Return whether a repository was listed, even if the filters exclude it."""
        return repository_id in self._seen

    def gone(self, names: dict[int, str | None]) -> list[int]:
        """Return the ids of repositories that do not exist any more.

        Only a 404 for the last known name counts: filters and lost permissions hide repositories,
        and another repository may have taken the name of one that was renamed or moved.

        Args:
            names: ``KEY/slug`` by id as the state has them, None where it has none.
        """
        unseen = [(id_, name) for id_, name in names.items() if name and id_ not in self._seen]
        expected = [u for u in unseen if self._filters.project(u[1].partition("/")[0])]
        # A random sample: a fixed one would never reach the others.
        sample = random.sample(expected, min(len(expected), MOST_PROBES))
        return [id_ for id_, name in sample if self._is_gone(name)]

    def _is_gone(self, name: str) -> bool:
        key, _, slug = name.partition("/")
        try:
            self._client.repository(key, slug)
        except errors.SkippableError as error:
            return isinstance(error, errors.InaccessibleError) and error.status == NOT_FOUND
        return False

    def _is_new(self, repository: Repository) -> bool:
        """Return whether this run reads a repository that is listed.

        Rows that appear or vanish while a listing is paged shift it: one may be listed twice.
        """
        name = str(repository)
        if known := self._seen.get(repository.id):
            if known != name:
                self._outcome.failed(name, _same_id("repositories", known, name, repository.id))
            return False
        self._seen[repository.id] = name
        if not self._filters.repository(repository):
            return False
        if not self._filters.shard(repository.id):
            self.others += 1
            return False
        self.known += 1
        return True

    def _named(self, missing: list[str], failures: Failures) -> Iterator[Project]:
        """Yield the projects that a filter names and the listing omits.

        These are personal projects, and projects of which only a repository is visible.
        """
        for key in missing:
            try:
                yield self._client.project(key)
            except errors.NoSuchResourceError:
                raise
            except errors.SkippableError as error:
                if not (isinstance(error, errors.InaccessibleError) and error.status == NOT_FOUND):
                    failures.append((printable(key), error))

    def _missing(self, projects: list[Project]) -> list[str]:
        found = {project.key.casefold() for project in projects}
        keys = self._filters.named_projects()
        return [key for key in keys if key.casefold() not in found]

    def _passing(self, projects: Iterable[Project], failures: Failures) -> list[Project]:
        unique = {(project.id, project.key): project for project in projects}
        passing = [project for project in unique.values() if self._filters.project(project.key)]
        for project in passing:
            key = printable(project.key)
            known = self._projects.setdefault(project.id, key)
            if known != key:
                # Their repositories are read nevertheless: these have their own ids.
                failures.append((key, _same_id("projects", known, key, project.id)))
        return passing


def _name(row: dict[str, Any], key: str, kind: str) -> str:
    """Return what to call a row that cannot be read."""
    name = row.get(key)
    return printable(name) if name and isinstance(name, str) else f"a {kind} without a {key}"


def _same_id(kind: str, one: str, other: str, id_: int) -> errors.SkippableError:
    return errors.SkippableError(
        f"Bitbucket lists the {kind} {one} and {other} with the same id, {id_}."
    )
