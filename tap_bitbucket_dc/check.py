"""``--check``: reports whether a sync would work, and what it would cost.

Lists projects and repositories as a sync does, and asks for the default branch and a page of
commits of a few repositories. Reads and writes neither Singer messages nor a state.
"""

from __future__ import annotations

import itertools
import math
import shlex
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pendulum

from tap_bitbucket_dc.bitbucket import Client, Options, errors
from tap_bitbucket_dc.bitbucket.connection import base_url
from tap_bitbucket_dc.bitbucket.errors import printable
from tap_bitbucket_dc.bitbucket.reader import API
from tap_bitbucket_dc.extract.crawl import Crawl, Wanted
from tap_bitbucket_dc.extract.filters import Filters
from tap_bitbucket_dc.extract.found import DefaultBranch
from tap_bitbucket_dc.extract.outcome import counted
from tap_bitbucket_dc.extract.visit import Visit
from tap_bitbucket_dc.secret_settings import require_seed
from tap_bitbucket_dc.settings import require_one_login
from tap_bitbucket_dc.state import Bookmark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_bitbucket_dc.bitbucket import Repository

PROBES = 5  # repositories, spread over the listing

PERMISSION = (
    "A project administrator can grant Project read (Project settings > Project permissions); a "
    "repository administrator can grant Repository read (Repository settings > Repository "
    "permissions)."
)
LOGIN = (
    "Create a token in Manage account > HTTP access tokens, or in the settings of a "
    "project or repository, with the permissions Project read and Repository read."
)
CURL_FILES = {"--cacert": "ca_bundle", "--cert": "client_certificate", "--key": "client_key"}
GRANTS = {
    "invalid_credentials": LOGIN,
    "invalid_permissions": PERMISSION,
    "no_resources": PERMISSION,
    "basic_auth_disabled": LOGIN,
}


class _Probe(NamedTuple):
    repository: Repository
    found: DefaultBranch
    rows: int = 0
    """Commits on the first page."""
    pages: int = 0
    """Pages that a first sync would read; an estimate if the server reports no count."""


def check(config: Mapping[str, Any], tell: Callable[[str], object]) -> None:
    """Call ``tell`` with each line about what a sync would encounter.

    Raises:
        BitbucketError: What a sync would end with.
    """
    require_one_login(config)
    require_seed(config)
    with Client(Options.of(config)) as client:
        _Check(client, config, tell).run()


class _Check:
    """Examines a server the way a sync would."""

    def __init__(
        self, client: Client, config: Mapping[str, Any], tell: Callable[[str], object]
    ) -> None:
        self._client = client
        self._tell = tell
        self._concurrency: int = config["concurrency"]
        self._per_second: float | None = config.get("requests_per_second")
        self._crawl = Crawl(
            client,
            Filters(config),
            lambda _: Bookmark(),
            wanted=Wanted(default_branches=False, commits=False),
            concurrency=self._concurrency,
            on_wait=lambda: None,
        )

    def run(self) -> None:
        started = time.monotonic()
        with self._crawl:
            found = self._client.application_properties()
            product, version = (printable(str(found.get(k))) for k in ("displayName", "version"))
            self._tell(f"Server: {product} {version} at {self._client.base_url}")
            repositories = self._list()
            listing = self._client.requests - 1
            before, begun = self._client.requests, time.monotonic()
            probes = [p for each in _spread(repositories) if (p := self._probe(each))]
            latency = (time.monotonic() - begun) / max(self._client.requests - before, 1)
            self._tell_access(probes, len(repositories))
            self._crawl.finish()
        gap = self._gap(latency, started)
        self._tell_costs(listing, len(repositories), probes, gap)
        self._tell("A sync would work.")

    def _list(self) -> list[Repository]:
        listed = [[turn.repository for turn in turns] for _, turns in self._crawl.projects()]
        repositories = list(itertools.chain.from_iterable(listed))
        user = self._client.login.user
        self._tell(f"Login: {printable(user)}" if user else "Login: the server does not report it")
        projects = counted(len(listed), "project")
        visible = counted(len(repositories), "repository")
        self._tell(f"Visible after filtering: {projects}, {visible}")
        return repositories

    def _probe(self, repository: Repository) -> _Probe | None:
        """Read as a first sync does; return None on failure, which is noted in the outcome."""
        try:
            probe = self._read(repository)
        except errors.InaccessibleError as error:
            probe = _Probe(repository, DefaultBranch("inaccessible", refusal=error))
        except errors.SkippableError as error:
            self._crawl.outcome.failed(str(repository), error)
            return None
        self._crawl.outcome.visited(str(repository), probe.found.refusal)
        return probe

    def _read(self, repository: Repository) -> _Probe:
        found = Visit(self._client, repository, Bookmark()).default_branch()
        if (head := found.latest_commit) is None:
            return _Probe(repository, found)
        page = next(self._client.commits(repository, until=head))
        rows = len(page.values)
        if page.next_start is None:
            return _Probe(repository, found, rows, 1)
        total = self._client.count_commits(repository, until=head)
        return _Probe(repository, found, rows, math.ceil((total or 2 * rows) / max(rows, 1)))

    def _tell_access(self, probes: list[_Probe], listed: int) -> None:
        refused = [str(p.repository) for p in probes if p.found.refusal]
        visible = f" ({listed:,} are visible)" if listed > len(probes) else ""
        probed = counted(len(probes), "probed repository")
        self._tell(f"Access: {len(probes) - len(refused)} of {probed}{visible}")
        if refused and len(refused) < len(probes):
            self._tell(f"  No access to {', '.join(refused)}. {PERMISSION}")
        sample = max(probes, key=lambda probe: probe.rows, default=None)
        if sample and (head := sample.found.latest_commit):
            branch = f"default branch {printable(str(sample.found.display_id))} at {head[:11]}"
            rows = counted(sample.rows, "commit")
            self._tell(f"Test read: {sample.repository}, {branch}, {rows} on the first page")

    def _gap(self, latency: float, started: float) -> float:
        """Return about how many seconds a sync would leave between two requests."""
        gap = max(latency / self._concurrency, 1 / (self._per_second or math.inf))
        if not self._client.usage.throttled:
            return gap
        self._tell("Pace: the server has asked this check to slow down (429)")
        return max(gap, (time.monotonic() - started) / self._client.requests)

    def _tell_costs(self, listing: int, listed: int, probes: list[_Probe], gap: float) -> None:
        idle = listing + listed
        pages = sum(probe.pages for probe in probes) / max(len(probes), 1)
        first = idle + math.ceil(listed * pages)
        for name, requests in (("First sync", first), ("Idle sync", idle)):
            seconds = requests * gap
            words = pendulum.duration(seconds=round(seconds)).in_words()
            time_ = f"about {words}" if seconds >= 1 else "less than 1 second"
            self._tell(f"{name}: about {counted(requests, 'request')}, {time_}")
        if listed > len(probes) or any(probe.pages > 1 for probe in probes):
            histories = f"{'history' if len(probes) == 1 else 'histories'} of"
            number = counted(len(probes), "repository")
            self._tell(f"  The first sync is estimated from the {histories} {number}.")


def _spread(repositories: list[Repository]) -> list[Repository]:
    """Return a few, evenly spread over the list."""
    step = max(len(repositories) / PROBES, 1)
    return [repositories[int(i * step)] for i in range(min(PROBES, len(repositories)))]


def failure(error: errors.BitbucketError, config: Mapping[str, Any]) -> str:
    """Return what to do about an error, and a ``curl`` command that shows the server's answer."""
    lines = [f"A sync would not work: {error.code}", f"  {error.args[0]}", f"  {error.remedy}"]
    if grant := GRANTS.get(error.code):
        lines.append(f"  {grant}")
    if not isinstance(error, errors.ConfigError):
        api = f"{base_url(config['base_url'])}{API}"
        url = error.url if error.url.startswith(f"{api}/") else f"{api}/projects?limit=1"
        lines += ["To see the server's own response, run:", f"  {_curl(url, config)}"]
    return "\n".join(lines)


def _curl(url: str, config: Mapping[str, Any]) -> str:
    bearer = ["-H", "Authorization: Bearer YOUR_TOKEN"]
    login = bearer if config.get("token") else ["-u", "YOUR_USERNAME:YOUR_PASSWORD"]
    insecure = [] if config.get("verify_tls", True) else ["--insecure"]
    words = ["curl", "-i", *login, "-H", "Accept: application/json", *insecure]
    for option, setting in CURL_FILES.items():
        if config.get(setting):
            words += [option, config[setting]]
    return shlex.join([*words, url])
