"""The emulator's wrong answers with status 200 are wrong in one way, and right in every other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import (
    EMPTY_PAGE,
    LAST_TOO_EARLY,
    START_IGNORED,
    START_IGNORED_AND_LAST,
    WITHOUT_FIRST_ROW,
    WITHOUT_LAST_ROW,
    WITHOUT_MIDDLE_ROW,
    WITHOUT_PARENTS,
    Bitbucket,
    Fault,
    commits_of,
)
from tests.contract.api import body, error, get, ids, rows
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER = "/projects/PAY/repos/ledger"
COMMITS = f"{LEDGER}/commits"
LIES = {
    "EMPTY_PAGE": EMPTY_PAGE,
    "LAST_TOO_EARLY": LAST_TOO_EARLY,
    "START_IGNORED": START_IGNORED,
    "START_IGNORED_AND_LAST": START_IGNORED_AND_LAST,
    "WITHOUT_FIRST_ROW": WITHOUT_FIRST_ROW,
    "WITHOUT_LAST_ROW": WITHOUT_LAST_ROW,
    "WITHOUT_MIDDLE_ROW": WITHOUT_MIDDLE_ROW,
    "WITHOUT_PARENTS": WITHOUT_PARENTS,
    "commits_of": commits_of("PAY/wages"),
}

every_lie = pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())


@pytest.fixture
def ledger(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "PAY" / "ledger")


@pytest.fixture
def commits(ledger: GitRepository) -> list[str]:
    """The ids of eight commits, newest first: pages of three have 3, 3 and 2 rows."""
    return ledger.commits(8)[::-1]


@pytest.fixture
def wages(tmp_path: Path) -> list[str]:
    """The ids of two commits in another repository, newest first."""
    repository = GitRepository(tmp_path / "PAY" / "wages")
    return [repository.commit(f"Wage {n}") for n in range(2)][::-1]


@pytest.fixture
def bitbucket(tmp_path: Path, commits: list[str], wages: list[str]) -> Iterator[Bitbucket]:
    assert not {*commits} & {*wages}
    with Bitbucket(tmp_path) as bitbucket:
        yield bitbucket


def read(bitbucket: Bitbucket, **query: str | int) -> list[str]:
    """Return the ids that are read by a client that believes every page."""
    return ids(bitbucket, COMMITS, limit=3, **query)


def test_an_empty_page_hides_everything_or_the_rest(
    bitbucket: Bitbucket, commits: list[str]
) -> None:
    bitbucket.faults.append(EMPTY_PAGE.on("ledger/commits"))
    page = body(bitbucket, COMMITS, limit=3)
    assert page == {"values": [], "size": 0, "isLastPage": True, "start": 0, "limit": 3}
    bitbucket.faults.append(EMPTY_PAGE.on("ledger/commits.*start=3"))
    assert read(bitbucket) == commits[:3]


def test_a_page_is_the_last_one_too_early(bitbucket: Bitbucket, commits: list[str]) -> None:
    true = body(bitbucket, COMMITS, limit=3, start=3)
    bitbucket.faults.append(LAST_TOO_EARLY.on("ledger/commits.*start=3"))
    assert read(bitbucket) == commits[:6]
    bitbucket.faults.append(LAST_TOO_EARLY)
    page = body(bitbucket, COMMITS, limit=3, start=3)
    assert page == {"values": true["values"], "size": 3, "isLastPage": True, "start": 3, "limit": 3}


@pytest.mark.parametrize(
    ("lie", "missing"),
    [(WITHOUT_FIRST_ROW, 0), (WITHOUT_MIDDLE_ROW, 1), (WITHOUT_LAST_ROW, 2)],
    ids=["first", "middle", "last"],
)
def test_one_row_is_missing_and_the_paging_is_true(
    bitbucket: Bitbucket, commits: list[str], lie: Fault, missing: int
) -> None:
    true = body(bitbucket, COMMITS, limit=3)
    bitbucket.faults.append(lie)
    page = body(bitbucket, COMMITS, limit=3)
    kept = [row for row in true["values"] if row["id"] != commits[missing]]
    assert page == {**true, "values": kept, "size": 2}
    bitbucket.faults.append(lie.on("start=3"))
    assert read(bitbucket) == [id_ for id_ in commits if id_ != commits[3 + missing]]


@pytest.mark.parametrize("lie", [WITHOUT_FIRST_ROW, WITHOUT_MIDDLE_ROW, WITHOUT_LAST_ROW])
def test_a_page_of_one_row_loses_it_and_an_empty_page_stays(
    bitbucket: Bitbucket, lie: Fault
) -> None:
    true = body(bitbucket, COMMITS, start=8)
    bitbucket.faults += [lie, lie]
    assert body(bitbucket, COMMITS, start=7)["values"] == []
    assert body(bitbucket, COMMITS, start=8) == true


def test_the_first_page_is_answered_whatever_start_is_asked_for(
    bitbucket: Bitbucket, commits: list[str]
) -> None:
    first = body(bitbucket, COMMITS, limit=3)
    bitbucket.faults.append(START_IGNORED.on("ledger/commits.*start=", times=2))
    for start in (3, 6):
        assert body(bitbucket, COMMITS, limit=3, start=start) == first
    assert (first["start"], first["nextPageStart"]) == (0, 3)
    bitbucket.faults.append(START_IGNORED.on("start=3"))
    assert read(bitbucket) == commits[:3] + commits


def test_the_first_page_is_answered_as_if_it_were_the_last(
    bitbucket: Bitbucket, commits: list[str]
) -> None:
    bitbucket.faults.append(START_IGNORED_AND_LAST.on("start=3", times=2))
    page = body(bitbucket, COMMITS, limit=3, start=3)
    assert (page["start"], page["isLastPage"], "nextPageStart" in page) == (0, True, False)
    assert read(bitbucket) == commits[:3] * 2


def test_the_commits_of_another_repository_are_shown(
    bitbucket: Bitbucket, commits: list[str], wages: list[str]
) -> None:
    bitbucket.faults.append(commits_of("PAY/wages").on("ledger/commits", times=3))
    assert ids(bitbucket, COMMITS) == wages
    assert ids(bitbucket, COMMITS, until=commits[0], since=commits[5]) == wages
    assert ids(bitbucket, COMMITS, limit=1, until=commits[0]) == [
        wages[0],
        commits[1],
        *commits[2:],
    ]


@every_lie
def test_a_lie_is_told_with_status_200_as_often_as_asked_for(
    bitbucket: Bitbucket, lie: Fault
) -> None:
    true = body(bitbucket, COMMITS, limit=3, start=3)
    bitbucket.faults.append(lie.on("ledger/commits", times=2))
    assert [body(bitbucket, COMMITS, limit=3, start=3) != true for _ in range(3)] == [
        True,
        True,
        False,
    ]
    assert {request.status for request in bitbucket.requests} == {200}


@every_lie
def test_other_listings_can_lie_too_and_single_things_stay_true(
    bitbucket: Bitbucket, lie: Fault
) -> None:
    bitbucket.faults.append(lie.on("/projects/PAY$", times=None))
    assert body(bitbucket, "/projects/PAY")["key"] == "PAY"
    bitbucket.faults.append(lie.on("/repos[?]", times=None))
    true = {"ledger", "wages"}
    assert {row["slug"] for row in rows(bitbucket, "/projects/PAY/repos", limit=5)} <= true


@every_lie
def test_a_refusal_stays_a_refusal(bitbucket: Bitbucket, lie: Fault) -> None:
    bitbucket.faults.append(lie.on(times=None, match=""))
    refusal = get(bitbucket, "/projects/NONE/repos", start=3)
    assert error(refusal)[:2] == (404, "NoSuchProjectException")


@every_lie
def test_the_log_has_the_request_as_it_was_sent(bitbucket: Bitbucket, lie: Fault) -> None:
    bitbucket.faults.append(lie)
    body(bitbucket, COMMITS, limit=3, start=3, until="main")
    (request,) = bitbucket.requests
    assert re.search("/ledger/commits[?]limit=3&start=3&until=main$", request.target)
    assert request.query == {"limit": "3", "start": "3", "until": "main"}
    assert request.user == "admin"


def test_a_missing_row_can_be_told_by_the_count(bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(WITHOUT_LAST_ROW.on("start=3"))
    found = read(bitbucket, withCounts="true")
    assert (len(found), body(bitbucket, COMMITS, withCounts="true")["totalCount"]) == (7, 8)
