"""Bitbucket Data Center's REST API: the resources of projects, repositories and commits.

Knows the resources and their addresses. Does not know what the objects are used for. Safe to use
from many threads.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/, the pages intro (for personal
projects), api-group-project, api-group-repository and api-group-system-maintenance.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import msgspec

from tap_bitbucket_dc.bitbucket import errors, ids
from tap_bitbucket_dc.bitbucket.models import Branch, Commit, ConfiguredBranch, Project, Repository
from tap_bitbucket_dc.bitbucket.paging import page_of
from tap_bitbucket_dc.bitbucket.reader import API, NO_QUERY, Reader
from tap_bitbucket_dc.bitbucket.refusals import ONLY_FOR_USERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests.adapters import BaseAdapter

    from tap_bitbucket_dc.bitbucket.options import Options
    from tap_bitbucket_dc.bitbucket.paging import Ahead, Page
    from tap_bitbucket_dc.bitbucket.reader import Object, OnBadRow, Query
    from tap_bitbucket_dc.bitbucket.throttle import Throttle

MOST_LISTED = 250_000  # projects, or repositories of a project: more than any company has
MOST_COMMITS = 10_000_000
NEWER_TAP = "Look for a newer version of tap-bitbucket-dc."


class Client:
    """Reads from one Bitbucket.

    Any method that reads may raise a FatalError, InaccessibleError, RedirectError,
    UnavailableError or, if the answer is not as documented, a plain SkippableError.

    Attributes:
        base_url: The server's base URL, without a trailing slash.
        login: What the answers so far reveal about the login.
        usage: How many requests were sent and answered so far.
    """

    def __init__(
        self,
        options: Options,
        *,
        throttle: Throttle | None = None,
        adapter: BaseAdapter | None = None,
    ) -> None:
        """Send nothing yet, but raise a ConfigError if an option is invalid.

        ``throttle`` decides when a request is sent, by default as ``options`` say; ``adapter``
        sends it, by default over the network.
        """
        self._reader = Reader(options, throttle, adapter)
        self._has_branches_default = True  # until it turns out not to exist
        self.login = self._reader.login
        self.usage = self._reader.transport.usage
        self.base_url = self._reader.transport.base_url

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
        return self.usage.requests

    def confirm_login(self) -> None:
        """Raise ``invalid_credentials`` if the server treats requests as anonymous."""
        try:
            self._reader.get(self._reader.url(ONLY_FOR_USERS, {"limit": 1}))
        except errors.SkippableError as error:
            if found := self.login.unconfirmed(error):
                raise found from None

    def application_properties(self) -> dict[str, Any]:
        """Return the version and other properties, ``{"version": "9.4.0", …}``; needs no login."""
        try:
            return self._reader.read_plain(self._reader.url("application-properties"))
        except errors.NoSuchResourceError as error:
            raise self._without_api(error) from None

    def projects(self, on_bad_row: OnBadRow | None = None) -> Iterator[Project]:
        """Yield the projects that the user may see, but no personal ones.

        A row without an id or key is left out, and ``on_bad_row`` is called with the row and the
        error. If ``on_bad_row`` is None, the error is raised.

        Source for the absence of personal projects: github/gh-gei.
        """
        try:
            yield from self._listed(Project, "projects", on_bad_row)
        except errors.NoSuchResourceError as error:
            raise self._without_api(error) from None

    def project(self, key: str) -> Project:
        """Return one project; the key of a personal one is ``~`` and its owner's slug."""
        return self._reader.read(Project, f"projects/{ids.segment(key)}")

    def all_repositories(self, on_bad_row: OnBadRow | None = None) -> Iterator[Repository]:
        """Yield every repository that the user may see, personal and archived ones too.

        Before 8.0, Bitbucket ignores ``archived``, as it ignores all unknown parameters. Source for
        the presence of personal repositories: sourcegraph/sourcegraph.
        """
        return self._listed(Repository, "repos", on_bad_row, {"archived": "ALL"})

    def repositories(
        self, project: Project, on_bad_row: OnBadRow | None = None
    ) -> Iterator[Repository]:
        """Yield the repositories of a project, archived ones too, each with this ``project``.

        Source for the presence of archived ones: jenkinsci/bitbucket-branch-source-plugin.
        """
        path = f"projects/{ids.segment(project.path_key)}/repos"
        for repository in self._listed(Repository, path, on_bad_row):
            found = repository.project or project
            if found.id != project.id and found.key != project.key:
                what = f"Bitbucket listed {repository} among the repositories of {project.key}."
                error = errors.SkippableError(what)
                if on_bad_row is None:
                    raise error
                on_bad_row({"slug": repository.slug}, error)
                continue
            yield msgspec.structs.replace(repository, project=project)

    def repository(self, project_key: str, slug: str) -> Repository:
        """Return one repository; ``project_key`` as for ``project``."""
        return self._reader.read(Repository, ids.path(project_key, slug))

    def default_branch(self, repository: Repository) -> Branch | None:
        """Return the default branch, None if the repository is empty.

        ``branches/default`` returns name and latest commit. It is deprecated in favour of
        ``default-branch``, which returns only the name.

        Raises:
            NoDefaultBranchError: The branch does not exist. Servers before 5.6 also answer this
                way for empty repositories.

        Source of the answers without a branch: jenkinsci/blueocean-plugin, argoproj/argo-cd.
        """
        path = ids.path_of(repository)
        if not self._has_branches_default:
            return self._configured_branch(path)
        url = self._reader.url(f"{path}/branches/default")
        try:
            branch = self._reader.read_if_any(Branch, url)
        except errors.NoSuchResourceError:
            branch = self._configured_branch(path)
            self._has_branches_default = False
        if branch and not ids.is_commit_id(branch.latest_commit):
            what = f"The default branch at {url} has no valid commit id as its latest commit."
            raise errors.SkippableError(what, url=url, status=HTTPStatus.OK)
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

        The order is git's: by committer date, so after a merge old commits may be listed between
        new ones. Source: Javadoc of com.atlassian.bitbucket.commit.CommitOrder.

        Args:
            until: A commit id, not a branch, which could move between two pages.
            since: A commit id, None to go back to the first commit.
            start: Where the first page starts: 0, or the ``next_start`` of an earlier page.

        Raises:
            NoSuchCommitError: ``until`` or ``since`` is not, or is no longer, in the repository.
        """
        path = f"{ids.path_of(repository)}/commits"
        query, url = _range(until, since), self._reader.url(path)
        for page in self._reader.pages(Commit, path, query, start, ahead, most=MOST_COMMITS):
            ids.require_commit_ids(page.values, url)
            yield page

    def count_commits(
        self, repository: Repository, *, until: str, since: str | None = None
    ) -> int | None:
        """Return the number of commits in a range, None if the server does not report it.

        The server walks through all of them, which is too slow to do for every repository.
        """
        total = self._counted(repository, until, since).get("totalCount")
        return total if type(total) is int else None

    def is_empty(self, repository: Repository, *, until: str, since: str) -> bool:
        """Return whether a range has no commits: no rows, and no count or a count of 0."""
        found = self._counted(repository, until, since)
        return not found.get("values") and found.get("totalCount") in {None, 0}

    def _counted(self, repository: Repository, until: str, since: str | None) -> dict[str, Any]:
        query = {**_range(until, since), "limit": 1, "withCounts": "true"}
        url = self._reader.url(f"{ids.path_of(repository)}/commits", query)
        return self._reader.read_plain(url)

    def _listed(
        self, kind: type[Object], path: str, on_bad_row: OnBadRow | None, query: Query = NO_QUERY
    ) -> Iterator[Object]:
        pages = self._reader.pages(kind, path, query, most=MOST_LISTED, on_bad_row=on_bad_row)
        return itertools.chain.from_iterable(page.values for page in pages)

    def _configured_branch(self, repository: str) -> Branch | None:
        url = self._reader.url(f"{repository}/default-branch")
        if (found := self._reader.read_if_any(ConfiguredBranch, url)) is None:
            return None
        url = self._reader.url(f"{repository}/commits", {"until": found.id, "limit": 1})
        try:
            body = self._reader.get(url)
        except errors.NoSuchCommitError as error:
            # Only an empty repository has no branch at all.
            url = self._reader.url(f"{repository}/branches", {"limit": 1})
            branches = self._reader.read_plain(url)
            if branches.get("values") == []:
                return None
            raise error.turned_into(errors.NoDefaultBranchError) from None
        page = page_of(body, 0, url, functools.partial(self._reader.model, Commit, url))
        ids.require_commit_ids(page.values, url)
        if not page.values:
            raise errors.SkippableError(f"The response from {url} has no commit.", url=url)
        return Branch(page.values[0].id, found.id, found.display_id, found.type)

    def _without_api(self, error: errors.NoSuchResourceError) -> errors.BitbucketError:
        """Return the error to end with if not even the first resource exists."""
        url = f"{self.base_url}/rest/api/latest/application-properties"
        with contextlib.suppress(errors.SkippableError):
            found = self._reader.transport.get(url).value
            if isinstance(found, dict) and "version" in found:
                what = f"{error.url} returned 404: Bitbucket {found['version']} has no {API[1:]}."
                return errors.FatalError(what, remedy=NEWER_TAP, url=error.url, status=error.status)
        return error


def _range(until: str, since: str | None) -> dict[str, str | int]:
    return {"until": until, **({"since": since} if since else {})}
