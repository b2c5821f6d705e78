"""The tap's assumptions about Bitbucket's REST API, each with its source.

Runs unchanged against a real server, with GET requests only, and then prints what differs without
names and messages::

    BITBUCKET_URL=https://… BITBUCKET_TOKEN=… pytest tests/contract/test_api.py

SPEC: https://developer.atlassian.com/server/bitbucket/rest/v906/; narrative: its introduction;
issue: https://jira.atlassian.com; recorded: seen in answers that clients have published.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import requests

from tap_bitbucket_dc.emulator import ADMIN, Bitbucket, User
from tests.contract.shapes import note
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Json = dict[str, Any]

URL, TOKEN = os.environ.get("BITBUCKET_URL", ""), os.environ.get("BITBUCKET_TOKEN", "")
UNKNOWN = "0123456789" * 4  # no commit
FEW = 12  # fewest commits of the repository whose history is tested
MOST_LOOKED_AT = 100  # most repositories that are examined to find one to test


USERS = [ADMIN, User(7, "ada"), User(8, "bot", type="SERVICE")]


class Api(NamedTuple):
    """A server and a login."""

    url: str
    token: str

    def get(self, path: str, token: str | None = None, **query: Any) -> requests.Response:
        """Return the answer to a GET; an empty token makes the request anonymous."""
        token = self.token if token is None else token
        answer = requests.get(
            f"{self.url.rstrip('/')}/rest/api/1.0/{path}",
            params={name: str(value) for name, value in query.items()},
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=60,
            allow_redirects=False,
        )
        note(path, query, answer)
        return answer

    def json(self, path: str, **query: Any) -> Any:
        """Return the JSON of an answer whose status must be 200."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        assert "json" in answer.headers["Content-Type"]
        return answer.json()

    def pages(self, path: str, **query: Any) -> Iterator[Json]:
        """Yield the pages of a listing, following ``nextPageStart``."""
        start: int | None = 0
        while start is not None:
            page = self.json(path, start=start, **query)
            yield page
            start = None if page["isLastPage"] else page["nextPageStart"]

    def rows(self, path: str, **query: Any) -> list[Json]:
        """Return all rows of a listing."""
        return [row for page in self.pages(path, **query) for row in page["values"]]


def populate(root: Path) -> None:
    """Make a small world that has one of each kind."""
    ledger = GitRepository(root / "PAY" / "ledger")
    first = ledger.commits(30)[3]
    side = [ledger.commit(f"side {n}", parents=[first], branch=f"side{n}") for n in range(2)]
    ledger.merge(str(ledger.branch_tip()), *side)
    ledger.commits(5)
    for n in range(5):
        GitRepository(root / f"P{n}" / "r").commit()
        GitRepository(root / "PAY" / f"r{n}").commit()
    GitRepository(root / "PAY" / "empty")
    GitRepository(root / "PAY" / "missing").commit(branch="develop")
    GitRepository(root / "PAY" / "old").facts(archived=True).commit()
    GitRepository(root / "~ada" / "notes").commit()
    ledger.commit(author="Bot <bot@example.com>")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The real server if there is one, else the emulator."""
    if URL:
        yield Api(URL, TOKEN)
        return
    root = tmp_path_factory.mktemp("bitbucket")
    populate(root)
    with Bitbucket(root, users=USERS) as bitbucket:
        yield Api(bitbucket.url, "token")


@pytest.fixture(scope="module")
def listed(api: Api) -> list[Json]:
    """At most ``MOST_LOOKED_AT`` repositories."""
    found: list[Json] = []
    for project in api.rows("projects", limit=1000):
        found += api.rows(f"projects/{project['key']}/repos", limit=1000)
        if len(found) >= MOST_LOOKED_AT:
            break
    return found[:MOST_LOOKED_AT]


@pytest.fixture(scope="module")
def branches(api: Api, listed: list[Json]) -> dict[str, requests.Response]:
    """The answers about the default branches of ``listed``, by path of the repository."""
    return {path: api.get(f"{path}/branches/default") for path in map(path_of, listed)}


@pytest.fixture(scope="module")
def history(api: Api, branches: dict[str, requests.Response]) -> tuple[str, list[Json]]:
    """A repository's path, and its newest commits, starting with the head."""
    for path, answer in branches.items():
        if answer.status_code == 200:
            head = answer.json()["latestCommit"]
            commits = api.json(f"{path}/commits", until=head, limit=50)["values"]
            if len(commits) >= FEW:
                return path, commits
    pytest.skip(f"no repository has {FEW} commits")


def path_of(repository: Json) -> str:
    return f"projects/{repository['project']['key']}/repos/{repository['slug']}"


def exception(answer: requests.Response) -> str:
    """Return the exception that a refusal names, without its package."""
    return str(answer.json()["errors"][0]["exceptionName"]).rpartition(".")[2]


def one(found: list[Json], what: str) -> Json:
    if not found:
        pytest.skip(f"the server shows no {what}")
    return found[0]


# Who is asking.


def test_the_version_is_available_to_anyone(api: Api) -> None:  # SPEC
    answer = api.get("application-properties", token="")
    assert answer.status_code == 200
    assert re.match(r"\d+\.\d+", answer.json()["version"])


def test_an_answer_names_the_login(api: Api) -> None:  # recorded
    assert api.get("projects", limit=1).headers["X-AUSERNAME"]


def test_a_bad_token_is_refused_or_treated_as_anonymous(api: Api) -> None:  # clients; SPEC
    answer = api.get("projects", token="not-a-token", limit=1)
    assert answer.status_code == 401 or "X-AUSERNAME" not in answer.headers


def test_anonymous_requests_for_recent_repositories_are_refused(api: Api) -> None:  # SPEC
    assert api.get("profile/recent/repos", token="", limit=1).status_code == 401


def test_a_user_has_recent_repositories(api: Api) -> None:  # SPEC
    assert "values" in api.json("profile/recent/repos", limit=1)


# Pages.


@pytest.mark.parametrize("limit", [1, 3])
def test_next_page_start_leads_to_every_row_once(api: Api, limit: int) -> None:  # narrative
    ids = [project["id"] for project in api.rows("projects", limit=limit)]
    assert sorted(ids) == sorted(project["id"] for project in api.rows("projects", limit=1000))
    assert len(set(ids)) == len(ids)


def test_a_page_says_whether_it_is_the_last(api: Api) -> None:  # narrative
    *others, last = api.pages("projects", limit=2)
    assert last["isLastPage"] is True
    assert last.get("nextPageStart") is None
    for page in others:
        assert page["isLastPage"] is False
        assert page["nextPageStart"] > page["start"]


def test_a_limit_that_is_too_high_is_lowered(api: Api) -> None:  # narrative
    page = api.json("projects", limit=100_000)
    assert page["limit"] <= 100_000
    assert len(page["values"]) <= page["limit"]


def test_a_parameter_that_a_version_does_not_know_is_ignored(api: Api) -> None:  # recorded
    assert api.get("repos", archived="ALL", limit=1, no_such_parameter="x").status_code == 200


# Projects and repositories.


def test_projects_have_the_keys_of_their_rows(api: Api) -> None:  # SPEC
    for project in api.rows("projects", limit=1000):
        assert type(project["id"]) is int
        assert project["key"]
        assert not project["key"].startswith("~")  # personal ones are not listed: clients


def test_the_case_of_a_key_does_not_matter(api: Api) -> None:  # recorded
    project = one(api.rows("projects", limit=1000), "project")
    for key in (project["key"].lower(), project["key"].upper()):
        assert api.json(f"projects/{key}")["id"] == project["id"]


def test_repositories_have_the_keys_of_their_rows(api: Api, listed: list[Json]) -> None:  # SPEC
    for repository in listed:
        assert type(repository["id"]) is int
        assert repository["slug"]
        assert api.json(path_of(repository))["id"] == repository["id"]
    assert len({repository["id"] for repository in listed}) == len(listed)


def test_archived_repositories_are_listed_with_their_project(api: Api) -> None:  # SPEC; clients
    archived = [r for r in api.json("repos", archived="ARCHIVED")["values"] if r.get("archived")]
    repository = one(archived, "archived repository")
    rows = api.rows(f"projects/{repository['project']['key']}/repos", limit=1000)
    assert repository["id"] in {row["id"] for row in rows}


def test_personal_repositories_are_listed_with_all_others(api: Api) -> None:  # clients
    personal = [r for r in api.rows("repos", limit=1000) if r["project"]["key"].startswith("~")]
    project = one(personal, "personal repository")["project"]
    assert project["type"] == "PERSONAL"
    slug = project["owner"]["slug"]
    assert api.json(f"projects/~{slug}")["id"] == project["id"]
    assert api.rows(f"projects/~{slug}/repos", limit=1000)
    assert type(project["owner"]["id"]) is int


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("projects/NO_SUCH_PROJECT", "NoSuchProjectException"),
        ("projects/NO_SUCH_PROJECT/repos", "NoSuchProjectException"),
        ("projects/NO_SUCH_PROJECT/repos/x/branches/default", "NoSuchProjectException"),
    ],
)
def test_an_unknown_project_is_refused_by_name(api: Api, path: str, name: str) -> None:
    answer = api.get(path)  # recorded
    assert answer.status_code == 401 or (answer.status_code, exception(answer)) == (404, name)


def test_an_unknown_repository_is_refused_by_name(api: Api) -> None:  # recorded
    key = one(api.rows("projects", limit=1), "project")["key"]
    answer = api.get(f"projects/{key}/repos/no-such-repository/branches/default")
    name = "NoSuchRepositoryException"
    assert answer.status_code == 401 or (answer.status_code, exception(answer)) == (404, name)


# Default branches.


def test_a_default_branch_names_its_newest_commit(
    branches: dict[str, requests.Response],
) -> None:  # recorded
    found = [a.json() for a in branches.values() if a.status_code == 200]
    branch = one(found, "default branch")
    assert re.fullmatch("[0-9a-f]{40}", branch["latestCommit"])
    assert branch["id"] == f"refs/heads/{branch['displayId']}"


def test_a_repository_without_a_default_branch_says_why(
    branches: dict[str, requests.Response],
) -> None:  # SPEC; issue BSERV-10313
    without = [answer for answer in branches.values() if answer.status_code != 200]
    if not without:
        pytest.skip("every repository has a default branch")
    for answer in without:
        if answer.status_code == 204:
            assert answer.content == b""
        else:
            assert answer.status_code in {401, 403, 404}
            if answer.status_code == 404:
                assert exception(answer) == "NoDefaultBranchException"


# Commits.


def test_a_commit_has_what_its_row_needs(history: tuple[str, list[Json]]) -> None:  # recorded
    for commit in history[1]:
        assert re.fullmatch("[0-9a-f]{40}", commit["id"])
        assert type(commit["committerTimestamp"]) is int
        assert commit["committerTimestamp"] % 1000 == 0  # milliseconds; git knows seconds
        assert type(commit["message"]) is str
        assert type(commit["author"].get("name")) is str
        assert all(re.fullmatch("[0-9a-f]{40}", parent["id"]) for parent in commit["parents"])


def test_a_user_in_a_commit_is_a_person_or_a_bot(history: tuple[str, list[Json]]) -> None:
    people = [commit[role] for commit in history[1] for role in ("author", "committer")]  # recorded
    users = [person for person in people if "displayName" in person]
    one(users, "commit of a user")
    assert {user["type"] for user in users} <= {"NORMAL", "SERVICE"}
    assert all(type(user["id"]) is int for user in users)


def test_commits_are_counted_as_they_are_listed(api: Api, history: tuple[str, list[Json]]) -> None:
    path, commits = history  # SPEC; `verify` relies on it
    query = {"until": commits[-1]["id"], "limit": 1000}
    page = api.json(f"{path}/commits", **{**query, "limit": 1}, withCounts="true")
    if "totalCount" not in page:
        pytest.skip("the server does not count")
    rows = api.rows(f"{path}/commits", **query)
    assert page["totalCount"] == len(rows)
    assert {p["id"] for row in rows for p in row["parents"]} <= {row["id"] for row in rows}


def test_the_first_commit_is_until_itself(api: Api, history: tuple[str, list[Json]]) -> None:
    path, commits = history  # SPEC: "inclusively"
    for commit in commits[:3]:
        page = api.json(f"{path}/commits", until=commit["id"], limit=1)
        assert page["values"][0]["id"] == commit["id"]


def test_since_takes_away_what_it_leads_to_and_nothing_else(
    api: Api, history: tuple[str, list[Json]]
) -> None:  # SPEC; CommitOrder: ancestry, not dates
    path, commits = history
    until = commits[0]["id"]
    for since in (commits[1], commits[len(commits) // 2]):
        rows = api.rows(f"{path}/commits", until=until, since=since["id"], limit=1000)
        parents = {row["id"]: [parent["id"] for parent in row["parents"]] for row in rows}
        assert until in parents
        assert since["id"] not in parents
        # Parents outside the range, and everything reachable from them, are reachable from since.
        edge = {p for each in parents.values() for p in each} - set(parents)
        for commit in edge:
            more = api.json(f"{path}/commits", until=commit, since=since["id"], limit=1)
            assert more["values"] == []


def test_nothing_lies_between_a_commit_and_itself(
    api: Api, history: tuple[str, list[Json]]
) -> None:  # SPEC
    path, commits = history
    head = commits[0]["id"]
    assert api.json(f"{path}/commits", until=head, since=head)["values"] == []
    assert api.json(f"{path}/commits", until=commits[-1]["id"], since=head)["values"] == []


def test_pages_of_a_range_between_two_ids_are_parts_of_one_list(
    api: Api, history: tuple[str, list[Json]]
) -> None:  # narrative
    path, commits = history
    query = {"until": commits[0]["id"], "since": commits[FEW - 2]["id"]}
    whole = [row["id"] for row in api.rows(f"{path}/commits", **query, limit=1000)]
    parts = [row["id"] for row in api.rows(f"{path}/commits", **query, limit=3)]
    assert parts == whole


def test_a_page_is_the_same_whoever_led_to_it(api: Api, history: tuple[str, list[Json]]) -> None:
    path, commits = history  # narrative; the pages that are asked for ahead rely on it
    query = {"until": commits[0]["id"], "limit": 3}
    pages = []
    for page in api.pages(f"{path}/commits", **query):
        pages.append(page)
        if len(pages) == 3:
            break
    for page in reversed(pages):
        again = api.json(f"{path}/commits", **query, start=page["start"])
        assert again["values"] == page["values"]
        assert again.get("nextPageStart") == page.get("nextPageStart")


def test_an_unknown_until_is_refused_by_name(api: Api, history: tuple[str, list[Json]]) -> None:
    answer = api.get(f"{history[0]}/commits", until=UNKNOWN)  # clients
    assert (answer.status_code, exception(answer)) == (404, "NoSuchCommitException")


def test_an_unknown_since_is_refused(api: Api, history: tuple[str, list[Json]]) -> None:
    path, commits = history  # issue BSERV-4621; SPEC allows 400
    answer = api.get(f"{path}/commits", until=commits[0]["id"], since=UNKNOWN)
    assert answer.status_code in {400, 404}
    if answer.status_code == 404:
        assert exception(answer) == "NoSuchCommitException"
