"""Traps in which other extractors lose, repeat or mislabel data, and that this tap avoids."""

from __future__ import annotations

import json
import signal
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import LOGIN_PAGE, TOO_MANY, Bitbucket, Fault
from tests import singer
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Request
    from tests.conftest import Sync

    Make = Callable[[str], GitRepository]

FAILED = Fault(status=500, content_type="application/json", body=b'{"errors":[]}')
YEAR_2038 = 2_147_483_648


def ids(output: singer.Output, slug: str | None = None) -> list[str]:
    """Return the ids of the commits, of one repository or all."""
    return [
        record["id"]
        for record in output.records("commits")
        if slug in {None, record["repository_slug"]}
    ]


def asked(bitbucket: Bitbucket, end: str) -> list[Request]:
    """Return the requests whose path ends with ``end``."""
    return [request for request in bitbucket.requests if request.path.endswith(end)]


def heads(output: singer.Output) -> dict[str, str | None]:
    """Return the heads in the state, by ``KEY/slug``."""
    partitions = output.state["bookmarks"]["commits"]["partitions"]
    return {partition["repository"]: partition.get("head") for partition in partitions}


# 1
def test_a_read_that_fails_on_page_2_of_5_loses_nothing_for_the_next_run(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    ledger = repository("PAY/ledger").facts(id=12)
    ledger.commits(50)
    bitbucket.page_caps["commits"] = 10
    bitbucket.faults = [FAILED.on("start=10&", times=None)]
    table = singer.Table()
    first = sync(max_retries=0)
    table.take(first.messages)
    assert first.exit_code == 1
    assert len(table.commits) < 50
    bitbucket.faults = []
    table.take(sync(table.state).messages)
    assert table.on_default_branch(12) == set(ledger.rev_list())


# 2
def test_a_commit_dated_2038_is_no_bookmark(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    ledger = repository("PAY/ledger")
    ledger.commit(date=YEAR_2038)
    head = ledger.commit()
    state = sync().state
    assert sync(state).records("commits") == []
    new = ledger.commit()
    bitbucket.requests.clear()
    assert ids(sync(state)) == [new]
    assert asked(bitbucket, "/commits")[0].query["since"] == head


# 3
def test_a_late_merge_of_commits_older_than_the_bookmark_is_read(
    sync: Sync, repository: Make
) -> None:
    ledger = repository("PAY/ledger")
    first = ledger.commits(3)[0]
    state = sync().state
    old = [ledger.commit(parents=[first], branch="side", date=1_500_000_000)]
    old += [ledger.commit(branch="side", date=1_500_000_000 + n) for n in range(1, 5)]
    merge = ledger.merge(str(ledger.branch_tip()), old[-1])
    assert sorted(ids(sync(state))) == sorted([*old, merge])


# 4
def test_an_old_repository_does_not_stop_the_next_one(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    old = repository("PAY/a")
    for n in range(30):
        old.commit(date=1_000_000_000 + n)
    new = repository("PAY/b")
    new.commits(30)
    bitbucket.page_caps["commits"] = 10
    output = sync(start_date="2020-01-01", concurrency=1)
    assert sorted(ids(output)) == sorted(new.rev_list())


# 5
def test_a_page_that_fails_is_not_called_complete(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    for name in ("PAY/a", "PAY/b"):
        repository(name).commits(5)
    before = sync()
    for name in ("PAY/a", "PAY/b"):
        repository(name).commits(50)
    bitbucket.page_caps["commits"] = 10
    bitbucket.faults = [FAILED.on("/a/commits.*start=20&", times=None)]
    output = sync(before.state, max_retries=1)
    assert output.exit_code == 1
    assert "PAY/a" in output.last_line
    assert heads(output) == {
        "PAY/a": heads(before)["PAY/a"],
        "PAY/b": repository("PAY/b").branch_tip(),
    }
    assert len(ids(output, "b")) == 50


# 6
@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_times_are_utc_wherever_the_tap_runs(sync: Sync, repository: Make) -> None:
    assert time.timezone == -9 * 3600
    repository("PAY/ledger").commit(date=1_700_137_400, author_date=1_700_137_399)
    [record] = sync(start_date="2023-11-16T12:23:20").records("commits")
    assert record["committer_timestamp"] == "2023-11-16T12:23:20Z"
    assert record["author_timestamp"] == "2023-11-16T12:23:19Z"
    assert sync(start_date="2023-11-16T12:23:21").records("commits") == []


# 7
def test_a_name_is_not_a_slug(sync: Sync, repository: Make) -> None:
    repository("PAY/my-repo").facts(name="My Repo").commits(3)
    output = sync()
    assert len(ids(output, "my-repo")) == 3
    [row] = output.records("repositories")
    assert (row["name"], row["slug"]) == ("My Repo", "my-repo")


# 8
def test_repositories_are_asked_for_in_their_own_project_only(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    for name in ("PAY/a", "PAY/b", "OPS/c", "OPS/d"):
        repository(name).commit()
    sync()
    assert len(asked(bitbucket, "/branches/default")) == 4
    assert len(asked(bitbucket, "/commits")) == 4


# 9
def test_the_size_of_a_page_is_not_the_total(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    for key in ("A", "B", "C"):
        for n in range(3):
            repository(f"{key}/r{n}").commits(3)
    bitbucket.page_caps = dict.fromkeys(bitbucket.page_caps, 1)
    output = sync()
    assert len(output.records("projects")) == 3
    assert len(output.records("repositories")) == 9
    assert len(output.records("commits")) == 27


# 10
def test_the_next_page_starts_where_the_server_says_not_at_start_plus_size(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    for n in range(10):
        repository(f"PAY/r{n}").commits(2)
    bitbucket.hidden = {"PAY/r2", "PAY/r3", "PAY/r7"}
    bitbucket.page_caps["repositories"] = 2
    output = sync()
    slugs = [row["slug"] for row in output.records("repositories")]
    assert slugs == ["r0", "r1", "r4", "r5", "r6", "r8", "r9"]
    starts = [int(request.query["start"]) for request in asked(bitbucket, "/PAY/repos")]
    assert starts == [0, 4, 6, 9]


@pytest.fixture(scope="module")
def long_history(tmp_path_factory: pytest.TempPathFactory) -> tuple[GitRepository, singer.Output]:
    """A repository of 10,001 commits on 101 pages, and a run that read it."""
    root: Path = tmp_path_factory.mktemp("long")
    ledger = GitRepository(root / "PAY" / "ledger").facts(id=2**31 - 1)
    ledger.commits(10_001)
    with Bitbucket(root) as bitbucket:
        return ledger, singer.sync({"base_url": bitbucket.url, "token": "token"})


# 11
def test_no_number_of_pages_is_too_many(long_history: tuple[GitRepository, singer.Output]) -> None:
    ledger, output = long_history
    assert ids(output) == ledger.rev_list()
    assert len(set(ids(output))) == 10_001


# 12
def test_commits_of_a_fork_and_repositories_of_the_same_slug_are_told_apart(
    sync: Sync, repository: Make, root: Path
) -> None:
    ledger = repository("PAY/ledger").facts(id=12)
    ledger.commits(3)
    ledger.fork(root / "OPS" / "ledger").facts(id=13, origin="PAY/ledger")
    output = sync()
    keys = {m["stream"]: m["key_properties"] for m in output.messages if m["type"] == "SCHEMA"}
    assert keys["commits"] == ["repository_id", "id"]
    assert keys["repositories"] == ["id"]
    table = singer.Table()
    table.take(output.messages)
    assert table.on_default_branch(12) == table.on_default_branch(13) == set(ledger.rev_list())
    assert len(table.commits) == 6


# 13
@pytest.mark.parametrize("something_is_public", [True, False])
def test_a_bad_token_that_passes_as_anonymous_is_detected(
    sync: Sync, repository: Make, bitbucket: Bitbucket, *, something_is_public: bool
) -> None:
    repository("PAY/secret").commits(3)
    repository("OPS/open").facts(public=something_is_public).commits(3)
    bitbucket.public_access = True
    output = sync(token="expired")
    assert output.code == "invalid_credentials"
    assert output.records("commits") == []


# 14
def test_a_vanished_since_is_reported_and_rewritten_commits_are_marked(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    ledger = repository("PAY/ledger").facts(id=12)
    kept, *removed = ledger.commits(4)
    table = singer.Table()
    table.take(sync().messages)
    ledger.point("main", kept)
    ledger.commits(2)
    rewritten = sync(table.state)
    table.take(rewritten.messages)
    assert table.on_default_branch(12) == set(ledger.rev_list())
    off = {r["id"] for r in rewritten.records("commits") if not r["on_default_branch"]}
    assert off == set(removed)
    ledger.point("main", kept)
    ledger.gc()  # the head in the state no longer exists
    ledger.commits(3)
    collected = sync(table.state)
    assert collected.exit_code == 0
    assert "PAY/ledger was rewritten" in collected.log
    assert set(ids(collected)) == set(ledger.rev_list())
    assert not [r for r in bitbucket.requests if "ignoreMissing" in r.query]


# 15
def test_only_commits_that_exist_are_ever_requested(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    ledger, other = repository("PAY/ledger"), repository("PAY/other")
    other.commit(branch="develop")
    state = None
    steps: list[Callable[[], object]] = [
        lambda: ledger.commits(3),
        lambda: ledger.point("main", None),
        lambda: ledger.commits(2),
        lambda: ledger.point("main", ledger.commit(parents=[])),
        lambda: setattr(ledger, "default_branch", "gone"),
        lambda: setattr(ledger, "default_branch", "main"),
    ]
    for step in [lambda: None, *steps]:
        step()
        output = sync(state)
        assert output.exit_code == 0, output.log
        state = output.state
    ends = [
        request.query[name]
        for request in asked(bitbucket, "/commits")
        for name in ("until", "since")
        if name in request.query
    ]
    assert len(ends) > 5
    assert all(len(end) == 40 and end.strip("0") for end in ends)


# 16
@pytest.mark.parametrize("status", [401, 403, 404])
def test_one_bad_repository_does_not_end_the_run(
    sync: Sync, repository: Make, bitbucket: Bitbucket, status: int
) -> None:
    for name in ("PAY/a", "PAY/b", "PAY/c"):
        repository(name).commits(3)
    bitbucket.denied = {"PAY/b": status}
    output = sync()
    assert output.exit_code == 0
    assert len(ids(output, "a")) == len(ids(output, "c")) == 3


# 17
def test_the_state_does_not_grow_with_the_history(
    long_history: tuple[GitRepository, singer.Output],
) -> None:
    _, output = long_history
    for state in output.states:
        for partition in state["bookmarks"]["commits"]["partitions"]:
            assert len(json.dumps(partition)) <= 400


# 18
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 415, 418, 422])
def test_a_4xx_is_not_retried(
    sync: Sync, repository: Make, bitbucket: Bitbucket, status: int
) -> None:
    repository("PAY/a").commits(3)
    repository("PAY/b").commits(3)
    refusal = Fault("/a/branches/default", status, content_type="application/json", times=None)
    bitbucket.faults = [refusal]
    # A 404 without Bitbucket's error body means that the path is unknown, so another one is used.
    assert len(ids(sync())) == (6 if status == HTTPStatus.NOT_FOUND else 3)
    assert len(asked(bitbucket, "/a/branches/default")) == 1


# 19
@pytest.fixture
def half_a_minute() -> Iterator[None]:
    """Makes a test fail after 30 seconds, instead of waiting for an hour."""

    def fail(*_: object) -> None:
        pytest.fail("still waiting")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("half_a_minute")
def test_a_wait_of_an_hour_ends_the_run_at_once_and_loses_nothing(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    ledger = repository("PAY/ledger").facts(id=12)
    ledger.commits(30)
    bitbucket.page_caps["commits"] = 10
    hour = Fault(status=429, headers={"Retry-After": "3600"}, content_type=TOO_MANY.content_type)
    bitbucket.faults = [hour.on("start=20&")]
    output = sync()
    assert output.code == "rate_limited"
    table = singer.Table()
    table.take(output.messages)
    bitbucket.faults = []
    table.take(sync(table.state).messages)
    assert table.on_default_branch(12) == set(ledger.rev_list())


# 20
@pytest.mark.parametrize(
    "where", ["/projects[?]", "/PAY/repos[?]", "/branches/default", "/commits"]
)
def test_a_login_page_is_not_data(
    sync: Sync, repository: Make, bitbucket: Bitbucket, where: str
) -> None:
    repository("PAY/ledger").commits(3)
    bitbucket.faults = [LOGIN_PAGE.on(where, times=None)]
    output = sync()
    assert output.code == "not_bitbucket"
    assert output.records("commits") == []


# 21
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_push_between_two_pages_shifts_nothing(
    sync: Sync, repository: Make, bitbucket: Bitbucket, *, force: bool, concurrency: int
) -> None:
    ledger = repository("PAY/ledger")
    ledger.commits(60)
    bitbucket.page_caps["commits"] = 7
    base = ledger.rev_list()[30]

    def push(request: Request) -> None:
        if request.query.get("start", "0") != "0":
            ledger.commit("new", parents=[base] if force else None)

    bitbucket.on_request.append(push)
    output = sync(concurrency=concurrency)
    [branch] = output.records("default_branches")
    assert sorted(ids(output)) == sorted(ledger.rev_list(branch["latest_commit"]))
    assert ledger.branch_tip() != branch["latest_commit"]


# 22
def test_a_renamed_default_branch_repeats_nothing(sync: Sync, repository: Make) -> None:
    ledger = repository("PAY/ledger")
    tip = ledger.commits(3)[-1]
    state = sync().state
    ledger.point("trunk", tip)
    ledger.default_branch = "trunk"
    ledger.point("main", None)
    output = sync(state)
    assert ids(output) == []
    assert output.records("default_branches")[0]["display_id"] == "trunk"
    new = ledger.commit()
    [record] = sync(output.state).records("commits")
    assert (record["id"], record["branch"]) == (new, "trunk")


# 23
def test_the_first_push_to_an_empty_repository_is_read(sync: Sync, repository: Make) -> None:
    ledger = repository("PAY/ledger")
    empty = sync()
    assert empty.exit_code == 0
    assert [row["status"] for row in empty.records("default_branches")] == ["empty"]
    commits = ledger.commits(3)
    output = sync(empty.state)
    assert sorted(ids(output)) == sorted(commits)
    assert [row["status"] for row in output.records("default_branches")] == ["ok"]


# 24
def test_archived_repositories_are_listed_personal_ones_too(sync: Sync, repository: Make) -> None:
    repository("PAY/old").facts(archived=True).commits(2)
    repository("PAY/new").commits(2)
    repository("~ada/old").facts(archived=True).commits(2)
    output = sync(personal_projects=True)
    rows = {(r["project_key"], r["slug"]): r["archived"] for r in output.records("repositories")}
    assert rows == {("PAY", "old"): True, ("PAY", "new"): False, ("~ADA", "old"): True}
    assert len(ids(output)) == 6


# 25
def test_a_401_after_a_proven_login_is_a_missing_permission(
    sync: Sync, repository: Make, bitbucket: Bitbucket
) -> None:
    for name in ("PAY/a", "PAY/b"):
        repository(name).commits(3)
    bitbucket.denied = {"PAY/a": 401}
    output = sync()
    assert (output.exit_code, output.code) == (0, "")
    rows = {row["repository_slug"]: row["status"] for row in output.records("default_branches")}
    assert rows == {"a": "inaccessible", "b": "ok"}


# 26
@pytest.mark.parametrize("rewritten", [False, True])
def test_a_run_that_dies_at_any_moment_leaves_the_exact_set_for_the_next(
    sync: Sync, repository: Make, bitbucket: Bitbucket, *, rewritten: bool
) -> None:
    repositories = {n: repository(f"PAY/r{n}").facts(id=n) for n in (1, 2)}
    for each in repositories.values():
        each.commits(4)
    bitbucket.page_caps["commits"] = 2
    start = sync()
    for each in repositories.values():
        each.point("main", each.rev_list()[2])
        each.commits(3)
    messages = sync(start.state).messages
    if rewritten:
        for each in repositories.values():
            each.point("main", each.rev_list()[1])
            each.commit("after the crash")
    assert len(messages) > 20
    for written in range(len(messages) + 1):
        table = singer.Table()
        table.take(start.messages)
        table.take(messages[:written])
        table.take(sync(table.state).messages)
        for id_, each in repositories.items():
            assert table.on_default_branch(id_) == set(each.rev_list()), written
