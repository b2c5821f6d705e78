"""Which projects and repositories are read: the settings' keys, globs and switches.

Pure: knows neither HTTP nor Singer. Case does not matter, as it does not in
Bitbucket's URLs.
"""

from __future__ import annotations

import fnmatch
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_bitbucket_dc import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_bitbucket_dc.client import Json


class _Pattern(NamedTuple):
    text: str
    key: str
    slug: str

    @property
    def is_exact(self) -> bool:
        return not any(mark in self.text for mark in "*?[")

    def matches(self, key: str, slug: str | None = None) -> bool:
        """Return whether it matches a repository, or without a slug a project."""
        return fnmatch.fnmatchcase(key.casefold(), self.key) and (
            slug is None or fnmatch.fnmatchcase(slug.casefold(), self.slug)
        )


class Filters:
    """The settings that choose projects and repositories."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read the settings.

        Raises:
            ConfigError: A repository's pattern is no ``KEY/slug``, or there is no such
                shard.
        """
        self._projects = _patterns(config, "projects")
        self._not_projects = _patterns(config, "exclude_projects")
        self._repositories = _patterns(config, "repositories")
        self._not_repositories = _patterns(config, "exclude_repositories")
        self._personal = config["personal_projects"]
        self._forks = config["forks"]
        self._archived = config["archived"]
        self._shards: int = config["shard_count"]
        self._shard: int = config["shard_index"]
        if self._shard >= self._shards:
            msg = f"`shard_index` is {self._shard}, but `shard_count` is {self._shards}."
            remedy = "The first shard is 0, the last is `shard_count` - 1."
            raise errors.ConfigError(msg, remedy=remedy)
        self._matched: set[_Pattern] = set()

    def project(self, key: str) -> bool:
        """Return whether any repository of a project may be read."""
        wanted = self._any(self._projects, key) if self._projects else True
        # Noted as matched also where another filter leaves the project out.
        excluded = self._any(self._not_projects, key)
        if self._repositories:
            # Noted as matched only by a repository, not by its project.
            wanted &= any(p.matches(key) for p in self._repositories)
        if key.startswith("~"):
            wanted &= self._personal or self._named(key)
        return wanted and not excluded

    def repository(self, project_key: str, repository: Json) -> bool:
        """Return whether a repository of such a project is read."""
        slug = str(repository.get("slug"))
        wanted = True
        if self._repositories:
            wanted = self._any(self._repositories, project_key, slug)
        excluded = self._any(self._not_repositories, project_key, slug)
        if repository.get("origin") and not self._forks:
            return False
        if repository.get("archived") and not self._archived:
            return False
        return wanted and not excluded

    def shard(self, id_: int) -> bool:
        """Return whether the repository or project with an id is this shard's to write."""
        return shard_of(id_, self._shards) == self._shard

    def names_restrict(self) -> bool:
        """Return whether more than the visible is left out."""
        return bool(
            self._projects
            or self._not_projects
            or self._repositories
            or self._not_repositories
            or not (self._personal and self._forks and self._archived)
        )

    def all_personal(self) -> bool:
        """Return whether personal projects that no pattern names may be read."""
        patterns = self._projects or self._repositories
        return self._personal and (not patterns or not all(p.is_exact for p in patterns))

    def named_projects(self) -> list[str]:
        """Return the keys, as written, that patterns without a wildcard name."""
        patterns = self._projects or self._repositories
        return list(
            dict.fromkeys(
                p.text.partition("/")[0]
                for p in patterns
                if not any(mark in p.key for mark in "*?[")
            )
        )

    def unmatched(self, *, repositories: bool = True) -> list[str]:
        """Return the patterns without a wildcard that nothing listed has matched.

        Args:
            repositories: Whether repositories were listed, not projects alone.
        """
        matched = set(self._matched)  # `project` below adds to it
        # What is not listed because of other filters is no mistake.
        personal = self.all_personal()
        patterns = self._projects + [
            p for p in self._not_projects if personal or not p.key.startswith("~")
        ]
        if repositories:
            patterns += self._repositories
            patterns += [p for p in self._not_repositories if self.project(p.key)]
        return [p.text for p in patterns if p.is_exact and p not in matched]

    def _any(self, patterns: list[_Pattern], key: str, slug: str | None = None) -> bool:
        matched = [p for p in patterns if p.matches(key, slug)]
        self._matched.update(matched)
        return bool(matched)

    def _named(self, key: str) -> bool:
        """Return whether a pattern asks for this personal project by its ``~``."""
        patterns = [*self._projects, *self._repositories]
        return any(p.key.startswith("~") and p.matches(key) for p in patterns)


def shard_of(id_: int, shards: int) -> int:
    """Return the shard, from 0, of an id: evenly spread, the same everywhere and for ever.

    It is the CRC-32 of the id's decimal digits, modulo the number of shards.
    """
    return zlib.crc32(b"%d" % id_) % shards


def _patterns(config: Mapping[str, Any], setting: str) -> list[_Pattern]:
    found = []
    for text in config.get(setting) or ():
        key, slash, slug = text.strip().casefold().partition("/")
        if setting.endswith("repositories") and not (key and slash and slug):
            msg = f"`{setting}`: {text!r} is no KEY/slug such as PAY/ledger or PAY/*."
            raise errors.ConfigError(msg)
        if setting.endswith("projects") and (slash or not key):
            msg = f"`{setting}`: {text!r} is no project key such as PAY or ~user."
            raise errors.ConfigError(msg)
        found.append(_Pattern(text.strip(), key, slug))
    return found
