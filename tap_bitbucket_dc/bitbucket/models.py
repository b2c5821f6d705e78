"""Bitbucket's objects as typed structures; fields that the tap does not use are skipped.

msgspec checks the types while it parses and makes no dictionaries: three times as fast, in
half the memory. ``gc=False`` keeps the garbage collector from walking through the structures.

Servers differ, and so do their plugins. An object that does not fit its structure is read a
second time by ``lenient``, which keeps the fields that do fit.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tap_bitbucket_dc.bitbucket.errors import printable

Milliseconds = Annotated[int, "since 1970"]
"""A point in time; git's dates may be negative or far in the future."""


class Model(msgspec.Struct, rename="camel", gc=False, frozen=True):
    """Anything that Bitbucket sends."""


class Link(Model, frozen=True):
    """An address; ``name`` is the protocol (``http``, ``ssh``) of a clone link."""

    href: str | None = None
    name: str | None = None


class Links(Model, frozen=True, rename={"self_": "self"}):
    """Where an object is found in the browser and, for a repository, by git."""

    self_: tuple[Link, ...] = ()
    clone: tuple[Link, ...] = ()

    @property
    def url(self) -> str | None:
        """The address for the browser."""
        return self.self_[0].href if self.self_ else None


class Person(Model, frozen=True):
    """An owner, author or committer, who may or may not be a user of Bitbucket.

    Bitbucket matches authors and committers to its users by e-mail address. An unmatched
    one has only ``name`` and ``email_address``.

    Source: commits recorded by apache/incubator-devlake and faros-ai/airbyte-connectors.
    """

    name: str | None = None
    """The login if Bitbucket matched a user, else the name in git."""
    email_address: str | None = None
    display_name: str | None = None
    """None if Bitbucket matched no user."""
    id: int | None = None
    slug: str | None = None
    type: str | None = None
    """``NORMAL`` or ``SERVICE``; None if Bitbucket matched no user."""


class Project(Model, frozen=True):
    """A project, or the personal project of a user."""

    id: int
    key: str
    name: str | None = None
    description: str | None = None
    public: bool | None = None
    type: str | None = None
    owner: Person | None = None
    """The owner of a personal project."""
    links: Links | None = None

    @property
    def is_personal(self) -> bool:
        """Whether it belongs to a user.

        Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/
        ("Personal Repositories").
        """
        return self.key.startswith("~")

    @property
    def path_key(self) -> str:
        """The key as it appears in URLs: ``PAY``, or ``~`` and the owner's slug.

        The key of a personal project is in upper case, the slug is as in its URLs.

        Source: a personal project recorded by jenkinsci/blueocean-plugin.
        """
        if self.is_personal and self.owner and self.owner.slug:
            return f"~{self.owner.slug}"
        return self.key

    @property
    def url(self) -> str | None:
        """The address for the browser, None if the server sends none."""
        return self.links.url if self.links else None


class OriginProject(Model, frozen=True):
    """What a fork says about the project of its origin."""

    key: str | None = None


class Origin(Model, frozen=True):
    """The repository that was forked; some fields are None if the user may not see it."""

    id: int | None = None
    slug: str | None = None
    project: OriginProject | None = None


class Repository(Model, frozen=True):
    """A repository; its id does not change when it is renamed or moved."""

    id: int
    slug: str
    name: str | None = None
    description: str | None = None
    hierarchy_id: str | None = None
    scm_id: str | None = None
    state: str | None = None
    status_message: str | None = None
    forkable: bool | None = None
    public: bool | None = None
    archived: bool | None = None
    """None before Bitbucket 8.0."""
    origin: Origin | None = None
    """None unless it is a fork."""
    project: Project | None = None
    links: Links | None = None

    def __str__(self) -> str:
        """Return it as filters name it: ``PAY/ledger``; safe to print on a terminal."""
        return printable(f"{self.path_key}/{self.slug}")

    @property
    def path_key(self) -> str:
        """Its project's key as it appears in URLs, "" if the project is not known."""
        return self.project.path_key if self.project else ""

    @property
    def url(self) -> str | None:
        """The address for the browser, None if the server sends none."""
        return self.links.url if self.links else None

    def clone_url(self, name: str) -> str | None:
        """Return the address for ``git clone`` by ``http`` or ``ssh``, None if there is none.

        An ``http`` address may contain a user name.
        """
        links = self.links.clone if self.links else ()
        return next((link.href for link in links if link.name == name), None)


class Branch(Model, frozen=True):
    """A branch that exists; ``id`` is its full ref, such as ``refs/heads/main``."""

    latest_commit: str
    id: str | None = None
    display_id: str | None = None
    type: str | None = None


class ConfiguredBranch(Model, frozen=True):
    """The branch that is configured as the default one, whether it exists or not."""

    id: str
    display_id: str | None = None
    type: str | None = None


class Parent(Model, frozen=True):
    """A parent of a commit."""

    id: str


UNTOLD = (Parent(""),)
"""Stands for the parents of a commit if the answer does not contain a list of them."""


class Properties(Model, frozen=True, rename={"issue_keys": "jira-key"}):
    """What Bitbucket has recognized in a commit."""

    issue_keys: tuple[str, ...] = ()


class Commit(Model, frozen=True):
    """A commit.

    Bitbucket 10 sends its timestamps as ISO 8601 text in webhooks, where 9 sends
    milliseconds: both are read.

    Source: pushPayload_v10.json of jenkinsci/bitbucket-branch-source-plugin.
    """

    id: str
    display_id: str | None = None
    message: str | None = None
    author: Person | None = None
    author_timestamp: Milliseconds | None = None
    committer: Person | None = None
    committer_timestamp: Milliseconds | None = None
    parents: tuple[Parent, ...] = UNTOLD
    """Empty for the first commit of a history; ``UNTOLD`` if the answer has no valid list."""
    properties: Properties | None = None
