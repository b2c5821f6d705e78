"""The tap reads what is new, and requests nothing else."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import User
from tests import singer
from tests.contract.catalogs import STREAMS, catalog
from tests.contract.meeting import meeting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket, Request
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

API = "/bitbucket/rest/api/1.0"


def paths(requests: list[Request]) -> list[str]:
    """Return the paths of requests, without the API's prefix."""
    return [request.path.removeprefix(API) for request in requests]


def ids(output: singer.Output) -> list[str]:
    """Return the ids of the commits, in their order."""
    assert output.exit_code == 0, output.log
    return [record["id"] for record in output.records("commits")]


@pytest.fixture
def ledger(repository: Callable[[str], GitRepository]) -> GitRepository:
    ledger = repository("PAY/ledger").facts(id=12)
    ledger.commits(3)
    return ledger


def test_an_idle_repository_costs_one_request(
    sync: Sync, repository: Callable[[str], GitRepository], bitbucket: Bitbucket
) -> None:
    for name in ("PAY/a", "PAY/b", "OPS/c"):
        repository(name).commits(3)
    state = sync().state
    bitbucket.requests.clear()
    output = sync(state)
    assert ids(output) == []
    assert sorted(paths(bitbucket.requests)) == [
        "/projects",
        "/projects/OPS/repos",
        "/projects/OPS/repos/c/branches/default",
        "/projects/PAY/repos",
        "/projects/PAY/repos/a/branches/default",
        "/projects/PAY/repos/b/branches/default",
    ]
    assert output.state == state


def test_new_commits_on_top_cost_two_requests(
    sync: Sync, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    old = ledger.branch_tip()
    state = sync().state
    new = ledger.commits(5)
    bitbucket.requests.clear()
    output = sync(state)
    assert sorted(ids(output)) == sorted(new)
    assert paths(bitbucket.requests)[2:] == [
        "/projects/PAY/repos/ledger/branches/default",
        "/projects/PAY/repos/ledger/commits",
    ]
    assert bitbucket.requests[-1].query == {
        "until": new[-1],
        "since": old,
        "start": "0",
        "limit": "1000",
    }


def test_only_get_is_sent_and_both_ends_of_a_range_are_commit_ids(
    sync: Sync,
    ledger: GitRepository,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
) -> None:
    repository("PAY/empty")
    bitbucket.page_caps["commits"] = 2
    state = sync(personal_projects=True).state
    base = ledger.rev_list()[1]
    ledger.point("main", base)
    ledger.commits(5)
    sync(state, personal_projects=True)
    assert {request.method for request in bitbucket.requests} == {"GET"}
    ranges = [request.query for request in bitbucket.requests if request.path.endswith("/commits")]
    assert len(ranges) > 5
    for query in ranges:
        assert re.fullmatch("[0-9a-f]{40}", query["until"])
        assert re.fullmatch("[0-9a-f]{40}", query.get("since", "0" * 40))
        assert set(query) <= {"until", "since", "start", "limit"}
    assert not any("/browse" in path or "/raw" in path for path in paths(bitbucket.requests))


def test_every_page_of_a_range_names_the_same_ends(
    sync: Sync, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    ledger.commits(40)
    head = ledger.branch_tip()
    bitbucket.page_caps["commits"] = 5
    bitbucket.on_request.append(lambda _: ledger.commit("pushed while it is read"))
    expected = set(ledger.rev_list(str(head)))
    found = set(ids(sync()))
    ends = {
        (request.query["until"], request.query.get("since"))
        for request in bitbucket.requests
        if request.path.endswith("/commits")
    }
    assert len(ends) == 1
    [(until, since)] = ends
    assert since is None
    assert found == set(ledger.rev_list(until))
    assert found > expected


def test_a_late_merge_of_old_commits_is_read(sync: Sync, ledger: GitRepository) -> None:
    base = ledger.rev_list()[-1]
    state = sync().state
    side = ledger.commit("years ago", parents=[base], branch="side", date=1_000_000_000)
    merge = ledger.merge(str(ledger.branch_tip()), side)
    assert sorted(ids(sync(state))) == sorted([side, merge])


def test_the_state_is_what_is_promised(sync: Sync, ledger: GitRepository) -> None:
    head = ledger.commit(date=1_700_137_400)
    state = sync().state
    assert state == {
        "bookmarks": {
            "commits": {
                "partitions": [
                    {
                        "context": {"repository_id": 12},
                        "replication_key": "committer_timestamp",
                        "replication_key_value": "2023-11-16T12:23:20Z",
                        "head": head,
                        "repository": "PAY/ledger",
                    }
                ]
            }
        }
    }


def test_full_table_reads_everything_each_time_and_moves_the_head(
    sync: Sync, ledger: GitRepository
) -> None:
    state = sync().state
    ledger.commit()
    for _ in range(2):
        output = sync(state, catalog(full_table=["commits"]))
        assert sorted(ids(output)) == sorted(ledger.rev_list())
        state = output.state
    assert not ids(sync(output.state))


# start_date.


def test_no_commit_before_the_start_date_is_emitted(sync: Sync, ledger: GitRepository) -> None:
    for hour in range(24):
        ledger.commit(date=1_704_067_200 + 3600 * hour)  # 2024-01-01T00:00:00Z
    expected = ledger.rev_list()[:12]
    assert ids(sync(start_date="2024-01-01T12:00:00Z")) == expected
    assert ids(sync(start_date="2024-01-01T12:00:00")) == expected
    assert ids(sync(start_date="2024-01-01T14:00:00+02:00")) == expected


def test_an_old_commit_does_not_hide_newer_ones_behind_it(
    sync: Sync, ledger: GitRepository
) -> None:
    new = ledger.commit(date=1_704_070_000)
    ledger.commit(date=1_000_000_000)  # newer than that, but the clock was wrong
    newest = ledger.commit(date=1_704_080_000)
    assert ids(sync(start_date="2024-01-01")) == [newest, new]


def test_the_start_date_does_not_end_the_walk_early(
    sync: Sync, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 1
    oldest = ledger.commit("a root", parents=[], date=2_000_000_000, branch="other")
    ledger.merge(str(ledger.branch_tip()), oldest)
    assert oldest in ids(sync(start_date="2030-01-01"))


def test_a_start_date_after_everything_gives_no_commit_but_moves_the_head(
    sync: Sync, ledger: GitRepository
) -> None:
    output = sync(start_date="2099-01-01")
    assert ids(output) == []
    assert output.state["bookmarks"]["commits"]["partitions"][0]["head"] == ledger.branch_tip()
    assert ids(sync(output.state)) == []


# Equal runs.


def without_times(messages: list[singer.Json]) -> list[singer.Json]:
    """Return messages without the time at which they were made."""
    return [{k: v for k, v in message.items() if k != "time_extracted"} for message in messages]


@pytest.fixture
def world(repository: Callable[[str], GitRepository], bitbucket: Bitbucket) -> None:
    for number in range(12):
        one = repository(f"P{number % 3}/r{number}")
        commits = one.commits(17 * number % 60)
        if commits:
            one.merge(commits[-1], one.commit(parents=commits[:1], branch="side"))
    bitbucket.page_caps["commits"] = 7
    bitbucket.denied = {"P1/r4": 403}


@pytest.mark.usefixtures("world")
def test_one_and_sixteen_workers_write_equal_messages(
    sync: Sync, bitbucket: Bitbucket, repository: Callable[[str], GitRepository]
) -> None:
    one = sync(concurrency=1)
    assert bitbucket.most_at_once == 1
    bitbucket.faults.append(meeting(3, "(r3|r6|r9)/branches/default"))
    sixteen = sync(concurrency=16)
    assert bitbucket.most_at_once > 2
    assert len(ids(one)) > 300
    assert without_times(one.messages) == without_times(sixteen.messages)
    repository("P0/r3").commits(9)
    again = [sync(one.state, concurrency=n) for n in (1, 16)]
    assert without_times(again[0].messages) == without_times(again[1].messages)


@pytest.mark.usefixtures("world")
def test_no_more_requests_are_under_way_than_the_setting_says(
    sync: Sync, bitbucket: Bitbucket
) -> None:
    bitbucket.faults.append(meeting(3, "(r3|r6|r9)/branches/default"))
    sync(concurrency=3)
    assert bitbucket.most_at_once == 3


def test_time_zone_and_locale_change_nothing(
    config: dict[str, Any],
    ledger: GitRepository,
    bitbucket: Bitbucket,
    tmp_path: Path,
) -> None:
    bitbucket.users = [*bitbucket.users, User(7, "ada", display_name="Ada Łovelace")]
    ledger.commit("日本語", date=1_700_137_400)
    worlds = [
        {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1"},
    ]
    outputs = [
        singer.run({**config, "start_date": "2023-11-14"}, tmp_path, env={**os.environ, **world})
        for world in worlds
    ]
    assert [output.exit_code for output in outputs] == [0, 0]
    first, second = (without_times(output.messages) for output in outputs)
    assert first == second
    newest = outputs[0].records("commits")[0]
    assert newest["message"] == "日本語"
    assert newest["author_name"] == "Ada Łovelace"
    assert newest["committer_timestamp"] == "2023-11-16T12:23:20Z"


def test_a_state_is_small_json_of_ids(sync: Sync, ledger: GitRepository) -> None:
    ledger.commits(300)
    state = sync().state
    assert len(json.dumps(state)) < 400 + len('{"bookmarks": {"commits": {"partitions": []}}}')


def test_streams_come_parents_first(sync: Sync, ledger: GitRepository) -> None:
    assert ledger.rev_list()
    order = [message["stream"] for message in sync().messages if message["type"] == "RECORD"]
    assert list(dict.fromkeys(order)) == list(STREAMS)
