"""The emulator lists projects, repositories and branches of a directory as Bitbucket does."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import Bitbucket, SameIdError, User
from tests.contract.api import TOKEN, body, error, get, ids, pages, rows
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER = "/projects/PAY/repos/ledger"


@pytest.fixture
def ledger(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "PAY" / "ledger").facts(id=12)


@pytest.fixture
def bitbucket(ledger: GitRepository) -> Iterator[Bitbucket]:
    with Bitbucket(ledger.path.parents[1]) as bitbucket:
        yield bitbucket


def slugs(bitbucket: Bitbucket, path: str = "/repos", **query: object) -> list[str]:
    return [row["slug"] for row in rows(bitbucket, path, token=TOKEN, **query)]


# Projects and repositories


def test_a_project_is_found_in_any_case(bitbucket: Bitbucket) -> None:
    assert body(bitbucket, "/projects/pay")["key"] == "PAY"
    assert body(bitbucket, "/projects/pay/repos/ledger")["project"]["key"] == "PAY"


def test_facts_of_a_project_are_in_its_file(bitbucket: Bitbucket, tmp_path: Path) -> None:
    facts = {"id": 3, "name": "Payments", "description": "Money", "public": True}
    (tmp_path / "PAY" / "project.json").write_text(json.dumps(facts))
    project = body(bitbucket, "/projects/PAY")
    assert project | facts == project


def test_facts_of_a_repository_are_in_its_configuration(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    facts = {"id": 13, "name": "The Ledger", "description": "#1; é", "public": True}
    ledger.facts(**facts, archived=True, state="INITIALISATION_FAILED")
    repository = body(bitbucket, LEDGER)
    assert repository == repository | facts | {
        "slug": "ledger",
        "archived": True,
        "state": "INITIALISATION_FAILED",
        "statusMessage": "Initialisation failed",
    }


def test_without_facts_ids_are_the_same_everywhere(tmp_path: Path) -> None:
    found = []
    for root in ("one", "other"):
        GitRepository(tmp_path / root / "PAY" / "ledger.git")
        with Bitbucket(tmp_path / root) as bitbucket:
            repository = body(bitbucket, LEDGER)
            found.append((repository["id"], repository["project"]["id"], repository["name"]))
    assert found[0] == found[1]
    assert found[0][2] == "ledger"


@pytest.mark.parametrize("options", [[], ["--bare"]])
def test_a_repository_made_by_git_is_served(
    bitbucket: Bitbucket, tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / "PAY" / ("made.git" if options else "made")
    subprocess.run(["git", "init", "--quiet", "-b", "dev", *options, path], check=True)
    assert slugs(bitbucket) == ["ledger", "made"]
    branch = body(bitbucket, "/projects/PAY/repos/made/default-branch")
    assert branch == {"id": "refs/heads/dev", "displayId": "dev", "type": "BRANCH"}


def test_a_repository_needs_no_configuration(bitbucket: Bitbucket, ledger: GitRepository) -> None:
    commit = ledger.commit()
    (ledger.path / "config").unlink()
    assert slugs(bitbucket) == ["ledger"]
    assert ids(bitbucket, f"{LEDGER}/commits") == [commit]


def test_a_configuration_that_git_cannot_read_is_a_server_error(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    (ledger.path / "config").write_text("[bitbucket]\n\tid = 12\n\t???\n")
    for path in ("/repos", LEDGER, f"{LEDGER}/branches/default"):
        status, _, message = error(get(bitbucket, path))
        assert (status, "bad config line 3" in message) == (500, True)


def test_additions_renames_and_deletions_show_at_once(
    bitbucket: Bitbucket, ledger: GitRepository, tmp_path: Path
) -> None:
    commit = ledger.commit()
    GitRepository(tmp_path / "ABC" / "new")
    assert slugs(bitbucket) == ["new", "ledger"]
    ledger.rename(tmp_path / "ABC" / "books")
    moved = body(bitbucket, "/projects/ABC/repos/books")
    assert (moved["id"], moved["project"]["key"]) == (12, "ABC")
    assert ids(bitbucket, "/projects/ABC/repos/books/commits") == [commit]
    assert error(get(bitbucket, LEDGER))[1] == "NoSuchRepositoryException"
    shutil.rmtree(tmp_path / "PAY")
    assert error(get(bitbucket, LEDGER)) == (
        404,
        "NoSuchProjectException",
        "Project PAY does not exist.",
    )


def test_only_repositories_are_listed(bitbucket: Bitbucket, tmp_path: Path) -> None:
    (tmp_path / "PAY" / "notes").mkdir()
    (tmp_path / "PAY" / "readme.md").touch()
    (tmp_path / "file").touch()
    GitRepository(tmp_path / ".trash" / "old")
    assert slugs(bitbucket) == ["ledger"]
    assert get(bitbucket, "/projects/PAY/repos/notes").status_code == 404
    assert get(bitbucket, "/projects/PAY/repos/%2e%2e").status_code == 404
    assert get(bitbucket, "/projects/%2e%2e").status_code == 404


def test_two_repositories_with_one_id_are_refused(
    bitbucket: Bitbucket, ledger: GitRepository, tmp_path: Path
) -> None:
    shutil.copytree(ledger.path, tmp_path / "PAY" / "copy")
    status, _, message = error(get(bitbucket, "/repos"))
    assert (status, "have the same id 12" in message) == (500, True)
    with pytest.raises(SameIdError, match="same id 12"), Bitbucket(tmp_path):
        pass


def test_two_projects_with_one_id_are_refused(bitbucket: Bitbucket, tmp_path: Path) -> None:
    GitRepository(tmp_path / "ABC" / "book")
    for key in ("ABC", "PAY"):
        (tmp_path / key / "project.json").write_text('{"id": 3}')
    assert error(get(bitbucket, "/projects"))[0] == 500
    with pytest.raises(SameIdError, match="same id 3"), Bitbucket(tmp_path):
        pass


def test_a_personal_project_is_reached_by_its_owner_but_not_listed(
    bitbucket: Bitbucket, tmp_path: Path
) -> None:
    bitbucket.users.append(User(52, "Ada.L", slug="ada.l", display_name="Ada Lovelace"))
    GitRepository(tmp_path / "~ada.l" / "notes")
    assert [project["key"] for project in rows(bitbucket, "/projects")] == ["PAY"]
    assert slugs(bitbucket) == ["notes", "ledger"]
    assert slugs(bitbucket, "/users/ada.l/repos") == slugs(bitbucket, "/projects/~ADA.L/repos")
    repository = body(bitbucket, "/projects/~ada.l/repos/notes")
    project = repository["project"]
    assert (project["key"], project["type"], project["name"]) == (
        "~ADA.L",
        "PERSONAL",
        "Ada Lovelace",
    )
    assert project["owner"] | {"id": 52, "name": "Ada.L", "slug": "ada.l"} == project["owner"]
    assert not {"public", "description"} & set(project)
    assert project["links"]["self"] == [{"href": f"{bitbucket.url}/users/ada.l"}]
    assert repository["links"]["self"] == [
        {"href": f"{bitbucket.url}/users/ada.l/repos/notes/browse"}
    ]
    links = {link["name"]: link["href"] for link in repository["links"]["clone"]}
    assert links["ssh"].endswith(":7999/~ada.l/notes.git")


def test_a_clone_link_holds_the_callers_name_and_links_come_in_any_order(
    bitbucket: Bitbucket, tmp_path: Path
) -> None:
    GitRepository(tmp_path / "PAY" / "odd").facts(id=13)
    even, odd = rows(bitbucket, "/repos")
    assert [link["name"] for link in even["links"]["clone"]] == ["http", "ssh"]
    assert [link["name"] for link in odd["links"]["clone"]] == ["ssh", "http"]
    http = bitbucket.url.replace("http://", "http://admin@")
    assert even["links"]["clone"][0]["href"] == f"{http}/scm/pay/ledger.git"


def test_archived_repositories_are_missing_from_repos_unless_asked_for(
    bitbucket: Bitbucket, tmp_path: Path
) -> None:
    GitRepository(tmp_path / "PAY" / "old").facts(archived=True)
    assert slugs(bitbucket) == slugs(bitbucket, archived="active") == ["ledger"]
    assert slugs(bitbucket, archived="ARCHIVED") == ["old"]
    assert slugs(bitbucket, archived="ALL") == ["ledger", "old"]
    assert slugs(bitbucket, "/projects/PAY/repos") == ["ledger", "old"]
    assert get(bitbucket, "/repos", archived="some").status_code == 400
    bitbucket.version = "7.21.0"
    assert slugs(bitbucket) == slugs(bitbucket, archived="some") == ["ledger", "old"]
    assert "archived" not in body(bitbucket, LEDGER)


def test_repositories_are_found_by_project_name_state_and_visibility(
    bitbucket: Bitbucket, tmp_path: Path
) -> None:
    GitRepository(tmp_path / "ABC" / "open").facts(name="Open Book", public=True)
    GitRepository(tmp_path / "ABC" / "broken").facts(state="OFFLINE")
    assert slugs(bitbucket, projectkey="abc ") == ["broken", "open"]
    assert slugs(bitbucket, projectname="pa") == ["ledger"]
    assert slugs(bitbucket, name="open b") == slugs(bitbucket, visibility="public") == ["open"]
    assert slugs(bitbucket, visibility="private") == ["broken", "ledger"]
    assert slugs(bitbucket, state="AVAILABLE") == ["open", "ledger"]
    assert [row["key"] for row in rows(bitbucket, "/projects", name="Ab")] == ["ABC"]


def test_a_fork_names_its_origin_as_long_as_the_caller_may_see_it(
    bitbucket: Bitbucket, ledger: GitRepository, tmp_path: Path
) -> None:
    ledger.commits(2)
    ledger.fork(tmp_path / "~ada" / "ledger")
    path = "/projects/~ada/repos/ledger"
    fork, origin = body(bitbucket, path), body(bitbucket, LEDGER)
    assert fork["origin"] == origin
    assert fork["hierarchyId"] == origin["hierarchyId"]
    assert fork["id"] != origin["id"]
    assert ids(bitbucket, f"{path}/commits") == ids(bitbucket, f"{LEDGER}/commits")
    bitbucket.hidden = {"PAY/ledger"}
    assert "origin" not in body(bitbucket, path)
    bitbucket.hidden = set()
    ledger.delete()
    assert "origin" not in body(bitbucket, path)


def test_repositories_name_their_hierarchy_since_7(bitbucket: Bitbucket) -> None:
    assert len(body(bitbucket, LEDGER)["hierarchyId"]) == 20
    bitbucket.version = "6.10.17"
    assert "hierarchyId" not in body(bitbucket, LEDGER)


# Pages


def test_a_page_has_25_rows_unless_the_limit_says_otherwise_up_to_a_cap(
    bitbucket: Bitbucket, tmp_path: Path
) -> None:
    for n in range(29):
        GitRepository(tmp_path / "PAY" / f"more-{n:02}")
    bitbucket.page_caps["repositories"] = 28
    sizes = {limit: body(bitbucket, "/repos", limit=limit) for limit in (7, 28, 29, 5000)}
    assert {limit: (page["size"], page["limit"]) for limit, page in sizes.items()} == {
        7: (7, 7),
        28: (28, 28),
        29: (28, 28),
        5000: (28, 28),
    }
    first, last = pages(bitbucket, "/projects/PAY/repos")
    assert (first["size"], first["start"], first["nextPageStart"]) == (25, 0, 25)
    assert (last["size"], last["start"], "nextPageStart" in last) == (5, 25, False)
    beyond = body(bitbucket, "/repos", start=1000)
    assert (beyond["values"], beyond["isLastPage"]) == ([], True)


@pytest.mark.parametrize("query", [{"limit": "x"}, {"start": "x"}, {"limit": 0}, {"start": -1}])
def test_a_start_or_limit_out_of_range_is_refused(
    bitbucket: Bitbucket, query: dict[str, Any]
) -> None:
    assert get(bitbucket, "/projects", **query).status_code == 400


def test_hidden_rows_count_in_the_next_start(bitbucket: Bitbucket, tmp_path: Path) -> None:
    for key in ("AAA", "BBB", "CCC", "DDD", "ZZZ"):
        GitRepository(tmp_path / key / "ledger")
    bitbucket.hidden = {"BBB", "PAY", "ZZZ"}
    starts = [(page["start"], page["size"]) for page in pages(bitbucket, "/projects", limit=1)]
    assert starts == [(0, 1), (2, 1), (3, 1)]
    assert [row["project"]["key"] for row in rows(bitbucket, "/repos", limit=2)] == [
        "AAA",
        "CCC",
        "DDD",
    ]


@pytest.mark.parametrize("stride", [1, 3, 10])
def test_with_a_stride_the_next_start_cannot_be_computed(
    bitbucket: Bitbucket, ledger: GitRepository, stride: int
) -> None:
    ledger.commits(12)
    bitbucket.stride = stride
    for limit in (1, 2, 5, 100):
        walked = list(pages(bitbucket, f"{LEDGER}/commits", limit=limit))
        found = [row["id"] for page in walked for row in page["values"]]
        assert found == ledger.rev_list()
        for page in walked[:-1]:
            assert page["nextPageStart"] > page["start"] + page["size"]


def test_the_next_start_of_the_last_page_of_commits_is_null_or_absent(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    ledger.commit()
    path = f"{LEDGER}/commits"
    streamed = ["values", "size", "isLastPage", "start", "limit", "nextPageStart"]
    assert list(body(bitbucket, path)) == streamed
    assert body(bitbucket, path)["nextPageStart"] is None
    assert "nextPageStart" not in body(bitbucket, "/projects")
    bitbucket.version = "7.21.0"
    assert list(body(bitbucket, path)) == streamed[:-1]
    bitbucket.last_page = "null"
    assert body(bitbucket, path)["nextPageStart"] is None
    assert body(bitbucket, "/projects")["nextPageStart"] is None
    bitbucket.version, bitbucket.last_page = "9.4.0", "absent"
    assert "nextPageStart" not in body(bitbucket, path)


# Default branch and branches


@pytest.mark.parametrize("name", ["main", "release/1.x#é", "Ünïcode %2F+&?"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_default_branch_is_the_one_that_head_names(
    bitbucket: Bitbucket, ledger: GitRepository, name: str, *, packed: bool
) -> None:
    ledger.default_branch = name.replace("?", "").replace(" ", "_")
    *_, tip = ledger.commits(3)
    if packed:
        ledger.gc()
    assert body(bitbucket, f"{LEDGER}/branches/default") == {
        "id": f"refs/heads/{ledger.default_branch}",
        "displayId": ledger.default_branch,
        "type": "BRANCH",
        "latestCommit": tip,
        "latestChangeset": tip,
        "isDefault": True,
    }


def test_an_empty_repository_has_no_default_branch(bitbucket: Bitbucket) -> None:
    response = get(bitbucket, f"{LEDGER}/branches/default")
    assert (response.status_code, response.content) == (204, b"")
    assert body(bitbucket, f"{LEDGER}/default-branch")["displayId"] == "main"
    assert body(bitbucket, f"{LEDGER}/branches")["values"] == []
    no_branch = (404, "NoDefaultBranchException", "No default branch is defined")
    assert error(get(bitbucket, f"{LEDGER}/commits")) == no_branch
    bitbucket.version = "5.5.0"
    assert error(get(bitbucket, f"{LEDGER}/branches/default")) == (
        404,
        "NoDefaultBranchException",
        "refs/heads/main is set as the default branch, but this branch does not exist",
    )


@pytest.mark.parametrize("version", ["5.5.0", "9.4.0"])
def test_a_default_branch_that_was_never_pushed_is_missing(
    bitbucket: Bitbucket, ledger: GitRepository, version: str
) -> None:
    bitbucket.version = version
    ledger.commit(branch="other")
    missing = (
        404,
        "NoDefaultBranchException",
        "refs/heads/main is set as the default branch, but this branch does not exist",
    )
    assert error(get(bitbucket, f"{LEDGER}/branches/default")) == missing
    assert error(get(bitbucket, f"{LEDGER}/commits")) == missing


def test_a_detached_head_is_no_default_branch(bitbucket: Bitbucket, ledger: GitRepository) -> None:
    (ledger.path / "HEAD").write_text(f"{ledger.commit()}\n")
    none = (404, "NoDefaultBranchException", "No default branch is defined")
    for resource in ("branches/default", "default-branch", "commits"):
        assert error(get(bitbucket, f"{LEDGER}/{resource}")) == none


def test_the_configured_branch_can_be_asked_for_since_7_5(bitbucket: Bitbucket) -> None:
    bitbucket.version = "7.4.2"
    response = get(bitbucket, f"{LEDGER}/default-branch")
    assert (response.status_code, "errors" in response.json()) == (404, False)


def test_a_server_may_have_no_resource_for_the_default_branch_with_its_commit(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    ledger.commit()
    bitbucket.default_branch_resource = False
    response = get(bitbucket, f"{LEDGER}/branches/default")
    unknown = {"message": "HTTP 404 Not Found", "status-code": 404, "sub-code": -1}
    assert (response.status_code, response.json()) == (404, unknown)
    assert body(bitbucket, f"{LEDGER}/default-branch")["displayId"] == "main"
    assert [row["isDefault"] for row in rows(bitbucket, f"{LEDGER}/branches")] == [True]


def test_branches_are_listed_by_name_or_by_change(
    bitbucket: Bitbucket, ledger: GitRepository
) -> None:
    tips = {name: ledger.commit(parents=[], branch=name) for name in ("b", "main", "a")}
    ledger.tag("v1", tips["b"])
    path = f"{LEDGER}/branches"
    assert [row["displayId"] for row in rows(bitbucket, path, limit=2)] == ["a", "main", "b"]
    by_name = rows(bitbucket, path, orderBy="ALPHABETICAL")
    assert [(row["displayId"], row["isDefault"]) for row in by_name] == [
        ("a", False),
        ("b", False),
        ("main", True),
    ]
    assert {row["displayId"]: row["latestCommit"] for row in by_name} == tips
    assert [row["displayId"] for row in rows(bitbucket, path, filterText="AI")] == ["main"]
