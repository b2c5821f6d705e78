"""The projects and repositories in a directory, and facts about them that git does not know.

::

    ROOT/users.json                [{"id": 7, "name": "ada", "slug": "ada", …}]     all optional
    ROOT/PAY/project.json          {"id": 3, "name": "Payments", "description": …, "public": true}
    ROOT/PAY/ledger.git/           a repository, bare or not; its slug is ledger
    ROOT/PAY/ledger.git/config     [bitbucket] id = 12, name, description, public, archived,
                                   state, origin = KEY/slug
    ROOT/~ada/notes/               a personal repository of the user with the slug ada

An id that is not given is derived from the path. Every call reads the directories again, so the
next answer shows what was added, deleted or renamed. Only the contents of unchanged files are
cached.

Knows nothing of permissions or HTTP.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tap_bitbucket_dc.emulator.git import Git, Recent, run
from tap_bitbucket_dc.emulator.login import User

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

_NAME = re.compile(r"~?\w[\w.+-]*")
_REMEMBERED = 256 * 1024 * 1024  # bytes of the cache


class SameIdError(ValueError):
    """Two projects, or two repositories, have the same id."""


@dataclass(frozen=True)
class Project:
    """A project. ``owner`` is the slug of the user it belongs to; None if it is not personal."""

    directory: str
    key: str
    id: int
    name: str
    description: str | None
    public: bool
    owner: str | None


@dataclass(frozen=True)
class Repository:
    """A repository. ``origin`` is ``KEY/slug`` of the repository it was forked from."""

    project: Project
    git: Git
    slug: str
    id: int
    name: str
    description: str | None
    public: bool
    archived: bool
    state: str
    origin: str | None

    @property
    def path(self) -> str:
        """``KEY/slug``, the name of the repository in messages and options."""
        return f"{self.project.key}/{self.slug}"


class Projects:
    """The projects under a directory.

    Attributes:
        root: The directory.
        recent: The cache of commits, of ranges of commits, and of pages of commits.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.recent = Recent(_REMEMBERED)
        self._files: dict[str, tuple[tuple[int, int, int], Any]] = {}

    def all(self) -> list[Project]:
        """Return all projects, personal ones included, sorted by name.

        Raises:
            SameIdError: Two of them have the same id.
        """
        found = [self._project(entry.name) for entry in _directories(self.root)]
        _distinct({project.directory: project.id for project in found})
        return sorted(found, key=lambda project: (project.name.lower(), project.key))

    def project(self, key: str) -> Project | None:
        """Return the project with a key, in upper or lower case; None if there is none."""
        if _NAME.fullmatch(key) and (self.root / key).is_dir():
            return self._project(key)
        names = [entry.name for entry in _directories(self.root)]
        return next((self._project(name) for name in names if name.upper() == key.upper()), None)

    def repositories(self, *projects: Project) -> list[Repository]:
        """Return the repositories of these projects, those of each sorted by name.

        Raises:
            SameIdError: Two of them have the same id.
        """
        found: list[Repository] = []
        for project in projects:
            inside = (entry.path for entry in _directories(project.directory))
            there = filter(None, (self._repository(project, directory) for directory in inside))
            found += sorted(
                there, key=lambda repository: (repository.name.lower(), repository.slug)
            )
        _distinct({repository.git.directory: repository.id for repository in found})
        return found

    def repository(self, project: Project, slug: str) -> Repository | None:
        """Return a project's repository by its slug; None if there is none."""
        if not _NAME.fullmatch(slug):
            return None
        directory = f"{project.directory}/{slug}"
        return self._repository(project, directory) or self._repository(project, f"{directory}.git")

    def find(self, path: str) -> Repository | None:
        """Return the repository with the path ``KEY/slug``; None if there is none."""
        key, _, slug = path.partition("/")
        project = self.project(key)
        return self.repository(project, slug) if project else None

    def users(self) -> list[User]:
        """Return the accounts in users.json."""
        return self._read(f"{self.root}/users.json", _users) or []

    def _project(self, name: str) -> Project:
        directory = f"{self.root}/{name}"
        facts = self._read(f"{directory}/project.json", _json) or {}
        return Project(
            directory=directory,
            key=name.upper(),
            id=facts.get("id", _id(name.upper())),
            name=facts.get("name", name.removeprefix("~")),
            description=facts.get("description"),
            public=facts.get("public", False),
            owner=name[1:].lower() if name.startswith("~") else None,
        )

    def _repository(self, project: Project, directory: str) -> Repository | None:
        """Return the repository in a directory, None if there is none."""
        places = (f"{directory}/.git", directory)
        git = next((place for place in places if os.path.exists(f"{place}/HEAD")), None)  # noqa: PTH110 - as in _read
        if git is None:
            return None
        facts = self._read(f"{git}/config", _facts) or {}  # git works without this file
        slug = directory.rpartition("/")[2].removesuffix(".git")
        return Repository(
            project=project,
            git=Git(git, self.recent),
            slug=slug,
            id=int(facts.get("id", _id(f"{project.key}/{slug}"))),
            name=facts.get("name", slug),
            description=facts.get("description"),
            public=facts.get("public") == "true",
            archived=facts.get("archived") == "true",
            state=facts.get("state", "AVAILABLE"),
            origin=facts.get("origin"),
        )

    def _read(self, file: str, read: Callable[[str], _T]) -> _T | None:
        """Return what ``read`` makes of a file; None if the file does not exist.

        The file is read again only after it has changed.
        """
        try:
            status = os.stat(file)  # noqa: PTH116 - 10,000 in a listing: a Path costs more than the stat
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = self._files.get(file)
            if known is None or known[0] != stamp:
                self._files[file] = known = (stamp, read(file))
        except (FileNotFoundError, NotADirectoryError):
            return None
        facts: _T = known[1]
        return facts


def _directories(directory: Path | str) -> list[os.DirEntry[str]]:
    """Return what may be projects or repositories; [] if the directory was just deleted."""
    try:
        with os.scandir(directory) as entries:
            return [entry for entry in entries if _NAME.fullmatch(entry.name) and entry.is_dir()]
    except FileNotFoundError:
        return []


def _json(file: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(Path(file).read_text("utf-8"))


def _users(file: str) -> list[User]:
    """Read accounts. Keys are Bitbucket's; those that have a default are optional."""
    ours = {"emailAddress": "email", "displayName": "display_name"}
    return [
        User(**{ours.get(key, key): value for key, value in entry.items()}) for entry in _json(file)
    ]


def _facts(config: str) -> dict[str, str]:
    """Return the section ``[bitbucket]`` of a repository's configuration.

    Git is only started for a configuration that has this section.
    """
    text = Path(config).read_text("utf-8", "surrogateescape")
    if "[bitbucket" not in text:
        return {}
    entries = run("config", "--file", "-", "--null", "--list", asked=text).decode(
        "utf-8", "replace"
    )
    pairs = (entry.partition("\n") for entry in entries.split("\0"))
    ours = "bitbucket."
    return {name[len(ours) :]: value for name, _, value in pairs if name.startswith(ours)}


def _id(path: str) -> int:
    return zlib.crc32(path.encode()) & 0x7FFF_FFFF


def _distinct(ids: dict[str, int]) -> None:
    owners: dict[int, str] = {}
    for directory, id_ in ids.items():
        other = owners.setdefault(id_, directory)
        # A directory that was moved during the search may have been found in both places.
        if other != directory and all(Path(place).exists() for place in (other, directory)):
            message = (
                f"{directory} and {other} have the same id {id_}: give one of them a different id"
            )
            raise SameIdError(message)
