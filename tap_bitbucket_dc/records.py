"""Turns Bitbucket's objects into the flat records of the streams.

Knows the models and the columns. A value that Bitbucket leaves out is null.
"""

from __future__ import annotations

import functools
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from tap_bitbucket_dc import schemas
from tap_bitbucket_dc.bitbucket.models import UNTOLD, Origin, Person
from tap_bitbucket_dc.trailers import co_authors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_bitbucket_dc.bitbucket import Project, Repository
    from tap_bitbucket_dc.extract.found import CommitPage, DefaultBranch

Record = dict[str, Any]

_EPOCH = date(1970, 1, 1)
# Formatting each number would take four times as long.
_MINUTES = [f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(24 * 60)]
_SECONDS = [f"{second:02}Z" for second in range(60)]


def project(project: Project) -> Record:
    """Return the record of a project."""
    owner = project.owner or Person()
    return _columns(schemas.PROJECT, project) | {
        "owner_username": owner.name,
        "owner_user_id": owner.id,
    }


def repository(repository: Repository, project: Project) -> Record:
    """Return the record of a repository of that project."""
    origin = repository.origin or Origin()
    return _columns(schemas.REPOSITORY, repository) | {
        "project_id": project.id,
        "project_key": project.key,
        "origin_id": origin.id,
        "origin_project_key": origin.project and origin.project.key,
        "origin_slug": origin.slug,
        "clone_url_http": _without_user(repository.clone_url("http")),
        "clone_url_ssh": repository.clone_url("ssh"),
    }


def default_branch(repository: Repository, project_key: str, found: DefaultBranch) -> Record:
    """Return the record of a repository's default branch, whatever its status."""
    return _columns(schemas.DEFAULT_BRANCH, found.branch) | {
        "repository_id": repository.id,
        "project_key": project_key,
        "repository_slug": repository.slug,
        "status": found.status,
    }


def _columns(schema: dict[str, Any], found: object) -> Record:
    """Return all columns of a stream; a column is null if the object has no such attribute."""
    return {name: getattr(found, name, None) for name in schema["properties"]}


def commits(
    page: CommitPage,
    repository: Repository,
    project_key: str,
    branch: str | None,
    start_date: int | None,
) -> Iterator[Record]:
    """Yield the records of a page. Commits before ``start_date`` have none.

    Args:
        branch: Display id of the default branch.
        start_date: Milliseconds since 1970, None for all commits.
    """
    url = repository.url and f"{repository.url.removesuffix('/browse')}/commits/"
    for commit in page.values:
        # This runs for every commit. Small functions would make it three times as slow.
        committed_at, authored_at = commit.committer_timestamp, commit.author_timestamp
        if start_date is not None and committed_at is not None and committed_at < start_date:
            continue
        committed = timestamp(committed_at)
        authored = committed if authored_at == committed_at else timestamp(authored_at)
        author = by_name, by_email, by_username, by_id, by_type = _person(commit.author)
        same = commit.committer == commit.author
        name, email, username, user_id, type_ = author if same else _person(commit.committer)
        message, parents, properties = commit.message, commit.parents, commit.properties
        yield {
            "repository_id": repository.id,
            "project_key": project_key,
            "repository_slug": repository.slug,
            "branch": branch,
            "on_default_branch": page.on_default_branch,
            "id": commit.id,
            "display_id": commit.display_id,
            "message": message,
            "author_name": by_name,
            "author_email": by_email,
            "author_username": by_username,
            "author_user_id": by_id,
            "author_type": by_type,
            "author_timestamp": authored,
            "committer_name": name,
            "committer_email": email,
            "committer_username": username,
            "committer_user_id": user_id,
            "committer_type": type_,
            "committer_timestamp": committed,
            "co_authors": co_authors(message) if message and message.count("-") > 1 else [],
            "parent_ids": None if parents is UNTOLD else [parent.id for parent in parents],
            "is_merge": None if parents is UNTOLD else len(parents) > 1,
            "issue_keys": [] if properties is None else list(properties.issue_keys),
            "url": url and f"{url}{commit.id}",
        }


def timestamp(since_1970: object) -> str | None:
    """Return milliseconds since 1970 as RFC 3339 in UTC, None outside years 1 to 9999.

    >>> timestamp(1700137400000)
    '2023-11-16T12:23:20Z'
    """
    if type(since_1970) is not int:
        return None
    days, rest = divmod(since_1970, 86_400_000)
    if (day := _day(days)) is None:
        return None
    minute, rest = divmod(rest, 60_000)
    if rest % 1000:
        return f"{day}{_MINUTES[minute]}{rest / 1000:06.3f}Z"
    return day + _MINUTES[minute] + _SECONDS[rest // 1000]


@functools.lru_cache(maxsize=4096)  # many commits share a day
def _day(days: int) -> str | None:
    try:
        return (_EPOCH + timedelta(days)).isoformat()
    except OverflowError:
        return None


def _person(
    person: Person | None,
) -> tuple[str | None, str | None, str | None, int | None, str | None]:
    """Return name, e-mail address, login, user id and type."""
    if person is None:
        return None, None, None, None, None
    # Bitbucket sends two shapes. If the e-mail address matched a user, `name` is the login and
    # `displayName` the person's name. Otherwise `name` is what git says.
    if person.display_name is None:
        login = None if person.id is None else person.name
        return person.name, person.email_address, login, person.id, person.type
    return person.display_name, person.email_address, person.name, person.id, person.type


def _without_user(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
