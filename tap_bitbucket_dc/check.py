"""Says in plain words whether a sync would work, and what it would cost: ``--check``.

Lists projects and repositories as a sync does, and asks a few of the repositories for
their default branch and a page of commits. Knows neither Singer nor HTTP.
"""

from __future__ import annotations

import math
import re
import shlex
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_bitbucket_dc import errors
from tap_bitbucket_dc.client import API
from tap_bitbucket_dc.connection import base_url
from tap_bitbucket_dc.crawl import Crawl, Wanted
from tap_bitbucket_dc.errors import printable
from tap_bitbucket_dc.progress import duration
from tap_bitbucket_dc.visit import Bookmark, Branch, Repository, Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_bitbucket_dc.client import Client
    from tap_bitbucket_dc.filters import Filters

PROBES = 5  # repositories, spread over the listing

PERMISSION = (
    "An administrator of the project grants Project read in Project settings > Project "
    "permissions, or of a repository Repository read in Repository settings > "
    "Repository permissions."
)
LOGIN = (
    "A token is made in Manage account > HTTP access tokens, or in the settings of a "
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
    name: Repository
    branch: Branch
    rows: int = 0
    """Commits on the first page."""
    pages: int = 0
    """As many as a first sync has to read, as far as the server tells."""


class Check:
    """Looks at a server as a sync would meet it."""

    def __init__(
        self,
        client: Client,
        filters: Filters,
        config: Mapping[str, Any],
        tell: Callable[[str], object],
    ) -> None:
        """Take where to look, what to look at, and what to call with each line."""
        self._client = client
        self._tell = tell
        self._concurrency: int = config["concurrency"]
        self._per_second: float | None = config.get("requests_per_second")
        self._crawl = Crawl(
            client,
            filters,
            lambda _: Bookmark(),
            wanted=Wanted(branches=False, commits=False),
            concurrency=self._concurrency,
            tick=lambda: None,
        )

    def run(self) -> None:
        """Tell what a sync would meet.

        Raises:
            BitbucketError: What a sync would end with.
        """
        started = time.monotonic()
        try:
            self._greet()
            names = self._list()
            listing = self._client.requests - 1
            before, begun = self._client.requests, time.monotonic()
            probes = [probe for name in _spread(names) if (probe := self._probe(name))]
            latency = (time.monotonic() - begun) / max(self._client.requests - before, 1)
            self._tell_access(probes, len(names))
            self._crawl.finish()
        finally:
            self._crawl.close()
        self._tell_costs(listing, len(names), probes, self._gap(latency, started))
        self._tell("A sync would work.")

    def _greet(self) -> None:
        found = self._client.application_properties()
        product, version = (printable(str(found.get(k))) for k in ("displayName", "version"))
        self._tell(f"Server: {product} {version} at {self._client.base_url}")

    def _list(self) -> list[Repository]:
        projects = 0
        names = []
        for _ in self._crawl.projects():
            projects += 1
            names += [self._crawl.reading.name for _ in self._crawl.repositories()]
        user = self._client.user
        self._tell(f"Login: {printable(user)}" if user else "Login: the server does not name us")
        self._tell(f"Visible after the filters: projects {projects:,}, repositories {len(names):,}")
        return names

    def _probe(self, name: Repository) -> _Probe | None:
        """Ask as a first sync does; None if it fails, which the crawl notes."""
        try:
            probe = self._read(name)
        except errors.InaccessibleError:
            probe = _Probe(name, Branch("inaccessible"))
        except errors.FatalError:
            raise
        except errors.BitbucketError as error:
            self._crawl.failed(str(name), error)
            return None
        self._crawl.visited(str(name), probe.branch)
        return probe

    def _read(self, name: Repository) -> _Probe:
        branch = Visit(self._client, name, Bookmark()).branch()
        if branch.latest_commit is None:
            return _Probe(name, branch)
        _, key, slug = name
        page = self._client.commits(key, slug, until=branch.latest_commit)
        rows = len(page.values)
        if page.next_start is None:
            return _Probe(name, branch, rows, 1)
        total = self._client.count_commits(key, slug, branch.latest_commit)
        return _Probe(name, branch, rows, math.ceil((total or 2 * rows) / max(rows, 1)))

    def _tell_access(self, probes: list[_Probe], listed: int) -> None:
        refused = [str(p.name) for p in probes if p.branch.status == "inaccessible"]
        self._tell(
            f"Access: to {len(probes) - len(refused)} of {len(probes)} repositories probed"
            + (f" ({listed:,} are visible)" if listed > len(probes) else "")
        )
        if refused and len(refused) < len(probes):
            self._tell(f"  No access to {', '.join(refused)}. {PERMISSION}")
        sample = max(probes, key=lambda probe: probe.rows, default=None)
        if sample and sample.branch.latest_commit:
            branch, head = printable(str(sample.branch.display_id)), sample.branch.latest_commit
            self._tell(
                f"Read as a test: {sample.name}, default branch {branch} at {head[:11]}, "
                f"a page of commits with {sample.rows:,} rows"
            )

    def _gap(self, latency: float, started: float) -> float:
        """Return about how many seconds lie between two requests of a sync."""
        gap = max(latency / self._concurrency, 1 / (self._per_second or math.inf))
        if not self._client.throttled:
            return gap
        self._tell("Pace: the server has asked this check to slow down (429)")
        return max(gap, (time.monotonic() - started) / self._client.requests)

    def _tell_costs(self, listing: int, listed: int, probes: list[_Probe], gap: float) -> None:
        idle = listing + listed
        pages = sum(probe.pages for probe in probes) / max(len(probes), 1)
        first = idle + math.ceil(listed * pages)
        for name, requests in (("First sync", first), ("Idle sync", idle)):
            seconds = requests * gap
            time_ = f"about {duration(seconds)}" if seconds >= 1 else "less than 1 s"
            self._tell(f"{name}: about {requests:,} requests, {time_}")
        if listed > len(probes) or any(probe.pages > 1 for probe in probes):
            self._tell(
                f"  The first is an estimate from the histories of {len(probes)} repositories."
            )


def _spread(names: list[Repository]) -> list[Repository]:
    """Return a few, evenly spread over the list."""
    step = max(len(names) / PROBES, 1)
    return [names[int(i * step)] for i in range(min(PROBES, len(names)))]


def failure(error: errors.BitbucketError, config: Mapping[str, Any]) -> str:
    """Return what to do about an error: in words, by permission, and to see it by curl."""
    lines = [f"A sync would not work: {error.code}", f"  {error.args[0]}", f"  {error.remedy}"]
    if grant := GRANTS.get(error.code):
        lines.append(f"  {grant}")
    if not isinstance(error, errors.ConfigError):
        curl = _curl(_url(error, config["base_url"]), config)
        lines += ["See the server's own answer with:", f"  {curl}"]
    return "\n".join(lines)


def _url(error: errors.BitbucketError, setting: str) -> str:
    """Return the URL that the error names, else that of the projects."""
    found = re.search(r"https?://\S+/rest/\S+", str(error.args[0]))
    return found[0].rstrip(".,:;") if found else f"{base_url(setting)}{API}/projects?limit=1"


def _curl(url: str, config: Mapping[str, Any]) -> str:
    login = ["-H", "Authorization: Bearer YOUR_TOKEN"]
    if not config.get("token"):
        login = ["-u", "YOUR_USERNAME:YOUR_PASSWORD"]
    words = ["curl", "-i", *login, "-H", "Accept: application/json"]
    if not config.get("verify_tls", True):
        words.append("--insecure")
    for option, setting in CURL_FILES.items():
        if config.get(setting):
            words += [option, config[setting]]
    return shlex.join([*words, url])
