"""What is read of a commit as Bitbucket sends it; the parser skips the rest.

With types the parser checks them, and makes no dictionaries: three times as fast, in
half the memory. ``gc=False`` keeps the garbage collector from walking through them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tap_bitbucket_dc import errors

Json = dict[str, Any]


class Person(msgspec.Struct, rename="camel", gc=False, frozen=True):
    """An author or committer, matched to a user of Bitbucket or not."""

    name: str | None = None
    """The login of a user, else the name in git."""
    display_name: str | None = None
    """The name of a user; None of anybody else."""
    email_address: str | None = None
    id: int | None = None


class Parent(msgspec.Struct, gc=False, frozen=True):
    """A parent of a commit."""

    id: str


class Properties(msgspec.Struct, rename={"issue_keys": "jira-key"}, gc=False, frozen=True):
    """What Bitbucket found out about a commit."""

    issue_keys: tuple[str, ...] = ()


class Commit(msgspec.Struct, rename="camel", gc=False, frozen=True):
    """A commit. Times are milliseconds since 1970."""

    id: str
    display_id: str | None = None
    message: str | None = None
    author: Person | None = None
    author_timestamp: int | None = None
    committer: Person | None = None
    committer_timestamp: int | None = None
    parents: tuple[Parent, ...] = ()
    properties: Properties | None = None


class CommitPage(msgspec.Struct, rename="camel", gc=False, frozen=True):
    """A page of commits."""

    values: list[Commit]
    is_last_page: bool = False
    next_page_start: int | None = None


COMMIT_PAGE = msgspec.json.Decoder(CommitPage)


def lenient(found: Json) -> Commit:
    """Return a commit whose parts may have other types: those are left out.

    Raises:
        BitbucketError: It has no id.
    """
    commit_id = found.get("id")
    if not isinstance(commit_id, str):
        raise errors.BitbucketError(f"Bitbucket sends a commit with the id {commit_id!r}.")
    parents = (p for p in _list(found.get("parents")) if isinstance(p, dict))
    properties = found.get("properties")
    keys = _list(properties.get("jira-key")) if isinstance(properties, dict) else []
    return Commit(
        id=commit_id,
        display_id=_of(str, found.get("displayId")),
        message=_of(str, found.get("message")),
        author=_person(found.get("author")),
        author_timestamp=_of(int, found.get("authorTimestamp")),
        committer=_person(found.get("committer")),
        committer_timestamp=_of(int, found.get("committerTimestamp")),
        parents=tuple(Parent(p["id"]) for p in parents if isinstance(p.get("id"), str)),
        properties=Properties(tuple(key for key in keys if isinstance(key, str))),
    )


def _person(found: object) -> Person | None:
    if not isinstance(found, dict):
        return None
    return Person(
        name=_of(str, found.get("name")),
        display_name=_of(str, found.get("displayName")),
        email_address=_of(str, found.get("emailAddress")),
        id=_of(int, found.get("id")),
    )


def _of(kind: type, value: Any) -> Any:  # noqa: ANN401 of that kind
    return value if type(value) is kind else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
