"""Bitbucket Data Center's REST API: the resources of projects, repositories and commits.

Knows the resources and their addresses. Does not know what the objects are for. Safe to use
from many threads.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import msgspec

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.login import ONLY_FOR_USERS
from tap_bitbucket_dc.bitbucket.models import Branch, Commit, Project, Repository
from tap_bitbucket_dc.bitbucket.reader import API, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests.adapters import BaseAdapter

    from tap_bitbucket_dc.bitbucket.options import Options
    from tap_bitbucket_dc.bitbucket.paging import Ahead, Page
    from tap_bitbucket_dc.bitbucket.throttle import Throttle
    from tap_bitbucket_dc.bitbucket.usage import Usage

__all__ = ["API", "Client"]

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


class Client:
    """Reads from one Bitbucket.

    ::

        with Client(Options("https://bitbucket.example.com", token="…")) as bitbucket:
            for project in bitbucket.projects():
                print(project.key)

    Any method that reads may raise a FatalError, InaccessibleError, RedirectError,
    UnavailableError or, if the answer is not as documented, a plain SkippableError.
    """

    def __init__(
        self,
        options: Options,
        *,
        throttle: Throttle | None = None,
        adapter: BaseAdapter | None = None,
    ) -> None:
        """Check the options; send nothing yet.

        Args:
            options: Where the server is, and how to read from it.
            throttle: Decides when a request is sent, by default as ``options`` say.
            adapter: Sends requests, by default over the network.

        Raises:
            ConfigError: An option is invalid.
        """
        self._reader = Reader(options, throttle, adapter)
        self._login = self._reader.login
        self.base_url = self._reader.base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send nothing more; threads that wait for their turn get ClosedError."""
        self._reader.transport.close()

    @property
    def requests(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return self._reader.transport.requests

    @property
    def usage(self) -> Usage:
        """The requests that were answered so far, by endpoint."""
        return self._reader.transport.usage

    @property
    def throttled(self) -> int:
        """Answers so far that asked for fewer requests (429)."""
        return self._reader.transport.throttled

    # The login.

    @property
    def user(self) -> str | None:
        """The login that the server named in its last answer, None before."""
        return self._login.user

    @property
    def login_in_doubt(self) -> bool:
        """Whether an answer did not name the user: see ``confirm_login``."""
        return self._login.in_doubt

    def confirm_login(self) -> None:
        """Check that the server knows the user, and does not treat requests as anonymous.

        Raises:
            FatalError: It does not: ``invalid_credentials``.
        """
        try:
            self._reader.get(ONLY_FOR_USERS, {"limit": 1})
        except errors.SkippableError as error:
            if found := self._login.unconfirmed(error):
                raise found from None

    def refused_at_login(self, error: errors.InaccessibleError) -> errors.FatalError:
        """Return the error to end with if the very first request is refused."""
        return self._login.refused_at_first(error)

    # The resources.

    def application_properties(self) -> dict[str, Any]:
        """Return the version and such: ``{"version": "9.4.0", …}``; needs no login.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-system-maintenance/
        """
        return self._reader.read_plain("application-properties")

    def projects(self) -> Iterator[Project]:
        """Yield the projects that the user may see, but no personal ones.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-project/;
        that personal ones are not included: github/gh-gei.
        """
        for page in self._reader.pages(Project, "projects"):
            yield from page.values

    def project(self, key: str) -> Project:
        """Return one project; the key of a personal one is ``~`` and its owner's slug.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/ ("Personal
        Repositories").
        """
        return self._reader.read(Project, f"projects/{_segment(key)}")

    def all_repositories(self) -> Iterator[Repository]:
        """Yield every repository that the user may see, personal and archived ones too.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/;
        that personal ones are included: sourcegraph/sourcegraph. ``archived`` is ignored
        before 8.0, as unknown parameters are.
        """
        for page in self._reader.pages(Repository, "repos", {"archived": "ALL"}):
            yield from page.values

    def repositories(self, project: Project) -> Iterator[Repository]:
        """Yield the repositories of a project, archived ones too; ``project`` is theirs.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-project/;
        that archived ones are included: jenkinsci/bitbucket-branch-source-plugin.
        """
        for page in self._reader.pages(Repository, f"projects/{_segment(project.path_key)}/repos"):
            for repository in page.values:
                yield msgspec.structs.replace(repository, project=project)

    def repository(self, project_key: str, slug: str) -> Repository:
        """Return one repository; the key of a personal project is ``~`` and its owner's slug.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-project/
        """
        return self._reader.read(Repository, _path(project_key, slug))

    def default_branch(self, repository: Repository) -> Branch | None:
        """Return the default branch, None if the repository is empty.

        Deprecated, but ``default-branch`` that replaces it does not tell the latest commit.

        Raises:
            NoDefaultBranchError: The branch does not exist. Servers before 5.6 answer so for
                empty repositories, too.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/;
        jenkinsci/blueocean-plugin and argoproj/argo-cd for the answers without a branch.
        """
        path = f"{_path_of(repository)}/branches/default"
        branch = self._reader.read_if_any(Branch, path)
        if branch and not _COMMIT_ID.fullmatch(branch.latest_commit):
            what = f"The default branch of {repository} has no commit id as its latest."
            raise errors.SkippableError(what, url=self._reader.url(path), status=HTTPStatus.OK)
        return branch

    def commits(
        self,
        repository: Repository,
        *,
        until: str,
        since: str | None = None,
        start: int = 0,
        ahead: Ahead | None = None,
    ) -> Iterator[Page[Commit]]:
        """Yield the commits reachable from ``until`` but not from ``since``, newest first.

        The order is git's: by the date of the committer, so that after a merge old commits
        stand between new ones.

        Args:
            repository: With its project.
            until: A commit id. A branch could move between two pages, and its pages with it.
            since: A commit id, None to go back to the first commit.
            start: Where the first page starts, as a page before it said.
            ahead: Request pages ahead, None to request them one by one.

        Raises:
            NoSuchCommitError: ``until`` or ``since`` is not in the repository, or not any more.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/;
        for the order, the Javadoc of com.atlassian.bitbucket.commit.CommitOrder.
        """
        path = f"{_path_of(repository)}/commits"
        return self._reader.pages(Commit, path, _range(until, since), start, ahead)

    def count_commits(
        self, repository: Repository, *, until: str, since: str | None = None
    ) -> int | None:
        """Return the number of commits in a range, None if the server does not tell.

        The server walks through all of them: too slow to ask for every repository.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/
        """
        path = f"{_path_of(repository)}/commits"
        query = {**_range(until, since), "limit": 1, "withCounts": "true"}
        found = self._reader.get(path, query)
        total = found.get("totalCount") if isinstance(found, dict) else None
        return total if type(total) is int else None


def _range(until: str, since: str | None) -> dict[str, str | int]:
    return {"until": until, **({"since": since} if since else {})}


def _path_of(repository: Repository) -> str:
    if repository.project is None:
        what = f"Bitbucket sent the repository {repository.slug!r} without its project."
        raise errors.SkippableError(what)
    return _path(repository.path_key, repository.slug)


def _path(project_key: str, slug: str) -> str:
    return f"projects/{_segment(project_key)}/repos/{_segment(slug)}"


def _segment(text: str) -> str:
    return quote(text, safe="~")
