"""Compares what was loaded with Bitbucket itself.

Bitbucket is asked about the head that was loaded, so commits pushed since do not count as missing.
One request shows how many commits are reachable from it. The ids of all commits are read only if
that number differs or cannot be used.

If no parent of a loaded commit is missing, the rows contain everything reachable from the head. If
the number of commits is equal too, they contain nothing else.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from tap_bitbucket_dc.bitbucket import Ahead, Client, Options, errors
from tap_bitbucket_dc.bitbucket.errors import printable
from tap_bitbucket_dc.extract.crawl import Crawl, Wanted
from tap_bitbucket_dc.extract.filters import Filters
from tap_bitbucket_dc.extract.outcome import counted
from tap_bitbucket_dc.extract.prefetch import Prefetch
from tap_bitbucket_dc.settings import require_one_login, start_date
from tap_bitbucket_dc.warehouse.verify.differences import Difference, Result, differ
from tap_bitbucket_dc.warehouse.verify.listed import listed
from tap_bitbucket_dc.warehouse.verify.loaded import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_bitbucket_dc.bitbucket import Repository
    from tap_bitbucket_dc.warehouse.verify.loaded import Loaded

FILTERS = ("projects", "exclude_projects", "repositories", "exclude_repositories")
INTERVAL = 10.0  # seconds between two lines of progress

logger = logging.getLogger("tap-bitbucket-dc")


class Pair(NamedTuple):
    """A repository in Bitbucket, and what was loaded of it; one of them may be None."""

    listed: Repository | None
    held: Held | None

    @property
    def name(self) -> str:
        """The current ``KEY/slug``, else the one that was loaded; safe to print."""
        if self.listed:
            return str(self.listed)
        return printable(self.held.name or f"repository {self.held.id}") if self.held else ""


class Finding(NamedTuple):
    """The result for one pair."""

    difference: Difference | None = None
    commits: int = 0
    """Commits reachable from the head in Bitbucket."""
    refusal: errors.InaccessibleError | None = None
    inaccessible: bool = False
    """Whether it was inaccessible when it was loaded."""
    excluded: bool = False
    """Whether it does not count: its current name shows that the filters exclude it, or it
    disappeared during the run and had never been loaded.
    """


class Verification:
    """One run."""

    def __init__(
        self,
        config: Mapping[str, Any],
        loaded: Loaded,
        *,
        every_id: bool = False,
        allow_gone: bool = False,
        on_difference: Callable[[Difference], object],
    ) -> None:
        """Check the settings; send no request yet.

        Args:
            config: The settings of the tap, with their defaults.
            loaded: What was loaded.
            every_id: Whether all ids are read, even where the number of commits is equal.
            allow_gone: Whether deleted repositories are named, but count as equal.
            on_difference: Called with each difference as soon as it is found.

        Raises:
            ConfigError: A setting is wrong.
        """
        require_one_login(config)
        self.result = Result(allow_gone)
        self._start = start_date(config)
        self._filters = Filters(config)
        self._has_filters = any(map(config.get, FILTERS))
        self._counts = self._start is None and not every_id
        self._loaded = loaded
        self._concurrency: int = config["concurrency"]
        self._on_difference = on_difference
        self._client = Client(Options.of(config))
        self._begun = self._logged = time.monotonic()
        self._crawl = Crawl(
            self._client,
            self._filters,
            _no_bookmark,
            wanted=Wanted(default_branches=False, commits=False),
            concurrency=self._concurrency,
            on_wait=self._progress,
        )
        self._crawl.outcome.consequence = "All others were compared."

    def run(self) -> Result:
        """Compare all repositories that pass the filters.

        Raises:
            BitbucketError: Some or all could not be compared; ``result`` has the others.
        """
        ahead = 2 * self._concurrency
        pool = Prefetch(workers=self._concurrency, ahead=ahead, on_wait=self._progress)
        try:
            with ThreadPoolExecutor(self._concurrency) as self._pages, pool, self._crawl:
                for pair, findings in pool.each(self._pairs(), self._compare):
                    self._note(pair, findings)
                    self._progress()
                self._crawl.finish()
            self.result.is_complete = True
        finally:
            self.result.seconds = time.monotonic() - self._begun
            self.result.requests = self._client.requests
        return self.result

    def _pairs(self) -> Iterator[Pair]:
        held = dict(self._loaded.repositories)
        for _, turns in self._crawl.projects():
            for turn in turns:
                repository = turn.repository
                yield Pair(repository, held.pop(repository.id, None))
        for each in held.values():
            if self._is_unseen(each):
                yield Pair(None, each)

    def _is_unseen(self, held: Held) -> bool:
        """Return whether a repository was not listed, although the filters and the shard allow it.

        If its name is unknown, that is only certain without filters.
        """
        if self._crawl.listing.has_seen(held.id) or not self._filters.shard(held.id):
            return False
        if held.name is None:  # filters need a name
            return not self._has_filters
        return self._filters.project(_place(held.name)[0])

    def _compare(self, pair: Pair, its_turn: Callable[[], bool]) -> Iterator[Finding]:
        try:
            yield self._found(pair, Ahead(self._pages, self._concurrency, its_turn))
        except errors.InaccessibleError as error:
            is_gone = error.status == HTTPStatus.NOT_FOUND
            yield self._gone(pair) if is_gone else Finding(refusal=error)

    def _found(self, pair: Pair, ahead: Ahead) -> Finding:
        repository, held = pair
        if repository is None:
            if held is None or held.name is None:
                return self._gone(pair)
            repository = self._client.repository(*_place(held.name))
            if repository.id != held.id:
                return self._gone(pair)
            if not self._passes(repository):
                return Finding(excluded=True)
        if not self._loaded.has_branches:
            held = (held or Held(repository.id))._replace(head=self._head(repository))
        elif held is None or held.status is None or not held.listed:
            return _not_loaded(repository, held)
        if held.status == "inaccessible":
            return Finding(inaccessible=True)
        return self._commits(repository, held, ahead)

    def _passes(self, repository: Repository) -> bool:
        return self._filters.project(repository.path_key) and self._filters.repository(repository)

    def _head(self, repository: Repository) -> str | None:
        """Return the head that the server has now; None if there is no default branch."""
        try:
            branch = self._client.default_branch(repository)
        except errors.NoDefaultBranchError:
            return None
        return branch.latest_commit if branch else None

    def _commits(self, repository: Repository, held: Held, ahead: Ahead) -> Finding:
        """Compare the commits reachable from a head."""
        if not held.head:  # empty: no commit is reachable
            return self._by_id(repository, held, {}) if held.commits else Finding()
        try:
            if self._counts and held.complete:
                total = self._client.count_commits(repository, until=held.head)
                if total == held.commits:
                    return Finding(commits=total)
                self._counts = self._counts and total is not None
            found = listed(self._client, repository, held.head, self._start, ahead)
            return self._by_id(repository, held, found)
        except (errors.NoSuchCommitError, errors.NoDefaultBranchError):
            why = (
                f"Bitbucket has no commit {printable(held.head)}, which was the head when the "
                "repository was loaded: history has been rewritten since. Load again, then verify"
            )
            return Finding(Difference(str(repository), repository.id, "rewritten", why))

    def _by_id(self, repository: Repository, held: Held, found: dict[str, bool]) -> Finding:
        rows = self._loaded.ids(held.id)
        missing = tuple(id_ for id_, wanted in found.items() if wanted and not rows.get(id_))
        too_many = tuple(sorted(i for i, flag in rows.items() if flag and i not in found))
        if not (missing or too_many):
            return Finding(commits=sum(found.values()))
        difference = Difference(
            str(repository),
            repository.id,
            "commits",
            missing=tuple(map(printable, missing)),
            too_many=tuple(map(printable, too_many)),
            marked=frozenset(id_ for id_ in missing if id_ in rows),
        )
        return Finding(difference, sum(found.values()))

    def _gone(self, pair: Pair) -> Finding:
        if pair.held is None:  # listed a moment ago, and never loaded
            return Finding(excluded=True)
        why = "gone from Bitbucket, but its rows are still there"
        if pair.held.name is None:
            why = "Bitbucket does not list it, but its rows are still there"
        return Finding(Difference(pair.name, pair.held.id, "gone", why))

    def _note(self, pair: Pair, findings: Iterator[Finding]) -> None:
        """Add what was found to the result; a failure does not affect other repositories."""
        result, name = self.result, pair.name
        try:
            for finding in findings:
                self._crawl.outcome.visited(name, finding.refusal)
                if finding.difference:
                    result.differences.append(finding.difference)
                    self._on_difference(finding.difference)
                if finding.inaccessible:
                    logger.warning("%s was inaccessible during the load: not compared", name)
                if finding.refusal or finding.inaccessible:
                    result.inaccessible.append(name)
                elif not finding.excluded:
                    result.repositories += 1
                    result.commits += finding.commits
        except errors.SkippableError as error:
            result.failed.append(name)
            self._crawl.outcome.failed(name, error)

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._logged >= INTERVAL:
            self._logged = now
            logger.info(
                "%s of %s, %s, %s",
                f"{self.result.repositories:,}",
                counted(self._crawl.listing.known, "repository"),
                counted(self._client.requests, "request"),
                differ(len(self.result.differences)),
            )


def _not_loaded(repository: Repository, held: Held | None) -> Finding:
    why = "not loaded"
    if held:
        why += f": no row in {'repositories' if held.status else 'default_branches'}"
    return Finding(Difference(str(repository), repository.id, "not_loaded", why))


def _place(name: str) -> tuple[str, str]:
    """Split ``KEY/slug`` into project key and slug as they appear in URLs."""
    key, _, slug = name.partition("/")
    return (key.lower() if key.startswith("~") else key), slug


def _no_bookmark(_: int) -> NoReturn:
    raise NotImplementedError  # no repository is visited
