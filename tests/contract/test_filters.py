"""Which repositories the filters choose, what is requested for this, and what is a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import Bitbucket, Fault
from tests import singer
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Sync

API = "/bitbucket/rest/api/1.0"
NAMES = ("PAY/ledger", "PAY/api", "OPS/tools", "OPS/api", "~ada/notes", "~bob/notes")
PROJECTS = ["PAY/api", "PAY/ledger", "OPS/api", "OPS/tools"]


@pytest.fixture(autouse=True)
def world(repository: Callable[[str], GitRepository]) -> None:
    for name in NAMES:
        repository(name).commit()
    repository("OPS/api").facts(archived=True, name="My API")
    repository("OPS/tools").facts(origin="PAY/ledger", name="My Tools")


def read(output: singer.Output) -> list[str]:
    """Return the repositories of which something was read, as ``KEY/slug``."""
    rows = output.records("repositories")
    branches = output.records("default_branches")
    commits = output.records("commits")
    ids = [row["id"] for row in rows]
    assert ids == [row["repository_id"] for row in branches]
    assert ids == [row["repository_id"] for row in commits]
    return [f"{row['project_key']}/{row['slug']}" for row in rows]


def asked(bitbucket: Bitbucket) -> list[str]:
    """Return the paths that were requested, except those inside a repository."""
    paths = [request.path.removeprefix(API) for request in bitbucket.requests]
    return [path for path in paths if path.count("/") < 4]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, PROJECTS),
        ({"projects": ["pay"]}, ["PAY/api", "PAY/ledger"]),
        ({"projects": ["?AY", "O*"]}, PROJECTS),
        ({"projects": ["PAY", "~ada"]}, ["PAY/api", "PAY/ledger", "~ADA/notes"]),
        ({"projects": ["~ADA"]}, ["~ADA/notes"]),
        ({"repositories": ["~ada/notes"]}, ["~ADA/notes"]),
        ({"personal_projects": True}, [*PROJECTS, "~ADA/notes", "~BOB/notes"]),
        ({"personal_projects": True, "projects": ["~*"]}, ["~ADA/notes", "~BOB/notes"]),
        ({"projects": ["~*"]}, ["~ADA/notes", "~BOB/notes"]),
        ({"projects": ["~a*"]}, ["~ADA/notes"]),
        ({"projects": ["OPS", "~?ob"]}, ["OPS/api", "OPS/tools", "~BOB/notes"]),
        ({"repositories": ["~*/*"]}, ["~ADA/notes", "~BOB/notes"]),
        ({"repositories": ["PAY/api", "~b*/n*"]}, ["PAY/api", "~BOB/notes"]),
        ({"repositories": ["~ada/*"]}, ["~ADA/notes"]),
        ({"projects": ["*"]}, [*PROJECTS]),
        ({"personal_projects": True, "exclude_projects": ["~bob"]}, [*PROJECTS, "~ADA/notes"]),
        ({"repositories": ["*/API"]}, ["PAY/api", "OPS/api"]),
        ({"repositories": ["PAY/ledger", "OPS/tools"]}, ["PAY/ledger", "OPS/tools"]),
        ({"exclude_projects": ["ops"]}, ["PAY/api", "PAY/ledger"]),
        ({"exclude_repositories": ["pay/*", "*/tools"]}, ["OPS/api"]),
        ({"archived": False}, ["PAY/api", "PAY/ledger", "OPS/tools"]),
        ({"forks": False}, ["PAY/api", "PAY/ledger", "OPS/api"]),
        ({"archived": False, "forks": False, "projects": ["PAY"]}, ["PAY/api", "PAY/ledger"]),
        # Slugs count, not names.
        ({"repositories": ["OPS/tools"], "exclude_repositories": ["OPS/My*"]}, ["OPS/tools"]),
    ],
)
def test_filters_choose(sync: Sync, settings: dict[str, Any], expected: list[str]) -> None:
    output = sync(**settings)
    assert output.exit_code == 0, output.log
    assert sorted(read(output)) == sorted(expected)
    keys = {name.partition("/")[0] for name in expected}
    assert {row["key"] for row in output.records("projects")} >= keys


@pytest.mark.parametrize(
    ("settings", "patterns"),
    [
        ({"projects": ["PAY", "NO"]}, ["NO"]),
        ({"projects": ["PAY", "~nobody"]}, ["~nobody"]),
        ({"exclude_projects": ["NO"]}, ["NO"]),
        ({"repositories": ["PAY/ledger", "PAY/lodger"]}, ["PAY/lodger"]),
        ({"repositories": ["PAY/ledger", "NO/ledger"]}, ["NO/ledger"]),
        ({"exclude_repositories": ["PAY/lodger", "OPS/nothing"]}, ["PAY/lodger", "OPS/nothing"]),
    ],
)
def test_a_pattern_without_a_wildcard_that_matches_nothing_is_an_error_after_all_else_is_read(
    sync: Sync, settings: dict[str, Any], patterns: list[str]
) -> None:
    output = sync(**settings)
    assert output.code == "invalid_config"
    assert all(pattern in output.last_line for pattern in patterns)
    assert "PAY/ledger" in read(output)
    assert output.state["bookmarks"]["commits"]["partitions"]


@pytest.mark.parametrize(
    "settings",
    [
        {"projects": ["NO"]},
        {"projects": ["NO*"]},
        {"repositories": ["PAY/no*"]},
        {"exclude_projects": ["*"]},
        {"exclude_repositories": ["*/*"]},
        {"projects": ["PAY"], "exclude_projects": ["P*"]},
        {"repositories": ["OPS/api"], "archived": False},
    ],
)
def test_where_nothing_passes_the_filters_there_are_no_resources(
    sync: Sync, settings: dict[str, Any]
) -> None:
    output = sync(**settings)
    assert output.code == "no_resources"
    assert output.records("repositories") == output.records("commits") == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Only the projects that may hold something are listed.
        ({"projects": ["PAY"]}, ["/projects", "/projects/PAY/repos"]),
        ({"repositories": ["PAY/*"]}, ["/projects", "/projects/PAY/repos"]),
        ({"exclude_projects": ["OPS"]}, ["/projects", "/projects/PAY/repos"]),
        # Personal projects are in no listing but that of all repositories.
        (
            {"projects": ["~ada"]},
            ["/projects", "/projects/~ada", "/projects/~ada/repos"],
        ),
        (
            {"personal_projects": True, "projects": ["~*"]},
            ["/projects", "/repos", "/projects/~ada/repos", "/projects/~bob/repos"],
        ),
        (
            {"personal_projects": True, "projects": ["PAY"]},
            ["/projects", "/projects/PAY/repos"],
        ),
    ],
)
def test_only_what_the_filters_need_is_asked_for(
    sync: Sync, bitbucket: Bitbucket, settings: dict[str, Any], expected: list[str]
) -> None:
    assert sync(**settings).exit_code == 0
    assert sorted(asked(bitbucket)) == sorted(expected)


def test_a_personal_project_with_nothing_but_archived_repositories_is_found(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    repository("~eve/old").facts(archived=True).commit()
    assert "~EVE/old" in read(sync(personal_projects=True))


def test_a_project_that_is_not_listed_is_asked_for_by_its_key(
    sync: Sync, bitbucket: Bitbucket
) -> None:
    # A user who may see a repository does not necessarily see its project in the listing.
    def without_pay(body: singer.Json) -> singer.Json:
        return {**body, "values": [row for row in body["values"] if row["key"] != "PAY"]}

    bitbucket.faults.append(Fault("/projects[?]", kind="replace", replace=without_pay, times=None))
    assert read(sync(projects=["pay"])) == ["PAY/api", "PAY/ledger"]
    assert sync(projects=["OPS", "PAY"]).exit_code == 0
    assert sorted(read(sync(repositories=["PAY/ledger"]))) == ["PAY/ledger"]


def test_a_project_that_refuses_is_reported_and_the_others_are_read(
    sync: Sync, bitbucket: Bitbucket
) -> None:
    bitbucket.denied = {"PAY": 401}
    output = sync()
    assert output.exit_code == 0
    assert sorted(read(output)) == ["OPS/api", "OPS/tools"]
    assert "PAY is inaccessible" in output.log


def test_before_8_0_archived_repositories_are_ordinary_ones(root: Path) -> None:
    with Bitbucket(root, version="7.21.0") as bitbucket:
        config = {"base_url": bitbucket.url, "token": "token", "archived": False}
        assert "OPS/api" in read(singer.sync(config))


def test_filters_do_not_forget_what_they_leave_out(sync: Sync) -> None:
    everything = sync().state
    only_pay = sync(everything, projects=["PAY"]).state
    known = {p["repository"] for p in only_pay["bookmarks"]["commits"]["partitions"]}
    assert known == set(PROJECTS)
    assert sync(only_pay).records("commits") == []


def test_a_repository_that_is_listed_twice_is_read_once(sync: Sync, bitbucket: Bitbucket) -> None:
    # Rows that are added or removed while a listing is being paged shift the others.
    def twice(body: singer.Json) -> singer.Json:
        return {**body, "values": body["values"] * 2}

    bitbucket.faults += [
        Fault("/projects[?]", kind="replace", replace=twice, times=None),
        Fault("/repos[?]", kind="replace", replace=twice, times=None),
    ]
    assert sorted(read(sync())) == sorted(PROJECTS)


def test_the_same_repository_name_in_two_projects_is_two(
    sync: Sync, root: Path, repository: Callable[[str], GitRepository]
) -> None:
    repository("PAY/api").facts(id=901)
    GitRepository(root / "OPS" / "api").facts(id=902)
    ids = [row["id"] for row in sync(repositories=["*/api"]).records("repositories")]
    assert sorted(ids) == [901, 902]
