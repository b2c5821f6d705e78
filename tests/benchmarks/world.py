"""The answers of the benchmarks' server, as bytes prepared beforehand.

The shapes are those of Bitbucket Data Center; a commit is about 790 bytes. Only what the benchmarks
request is imitated: the default branch is the only branch, and ``since`` can only be its head.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

API = "/rest/api/1.0"
NEWEST = 1_760_000_000  # seconds since 1970: the newest commit's time
MESSAGE = (
    "Settle refunds in the currency of the invoice\n\nThe ledger rounded twice: once when "
    "the rate was read and once when the entry was booked. Rates are kept as fractions "
    "now, and rounded when they are only shown."
)


class World(NamedTuple):
    """How much there is, and how the server hands it out."""

    projects: int = 1
    repositories: int = 1
    """Repositories of each project."""
    commits: int = 10
    """Commits of each repository."""
    cap: int = 1000
    """Rows of a page, whatever ``limit`` is requested."""
    latency: float = 0.0
    """Seconds until an answer."""
    per_second: float = 0.0
    """Requests per second that the rate limit lets through, 0 for no limit."""
    bucket: int = 60
    """Requests that it lets through at once."""

    @property
    def all_commits(self) -> int:
        """Commits of all repositories."""
        return self.projects * self.repositories * self.commits

    def requests(self, *, idle: bool = False) -> int:
        """Return how many requests it takes to read everything or, if idle, to find nothing new."""
        repositories = self.projects * self.repositories
        listings = _pages(self.projects, self.cap)
        listings += self.projects * _pages(self.repositories, self.cap)
        commits = 0 if idle else _pages(self.commits, self.cap)
        return listings + repositories * (1 + commits)


def answers(world: World) -> dict[str, list[bytes]]:
    """Return the pages of each path; an answer that is not a listing counts as a single page."""
    keys = [f"P{number:04}" for number in range(world.projects)]
    projects = [_project(number, key) for number, key in enumerate(keys)]
    found = {f"{API}/projects": _listing(projects, world.cap)}
    for project in projects:
        listed = list(_repositories(project, world.repositories))
        path = f"{API}/projects/{project['key']}/repos"
        found[path] = _listing(listed, world.cap)
        for repository in listed:
            commits = list(_commits(repository["id"], world.commits))
            of = f"{path}/{repository['slug']}"
            found[f"{of}/branches/default"] = [_encode(_branch(commits[0]["id"]))]
            found[f"{of}/commits"] = _listing(commits, world.cap)
    return found


def nothing_left() -> bytes:
    """Return a page without rows: what follows the last page, and the commits since the head."""
    return _listing([], 1)[0]


def counted(commits: int) -> bytes:
    """Return the answer to `limit=1&withCounts=true`: the newest commit, and the number of all."""
    newest = next(_commits(0, 1))
    return _encode({**_page([newest] * commits, 0, 1), "authorCount": 1, "totalCount": commits})


def _pages(rows: int, cap: int) -> int:
    return max(-(-rows // cap), 1)


def _listing(rows: list[Json], cap: int) -> list[bytes]:
    starts = range(0, max(len(rows), 1), cap)
    return [_encode(_page(rows, start, cap)) for start in starts]


def _page(rows: list[Json], start: int, cap: int) -> Json:
    values = rows[start : start + cap]
    end = start + len(values)
    last = end >= len(rows)
    return {
        "values": values,
        "size": len(values),
        "isLastPage": last,
        "start": start,
        "limit": cap,
        "nextPageStart": None if last else end,
    }


def _project(number: int, key: str) -> Json:
    return {
        "key": key,
        "id": number + 1,
        "name": f"Project {number}",
        "description": "Payments, ledgers and what they need",
        "public": False,
        "type": "NORMAL",
        "links": {"self": [{"href": f"https://bitbucket.example.com/projects/{key}"}]},
    }


def _repositories(project: Json, count: int) -> Iterator[Json]:
    for number in range(count):
        slug = f"repository-{number:05}"
        web = f"https://bitbucket.example.com/projects/{project['key']}/repos/{slug}/browse"
        clone = f"bitbucket.example.com/{project['key'].lower()}/{slug}.git"
        yield {
            "slug": slug,
            "id": project["id"] * 100_000 + number,
            "name": slug,
            "hierarchyId": f"{number:020x}",
            "scmId": "git",
            "state": "AVAILABLE",
            "statusMessage": "Available",
            "forkable": True,
            "project": project,
            "public": False,
            "archived": False,
            "links": {
                "clone": [
                    {"href": f"https://{clone.replace('/', '/scm/', 1)}", "name": "http"},
                    {"href": f"ssh://git@{clone}", "name": "ssh"},
                ],
                "self": [{"href": web}],
            },
        }


def _branch(head: str) -> Json:
    return {
        "id": "refs/heads/main",
        "displayId": "main",
        "type": "BRANCH",
        "latestCommit": head,
        "latestChangeset": head,
        "isDefault": True,
    }


def _commits(repository_id: int, count: int) -> Iterator[Json]:
    """Yield a linear history, newest first."""
    author = _user(1)
    ids = [_sha1(f"{repository_id} {age}") for age in range(count)]
    for age, (id_, parent) in enumerate(zip(ids, [*ids[1:], None], strict=True)):
        yield {
            "id": id_,
            "displayId": id_[:11],
            "author": author,
            "authorTimestamp": (NEWEST - age * 60 - 1) * 1000,
            "committer": {"name": "Ada Byron", "emailAddress": "ada@example.com"},
            "committerTimestamp": (NEWEST - age * 60) * 1000,
            "message": f"PAY-{age}: {MESSAGE}",
            "parents": [{"id": parent, "displayId": parent[:11]}] if parent else [],
            "properties": {"jira-key": [f"PAY-{age}"]},
        }


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 as git does


def _user(number: int) -> Json:
    return {
        "name": "abyron",
        "emailAddress": "ada@example.com",
        "active": True,
        "displayName": "Ada Byron",
        "id": number,
        "slug": "abyron",
        "type": "NORMAL",
        "links": {"self": [{"href": "https://bitbucket.example.com/users/abyron"}]},
    }


def _encode(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
