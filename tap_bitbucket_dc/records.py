"""Bitbucket's JSON to the flat records of the streams. Pure functions.

A key that is missing, null or of another type gives null; a record's own key gives
an error, for a row without it could not be told from others.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from tap_bitbucket_dc import errors, payload

if TYPE_CHECKING:
    from tap_bitbucket_dc.client import Json
    from tap_bitbucket_dc.visit import Branch, Repository

Record = dict[str, Any]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 UTC by definition; "Z" is appended


def project(project: Json) -> Record:
    """Return the record of a project."""
    return {
        "id": key(project, "id", int),
        "key": key(project, "key", str),
        "name": _get(project, "name", str),
        "description": _get(project, "description", str),
        "public": _get(project, "public", bool),
        "type": _get(project, "type", str),
        "owner_username": _get(_dict(project, "owner"), "name", str),
        "url": _self_link(project),
    }


def repository(repository: Json, project: Json) -> Record:
    """Return the record of a repository of that project."""
    origin = _dict(repository, "origin")
    return {
        "id": key(repository, "id", int),
        "project_id": key(project, "id", int),
        "project_key": key(project, "key", str),
        "slug": key(repository, "slug", str),
        "name": _get(repository, "name", str),
        "description": _get(repository, "description", str),
        "hierarchy_id": _get(repository, "hierarchyId", str),
        "scm_id": _get(repository, "scmId", str),
        "state": _get(repository, "state", str),
        "status_message": _get(repository, "statusMessage", str),
        "forkable": _get(repository, "forkable", bool),
        "public": _get(repository, "public", bool),
        "archived": _get(repository, "archived", bool),
        "origin_id": _get(origin, "id", int),
        "origin_project_key": _get(_dict(origin, "project"), "key", str),
        "origin_slug": _get(origin, "slug", str),
        "url": _self_link(repository),
        "clone_url_http": _without_user(_clone_link(repository, "http")),
        "clone_url_ssh": _clone_link(repository, "ssh"),
    }


def default_branch(repository: Repository, project_key: str, branch: Branch) -> Record:
    """Return the record of a repository's default branch, whatever its status."""
    return {
        "repository_id": repository.id,
        "project_key": project_key,
        "repository_slug": repository.slug,
        "status": branch.status,
        "id": branch.id,
        "display_id": branch.display_id,
        "type": branch.type,
        "latest_commit": branch.latest_commit,
    }


class Commit:
    """Makes the records of the commits of one repository's default branch."""

    def __init__(
        self, repository: Json, project_key: str, branch: str | None, start: int | None
    ) -> None:
        """Take what is the same in each of them.

        Args:
            repository: As Bitbucket lists it.
            project_key: Of its project.
            branch: Display id of its default branch, None if there is none now.
            start: Commits before it give no record; milliseconds since 1970, None for all.
        """
        self._id = key(repository, "id", int)
        self._slug = key(repository, "slug", str)
        self._project_key = project_key
        self._branch = branch
        self._start = start
        link = _self_link(repository)
        self._url = link and f"{link.removesuffix('/browse')}/commits/"

    def record(self, commit: payload.Commit, *, on_default_branch: bool) -> Record | None:
        """Return the record of a commit, None if it is before the start date.

        Runs for every commit: written out, with few calls, it is three times as fast.
        """
        committed_at, authored_at = commit.committer_timestamp, commit.author_timestamp
        if self._start is not None and committed_at is not None and committed_at < self._start:
            return None
        committed = timestamp(committed_at)
        authored = committed if authored_at == committed_at else timestamp(authored_at)
        author_name, author_email, author_username, author_id = _person(commit.author)
        if commit.committer == commit.author:
            name, email, username, user_id = author_name, author_email, author_username, author_id
        else:
            name, email, username, user_id = _person(commit.committer)
        properties = commit.properties
        return {
            "repository_id": self._id,
            "project_key": self._project_key,
            "repository_slug": self._slug,
            "branch": self._branch,
            "on_default_branch": on_default_branch,
            "id": commit.id,
            "display_id": commit.display_id,
            "message": commit.message,
            "author_name": author_name,
            "author_email": author_email,
            "author_username": author_username,
            "author_user_id": author_id,
            "author_timestamp": authored,
            "committer_name": name,
            "committer_email": email,
            "committer_username": username,
            "committer_user_id": user_id,
            "committer_timestamp": committed,
            "parent_ids": [parent.id for parent in commit.parents],
            "is_merge": len(commit.parents) > 1,
            "issue_keys": [] if properties is None else list(properties.issue_keys),
            "url": self._url and f"{self._url}{commit.id}",
        }


def timestamp(since_1970: object) -> str | None:
    """Return RFC 3339 in UTC of milliseconds since 1970, None outside years 1 to 9999.

    >>> timestamp(1700137400000)
    '2023-11-16T12:23:20Z'
    """
    if type(since_1970) is not int:
        return None
    days, rest = divmod(since_1970, 86_400_000)
    if (day := _day(days)) is None:
        return None
    seconds, rest = divmod(rest, 1000)
    minutes, seconds = divmod(seconds, 60)
    fraction = f".{rest:03}" if rest else ""
    return f"{day}T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{fraction}Z"


@functools.lru_cache(maxsize=4096)  # many commits share a day
def _day(days: int) -> str | None:
    try:
        return (_EPOCH + timedelta(days)).date().isoformat()
    except OverflowError:
        return None


def milliseconds(rfc3339: str) -> int:
    """Return a date or time as Bitbucket counts: milliseconds since 1970.

    Raises:
        ConfigError: It is none.
    """
    text = f"{rfc3339[:-1]}+00:00" if rfc3339[-1:] in {"Z", "z"} else rfc3339
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        since_1970 = moment - _EPOCH.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        msg = f"`start_date`: {rfc3339!r} is no date such as 2024-01-31T00:00:00Z."
        raise errors.ConfigError(msg) from None
    return since_1970 // timedelta(milliseconds=1)


def key(found: Json, name: str, kind: type) -> Any:  # noqa: ANN401 of that kind
    """Return a value that a record cannot do without.

    Raises:
        BitbucketError: It is not there, or of another type.
    """
    value = found.get(name)
    if type(value) is not kind:
        what = f"Bitbucket sends an object whose {name!r} is {value!r}, no {kind.__name__}."
        raise errors.BitbucketError(what)
    return value


def _person(
    person: payload.Person | None,
) -> tuple[str | None, str | None, str | None, int | None]:
    """Return name, e-mail address, login and user id."""
    if person is None:
        return None, None, None, None
    # Bitbucket has two shapes. Matched to a user by e-mail: `name` is the login and
    # `displayName` the person's. Else `name` is what git says.
    if person.display_name is None:
        return person.name, person.email_address, None, person.id
    return person.display_name, person.email_address, person.name, person.id


def _get(found: Json, name: str, kind: type) -> Any:  # noqa: ANN401 of that kind
    value = found.get(name)
    return value if type(value) is kind else None


def _dict(found: Json, name: str) -> Json:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _list(found: Json, name: str) -> list[Json]:
    values = found.get(name)
    values = values if isinstance(values, list) else []
    return [value for value in values if isinstance(value, dict)]


def _self_link(found: Json) -> str | None:
    links = _list(_dict(found, "links"), "self")
    return _get(links[0], "href", str) if links else None


def _clone_link(repository: Json, name: str) -> str | None:
    for link in _list(_dict(repository, "links"), "clone"):
        if link.get("name") == name:
            href = link.get("href")
            return href if isinstance(href, str) else None
    return None


def _without_user(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
