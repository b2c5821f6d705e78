"""Who may see which projects and repositories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tap_bitbucket_dc.emulator.projects import Project, Projects, Repository


@dataclass(frozen=True)
class Access:
    """What one caller may see.

    Attributes:
        projects: All projects of the server.
        anonymous: Whether the caller may only see what is public.
        hidden: Projects (``KEY``) and repositories (``KEY/slug``) that no caller may see.
        denied: The status, 401, 403 or 404, of requests for single projects (``KEY``) and
            repositories (``KEY/slug``), which are listed nevertheless.
    """

    projects: Projects
    anonymous: bool
    hidden: Collection[str]
    denied: Mapping[str, int]

    def lists_project(self, project: Project) -> bool:
        """Tell whether the caller finds a project in listings."""
        if project.key in self.hidden or project.key.lower() in self.hidden:
            return False
        if not self.anonymous or project.public:
            return True
        return any(repository.public for repository in self.projects.repositories(project))

    def lists(self, repository: Repository) -> bool:
        """Tell whether the caller finds a repository in listings."""
        project = repository.project
        names = {project.key, project.key.lower(), *_names(repository)}
        return names.isdisjoint(self.hidden) and (not self.anonymous or is_public(repository))

    def project(self, key: str) -> Project:
        """Return a project by its key.

        Raises:
            BitbucketError: The project is missing, hidden or denied.
        """
        project = self.projects.project(key)
        if project is None:
            raise errors.no_such_project(key)
        if not self.lists_project(project):
            raise errors.not_permitted()
        status = self.denied.get(project.key) or self.denied.get(project.key.lower())
        if status:
            raise errors.no_such_project(key) if status == 404 else errors.not_permitted(status)  # noqa: PLR2004
        return project

    def repository(self, key: str, slug: str) -> Repository:
        """Return a repository by its project's key and its slug.

        Raises:
            BitbucketError: The repository or its project is missing, hidden or denied.
        """
        project = self.project(key)
        repository = self.projects.repository(project, slug)
        if repository is None:
            raise errors.no_such_repository(f"{project.key}/{slug}")
        if not self.lists(repository):
            raise errors.not_permitted()
        found = (self.denied[name] for name in _names(repository) if name in self.denied)
        status = next(found, None)
        if status == 404:  # noqa: PLR2004
            raise errors.no_such_repository(repository.path)
        if status:
            raise errors.not_permitted(status)
        return repository


def is_public(repository: Repository) -> bool:
    """Tell whether anyone may read a repository."""
    return repository.public or repository.project.public


def _names(repository: Repository) -> tuple[str, str]:
    """Return the two ways to name a repository in options: ``KEY/slug`` and ``key/slug``."""
    return repository.path, f"{repository.project.key.lower()}/{repository.slug}"
