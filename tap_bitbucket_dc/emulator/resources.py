"""The resources under ``/rest/api/1.0`` as each caller may see them.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tap_bitbucket_dc.emulator import errors
from tap_bitbucket_dc.emulator.access import Access, is_public
from tap_bitbucket_dc.emulator.bodies import ARCHIVING, Bodies, Version
from tap_bitbucket_dc.emulator.exchange import encoded
from tap_bitbucket_dc.emulator.git import MERGES, CommitRange
from tap_bitbucket_dc.emulator.paging import Paging

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_bitbucket_dc.emulator.exchange import Json, Request
    from tap_bitbucket_dc.emulator.git import Git
    from tap_bitbucket_dc.emulator.login import User
    from tap_bitbucket_dc.emulator.options import Options
    from tap_bitbucket_dc.emulator.projects import Repository

# Since these versions …
EMPTY_IS_204: Version = (5, 6)  # the default branch of an empty repository is 204, not 404
CONFIGURED_BRANCH: Version = (7, 5)  # the resource default-branch exists
STREAMED_NULL: Version = (8,)  # nextPageStart of the last streamed page is null, not absent


class NoSuchResourceError(LookupError):
    """No resource has this path."""


class Resources:
    """The resources as the caller of one request sees them."""

    def __init__(self, options: Options, request: Request, user: User | None) -> None:
        version = options.numbers
        streamed_null = version >= STREAMED_NULL
        if options.last_page is not None:
            streamed_null = options.last_page == "null"
        self._options = options
        self._projects = options.projects
        self._query = request.query
        self._user = user
        self._version = version
        self._bodies = Bodies(options.url, version, options.accounts(), user)
        self._access = Access(options.projects, user is None, options.hidden, options.denied)
        self._paging = Paging(
            query=request.query,
            caps=options.page_caps,
            stride=options.stride,
            streamed_null=streamed_null,
            null=options.last_page == "null",
        )

    def get(self, path: str) -> Json | bytes | None:
        """Return the body for a path relative to ``/rest/api/1.0/``; None for 204 No Content.

        Raises:
            BitbucketError: Bitbucket answers with an error.
            NoSuchResourceError: This version has no such path.
        """
        for pattern, since, resource in _ROUTES:
            match = pattern.fullmatch(path.strip("/"))
            if match and self._version >= since and self._offers(resource):
                return resource(self, **{k: unquote(v) for k, v in match.groupdict().items()})
        raise NoSuchResourceError(path)

    def application_properties(self) -> Json:
        """Return the version of the server."""
        numbers = (*self._version, 0, 0)
        return {
            "version": self._options.version,
            "buildNumber": f"{numbers[0]}{numbers[1]:03}{numbers[2]:03}",
            "buildDate": "1726720000000",
            "displayName": "Bitbucket",
        }

    def all_projects(self) -> Json:
        """Return a page of projects, without the personal ones."""
        name = self._query.get("name", "").lower()
        found = [p for p in self._projects.all() if p.owner is None and name in p.name.lower()]
        shown = [i for i, project in enumerate(found) if self._access.lists_project(project)]
        return self._paging.page(
            "projects", shown, lambda rows: [self._bodies.project(found[row]) for row in rows]
        )

    def project(self, key: str) -> Json:
        """Return a project."""
        return self._bodies.project(self._access.project(key))

    def repositories(self, key: str) -> Json:
        """Return a page of a project's repositories, archived ones included."""
        return self._repositories(self._projects.repositories(self._access.project(key)))

    def all_repositories(self) -> Json:
        """Return a page of all repositories, archived ones only if the query asks for them."""
        repositories = self._projects.repositories(*self._projects.all())
        return self._repositories([each for each in repositories if self._asked_for(each)])

    def recent_repositories(self) -> Json:
        """Return a page of all repositories; Bitbucket returns those the user viewed recently."""
        if self._user is None:
            raise errors.only_authenticated()
        return self._repositories(self._projects.repositories(*self._projects.all()))

    def personal_repositories(self, user: str) -> Json:
        """Return a page of a user's personal repositories."""
        return self.repositories(f"~{user}")

    def repository(self, key: str, slug: str) -> Json:
        """Return a repository."""
        return self._repository_body(self._access.repository(key, slug))

    def default_branch(self, key: str, slug: str) -> Json | None:
        """Return the default branch and the commit it points to."""
        git = self._access.repository(key, slug).git
        ref = git.head()
        tip = git.tip(ref) if ref else None
        if ref and tip:
            return self._bodies.branch(ref, tip, default=True)
        if self._version >= EMPTY_IS_204 and git.is_empty():
            return None
        raise errors.no_default_branch(ref)

    def configured_branch(self, key: str, slug: str) -> Json:
        """Return the name of the default branch, even if it was never pushed."""
        ref = self._access.repository(key, slug).git.head()
        if ref is None:
            raise errors.no_default_branch(None)
        return self._bodies.minimal_ref(ref)

    def branches(self, key: str, slug: str) -> Json:
        """Return a page of branches."""
        git = self._access.repository(key, slug).git
        head = git.head()
        by_name = self._query.get("orderBy", "").upper() == "ALPHABETICAL"
        text = self._query.get("filterText", "").lower()
        found = [
            (ref, tip) for ref, tip in git.branches(by_name=by_name) if text in ref[11:].lower()
        ]

        def values(rows: Sequence[int]) -> list[Json]:
            chosen = [found[row] for row in rows]
            return [self._bodies.branch(ref, tip, default=ref == head) for ref, tip in chosen]

        return self._paging.page("branches", range(len(found)), values)

    def commits(self, key: str, slug: str) -> bytes:
        """Return a page of ``git rev-list until ^since``.

        Pages are cached, so that a benchmark measures the client and not the emulator.
        """
        git = self._access.repository(key, slug).git
        tip, since = self._ends(git, slug)
        page = (git.directory, tip, since, repr(self._paging), self._counted(), self._bodies)
        body = self._projects.recent.get(page)
        if body is None:
            body = encoded(self._commits(git, tip, since))
            self._projects.recent.put(page, body)
        return body

    def commit(self, key: str, slug: str, commit: str) -> Json:
        """Return a commit with its parents in full. Only ids, no branches or tags, are accepted."""
        git = self._access.repository(key, slug).git
        known = git.resolve(commit)[0] if re.fullmatch("[0-9a-f]{4,40}", commit) else None
        if known is None:
            raise errors.no_such_commit(commit, slug)
        found = git.commits([known])[0]
        return self._bodies.commit(found, git.commits(found.parents))

    def _ends(self, git: Git, slug: str) -> tuple[str | None, str | None]:
        """Return the ids of ``until`` and ``since``; None for a commit that does not exist."""
        until, since = self._query.get("until") or None, self._query.get("since") or None
        ref = git.head()
        start = until or (git.tip(ref) if ref else None)
        if start is None:
            raise errors.no_default_branch(None if git.is_empty() else ref)
        names = [start, since] if since else [start]
        found = dict(zip(names, git.resolve(*names), strict=True))
        missing = [name for name in names if found[name] is None]
        if missing and not self._flag("ignoreMissing"):
            raise errors.no_such_commit(missing[0], slug)
        return found[start], found[since] if since else None

    def _commits(self, git: Git, tip: str | None, since: str | None) -> Json:
        merges = self._query.get("merges", "include")
        if merges not in MERGES:
            raise errors.invalid("merges", merges)
        found = git.range(tip, since, merges) if tip else CommitRange(b"")

        def values(rows: Sequence[int]) -> list[Json]:
            ids = found.ids(rows[0], rows[-1] + 1) if rows else []
            return [self._bodies.commit(commit) for commit in git.commits(ids)]

        body = self._paging.streamed("commits", range(len(found)), values)
        if self._counted():
            commits = git.commits(found.ids(0, len(found)))
            body["authorCount"] = len({commit.author.email for commit in commits})
            body["totalCount"] = len(found)
        return body

    def _offers(self, resource: object) -> bool:
        """Tell whether the options allow a resource to exist."""
        return resource is not Resources.default_branch or self._options.default_branch_resource

    def _counted(self) -> bool:
        """Tell whether the commits of the whole range are to be counted."""
        return self._options.counts and self._flag("withCounts")

    def _asked_for(self, repository: Repository) -> bool:
        """Tell whether a repository passes the filters of ``/repos``."""
        query = {name: value.strip().lower() for name, value in self._query.items()}
        archived = query.get("archived", "active") if self._version >= ARCHIVING else "all"
        if self._user is None and "permission" in query:
            return False
        if archived not in {"active", "archived", "all"}:
            raise errors.invalid("archived", archived)
        wanted = {
            "visibility": "public" if is_public(repository) else "private",
            "projectkey": repository.project.key.lower(),
            "state": repository.state.lower(),
        }
        return (
            archived in {"all", "archived" if repository.archived else "active"}
            and query.get("name", "") in repository.name.lower()
            and query.get("projectname", "") in repository.project.name.lower()
            and all(query.get(name, value) == value for name, value in wanted.items())
        )

    def _repositories(self, found: Sequence[Repository]) -> Json:
        shown = [i for i, repository in enumerate(found) if self._access.lists(repository)]
        return self._paging.page(
            "repositories", shown, lambda rows: [self._repository_body(found[row]) for row in rows]
        )

    def _repository_body(self, repository: Repository) -> Json:
        origin = self._projects.find(repository.origin) if repository.origin else None
        visible = origin if origin and self._access.lists(origin) else None
        return self._bodies.repository(repository, visible)

    def _flag(self, name: str) -> bool:
        return self._query.get(name, "").lower() == "true"


_REPOSITORY = "projects/(?P<key>[^/]+)/repos/(?P<slug>[^/]+)"
# Path, the first version that has it, and the method that answers.
_ROUTES: list[tuple[re.Pattern[str], Version, Callable[..., Json | bytes | None]]] = [
    (re.compile(path), since, resource)
    for path, since, resource in (
        ("application-properties", (), Resources.application_properties),
        ("projects", (), Resources.all_projects),
        ("projects/(?P<key>[^/]+)", (), Resources.project),
        ("projects/(?P<key>[^/]+)/repos", (), Resources.repositories),
        ("repos", (), Resources.all_repositories),
        ("users/(?P<user>[^/]+)/repos", (), Resources.personal_repositories),
        ("profile/recent/repos", (), Resources.recent_repositories),
        (_REPOSITORY, (), Resources.repository),
        (f"{_REPOSITORY}/branches/default", (), Resources.default_branch),
        (f"{_REPOSITORY}/default-branch", CONFIGURED_BRANCH, Resources.configured_branch),
        (f"{_REPOSITORY}/branches", (), Resources.branches),
        (f"{_REPOSITORY}/commits", (), Resources.commits),
        (f"{_REPOSITORY}/commits/(?P<commit>[^/]+)", (), Resources.commit),
    )
]
