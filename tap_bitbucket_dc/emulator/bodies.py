"""Projects, repositories, branches and commits as Bitbucket's JSON.

The keys and their order are those of recorded answers. Equal input gives equal JSON.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from tap_bitbucket_dc.emulator.login import User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_bitbucket_dc.emulator.exchange import Json
    from tap_bitbucket_dc.emulator.git import Commit, Person
    from tap_bitbucket_dc.emulator.projects import Project, Repository

Version = tuple[int, ...]

# Since these versions …
HIERARCHIES: Version = (7,)  # repositories have the id of their hierarchy of forks
ARCHIVING: Version = (8,)  # repositories can be archived
ISSUE_KEY = re.compile(r"(?<![A-Za-z0-9-])[A-Z][A-Z0-9_]+-\d+(?![A-Za-z0-9])")
SSH_PORT = 7999


@dataclass(frozen=True)
class Bodies:
    """Bitbucket's JSON as one caller sees it.

    Attributes:
        url: The base URL of the server.
        version: The version of the server. It decides which keys exist.
        users: All accounts.
        user: The caller, whose name is part of the clone links; None if anonymous.
    """

    url: str
    version: Version
    users: tuple[User, ...]
    user: User | None

    @cached_property
    def _by_email(self) -> dict[str, User]:
        return {user.email.lower(): user for user in reversed(self.users)}

    def account(self, user: User) -> Json:
        """Return an account."""
        return {
            "name": user.name,
            "emailAddress": user.email,
            "id": user.id,
            "displayName": user.display_name,
            "active": user.active,
            "slug": user.slug,
            "type": user.type,
            "links": _self(f"{self.url}/users/{quote(user.slug)}"),
        }

    def project(self, project: Project) -> Json:
        """Return a project. Personal ones have an owner, and neither description nor ``public``."""
        if project.owner is not None:
            return self._personal(project, project.owner)
        described = {"description": project.description} if project.description else {}
        return {
            "key": project.key,
            "id": project.id,
            "name": project.name,
            **described,
            "public": project.public,
            "type": "NORMAL",
            "links": _self(f"{self.url}/projects/{project.key}"),
        }

    def _personal(self, project: Project, owner: str) -> Json:
        known = (user for user in self.users if user.slug == owner)
        stranger = User(zlib.crc32(owner.encode()) & 0x7FFF_FFFF, owner)
        account = self.account(next(known, stranger))
        return {
            "key": project.key,
            "id": project.id,
            "name": account["displayName"],
            "type": "PERSONAL",
            "owner": account,
            "links": account["links"],
        }

    def repository(self, repository: Repository, origin: Repository | None = None) -> Json:
        """Return a repository.

        Args:
            repository: The repository.
            origin: The repository it was forked from. None if it is not a fork, or if the origin
                was deleted or may not be seen by the caller.
        """
        body: Json = {"slug": repository.slug, "id": repository.id, "name": repository.name}
        if repository.description:
            body["description"] = repository.description
        if self.version >= HIERARCHIES:
            body["hierarchyId"] = _hierarchy(origin or repository)
        body |= {
            "scmId": "git",
            "state": repository.state,
            "statusMessage": repository.state.replace("_", " ").capitalize(),
            "forkable": True,
        }
        if origin:
            body["origin"] = self.repository(origin)
        body |= {"project": self.project(repository.project), "public": repository.public}
        if self.version >= ARCHIVING:
            body["archived"] = repository.archived
        return {**body, "links": self._links(repository)}

    def _links(self, repository: Repository) -> Json:
        project = repository.project
        server = urlsplit(self.url)
        owner = project.owner
        place = f"projects/{project.key}" if owner is None else f"users/{quote(owner)}"
        path = f"{project.key.lower()}/{repository.slug}.git"
        name = f"{quote(self.user.name)}@" if self.user and server.scheme == "http" else ""
        http = f"{server.scheme}://{name}{server.netloc}{server.path}/scm/{path}"
        ssh = f"ssh://git@{server.hostname}:{SSH_PORT}/{path}"
        clone = [{"href": http, "name": "http"}, {"href": ssh, "name": "ssh"}]
        if repository.id % 2:  # recordings have them in either order
            clone.reverse()
        return {"clone": clone, **_self(f"{self.url}/{place}/repos/{repository.slug}/browse")}

    def minimal_ref(self, ref: str) -> Json:
        """Return a branch without its commit."""
        return {"id": ref, "displayId": ref.removeprefix("refs/heads/"), "type": "BRANCH"}

    def branch(self, ref: str, commit: str, *, default: bool) -> Json:
        """Return a branch and the commit it points to."""
        return {
            **self.minimal_ref(ref),
            "latestCommit": commit,
            "latestChangeset": commit,
            "isDefault": default,
        }

    def commit(self, commit: Commit, parents: Sequence[Commit] | None = None) -> Json:
        """Return a commit.

        Args:
            commit: The commit.
            parents: Its parents, to show them in full. By default only their ids are shown.
        """
        body = {
            **_minimal_commit(commit.id),
            "author": self._person(commit.author),
            "authorTimestamp": commit.author.time * 1000,
            "committer": self._person(commit.committer),
            "committerTimestamp": commit.committer.time * 1000,
            "message": commit.message,
            "parents": [self.commit(parent) for parent in parents]
            if parents is not None
            else [_minimal_commit(parent) for parent in commit.parents],
        }
        if keys := list(dict.fromkeys(ISSUE_KEY.findall(commit.message))):
            body["properties"] = {"jira-key": keys}
        return body

    def _person(self, person: Person) -> Json:
        """Return the account that has the person's e-mail address, or else git's name and address.

        An address that several accounts have belongs to the first of them.
        """
        user = self._by_email.get(person.email.lower())
        if user:
            return self.account(user)
        return {"name": person.name, "emailAddress": person.email}


def _self(href: str) -> Json:
    return {"self": [{"href": href}]}


def _minimal_commit(commit: str) -> Json:
    return {"id": commit, "displayId": commit[:11]}


def _hierarchy(root: Repository) -> str:
    return hashlib.sha256(str(root.id).encode()).hexdigest()[:20]
