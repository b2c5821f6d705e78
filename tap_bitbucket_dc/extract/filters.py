"""Which projects and repositories are read: the keys, globs and switches of the settings.

Knows the settings and the models, and sends no requests. Case does not matter, as in Bitbucket's
URLs.
"""

from __future__ import annotations

import fnmatch
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_bitbucket_dc.bitbucket import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_bitbucket_dc.bitbucket import Repository


class _Pattern(NamedTuple):
    text: str
    key: str
    slug: str

    @property
    def is_exact(self) -> bool:
        return not any(mark in self.text for mark in "*?[")

    @property
    def is_glob_of_keys(self) -> bool:
        return any(mark in self.key for mark in "*?[")

    def matches(self, key: str, slug: str | None = None) -> bool:
        """Return whether the pattern matches a repository or, without a slug, a project."""
        return fnmatch.fnmatchcase(key.casefold(), self.key) and (
            slug is None or fnmatch.fnmatchcase(slug.casefold(), self.slug)
        )


class Filters:
    """The settings that choose projects and repositories."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read the settings.

        Raises:
            ConfigError: A pattern has the wrong form, or the shard does not exist.
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
        """Return whether any repository of a project may be read.

        Args:
            key: Of the project: ``PAY``, or ``~ada`` for a personal one.
        """
        wanted = self._any(self._projects, key) if self._projects else True
        # Counts as a match even if another filter excludes the project.
        excluded = self._any(self._not_projects, key)
        if self._repositories:
            # Only a repository counts as a match of these patterns, not its project.
            wanted &= any(p.matches(key) for p in self._repositories)
        if key.startswith("~"):
            wanted &= self._personal or self._named(key)
        return wanted and not excluded

    def repository(self, repository: Repository) -> bool:
        """Return whether a repository of a project that passes is read."""
        key, slug = repository.path_key, repository.slug
        wanted = self._any(self._repositories, key, slug) if self._repositories else True
        excluded = self._any(self._not_repositories, key, slug)
        if repository.origin and not self._forks:
            return False
        if repository.archived and not self._archived:
            return False
        return wanted and not excluded

    def shard(self, id_: int) -> bool:
        """Return whether this shard writes the repository or project with this id."""
        return shard_of(id_, self._shards) == self._shard

    def all_personal(self) -> bool:
        """Return whether to list all personal projects, and not only named ones."""
        patterns = self._projects or self._repositories
        if any(p.key.startswith("~") and p.is_glob_of_keys for p in patterns):
            return True
        return self._personal and (not patterns or not all(p.is_exact for p in patterns))

    def named_projects(self) -> list[str]:
        """Return the project keys, as written in the settings, that have no wildcard."""
        patterns = self._projects or self._repositories
        return list(
            dict.fromkeys(p.text.partition("/")[0] for p in patterns if not p.is_glob_of_keys)
        )

    def unmatched(self, *, repositories: bool = True) -> list[str]:
        """Return the patterns without a wildcard that matched nothing in the listing.

        Args:
            repositories: Whether repositories were listed, and not only projects.
        """
        matched = set(self._matched)  # `project` below adds to it
        # A pattern is not wrong just because other filters keep its project from being listed.
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
        """Return whether a pattern that starts with ``~`` selects this personal project."""
        patterns = [*self._projects, *self._repositories]
        return any(p.key.startswith("~") and p.matches(key) for p in patterns)


def shard_of(id_: int, shards: int) -> int:
    """Return the shard of an id, from 0: the CRC-32 of its decimal digits, modulo ``shards``.

    Ids spread evenly, and an id has the same shard on every machine and in every version.
    """
    return zlib.crc32(b"%d" % id_) % shards


def _patterns(config: Mapping[str, Any], setting: str) -> list[_Pattern]:
    found = []
    for text in config.get(setting) or ():
        key, slash, slug = text.strip().casefold().partition("/")
        if setting.endswith("repositories") and not (key and slash and slug):
            msg = f"`{setting}`: {text!r} is not of the form KEY/slug, such as PAY/ledger or PAY/*."
            raise errors.ConfigError(msg)
        if setting.endswith("projects") and (slash or not key):
            msg = f"`{setting}`: {text!r} is not a project key, such as PAY or ~user."
            raise errors.ConfigError(msg)
        found.append(_Pattern(text.strip(), key, slug))
    return found
