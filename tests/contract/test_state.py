"""The state never claims more than has been written, and it stays small."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc import writer
from tap_bitbucket_dc.emulator import RESET, Fault
from tap_bitbucket_dc.extract import prefetch
from tests import singer
from tests.contract.target import Target, flags, partitions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

UNKNOWN_404 = Fault(
    status=404, body=b'{"errors":[{"message":"?"}]}', content_type="application/json"
)
TOO_MUCH = 400  # bytes of state for a repository


@pytest.fixture
def ledger(repository: Callable[[str], GitRepository]) -> GitRepository:
    return repository("PAY/ledger").facts(id=12)


def starts(bitbucket: Bitbucket) -> list[int]:
    """Return the ``start`` of each page of commits that was requested."""
    asked = [r.query for r in bitbucket.requests if r.path.endswith("/ledger/commits")]
    return [int(query["start"]) for query in asked if "start" in query]


def size(partition: singer.Json) -> int:
    """Return how many bytes a partition has as JSON of Python's ``json``."""
    return len(json.dumps(partition).encode())


# When the head moves


@pytest.mark.usefixtures("small_writes")
def test_the_head_moves_when_the_whole_range_is_out(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(3)
    target.read()
    ledger.point("main", old[1])
    new = ledger.commits(7)
    output = target.read()
    heads = []
    rest = len(flags(output))
    for message in output.messages:
        if message["type"] == "STATE":
            heads.append((rest, partitions(message["value"])[12]["head"]))
        rest -= message["type"] == "RECORD" and message["stream"] == "commits"
    assert len(heads) > 4
    assert {head for left, head in heads if left} == {old[2]}
    assert heads[-1] == (0, new[-1])


@pytest.mark.parametrize(
    "fault", [Fault(status=500), RESET, UNKNOWN_404], ids=["500", "reset", "404"]
)
def test_a_page_that_fails_for_good_fails_its_repository_and_the_next_run_is_complete(
    sync: Sync,
    ledger: GitRepository,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
    fault: Fault,
) -> None:
    bitbucket.page_caps["commits"] = 2
    ledger.commits(10)
    others = [repository(f"PAY/{name}").facts(id=n) for n, name in enumerate("am", start=20)]
    for other in others:
        other.commits(3)
    bitbucket.faults.append(fault.on("ledger/commits.*start=2&", times=None))
    table = singer.Table()
    failed = sync(max_retries=0)
    assert failed.exit_code == 1
    assert "3 of 3 repositories (1 failed), " in failed.log
    assert "PAY/ledger" in failed.last_line
    table.take(failed.messages)
    assert "head" not in partitions(table.state)[12]
    for id_, other in enumerate(others, start=20):
        assert table.on_default_branch(id_) == set(other.rev_list())
    bitbucket.faults.clear()
    again = sync(table.state)
    assert again.exit_code == 0
    table.take(again.messages)
    assert table.on_default_branch(12) == set(ledger.rev_list())
    assert {record["repository_id"] for record in again.records("commits")} == {12}


def test_the_last_message_is_the_state_even_if_a_repository_failed(
    sync: Sync, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    ledger.commit()
    assert sync().messages[-1]["type"] == "STATE"
    bitbucket.faults.append(UNKNOWN_404.on("ledger/commits", times=None))
    assert sync().messages[-1]["type"] == "STATE"


# When it is written


def test_a_state_comes_every_so_many_seconds_while_records_flow(
    sync: Sync, ledger: GitRepository, bitbucket: Bitbucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert writer.MOST_SECONDS + prefetch.TICK < 30
    seconds = 0.1
    monkeypatch.setattr(writer, "MOST_SECONDS", seconds)
    bitbucket.page_caps["commits"] = 1
    bitbucket.latency = 0.05
    ledger.commits(30)
    started = time.monotonic()
    output = sync(concurrency=1)
    took = time.monotonic() - started
    assert took > 30 * bitbucket.latency
    assert min(took / seconds, 30) / 2 < len(output.states) < took / seconds + 4


def test_all_states_together_are_a_small_part_of_the_output(
    sync: Sync,
    repository: Callable[[str], GitRepository],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "LEAST_BYTES", 1)
    for number in range(150):
        repository(f"P{number % 3}/r{number}").facts(id=number).commits(3)
    output = sync()
    lengths = {
        kind: [len(json.dumps(m)) for m in output.messages if m["type"] == kind]
        for kind in ("STATE", "RECORD")
    }
    most = sum(lengths["RECORD"]) / writer.TIMES_STATE + 3 * lengths["STATE"][-1]
    assert len(lengths["STATE"]) > 3, "else nothing is shown"
    assert sum(lengths["STATE"]) < most


# A first read that is interrupted


@pytest.mark.usefixtures("small_writes")
def test_a_first_read_that_was_killed_goes_on_where_the_last_state_says(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LEAST_BYTES", 8000)  # some pages
    bitbucket.page_caps["commits"] = 2
    ledger.commits(120)
    target.read_until(80, concurrency=1)
    reading = partitions(target.state)[12]["reading"]
    assert 60 <= reading["start"] <= 80
    assert reading["start"] % 2 == 0
    before = len(target.commits)
    bitbucket.requests.clear()
    output = target.read(concurrency=1)
    assert starts(bitbucket)[0] == reading["start"]
    assert len(starts(bitbucket)) == (120 - reading["start"]) / 2
    assert len(flags(output)) + before - 120 <= 20, "what was out since the last STATE comes again"
    assert target.holds(ledger)


def test_a_first_read_whose_page_fails_goes_on_with_this_page(
    sync: Sync, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    ledger.commits(120)
    bitbucket.faults.append(UNKNOWN_404.on("ledger/commits.*start=80&", times=None))
    failed = sync(concurrency=1)
    bitbucket.faults.clear()
    bitbucket.requests.clear()
    again = sync(failed.state, concurrency=1)
    assert starts(bitbucket) == list(range(80, 120, 2))
    found = [commit for commit, _ in flags(failed) + flags(again)]
    assert sorted(found) == sorted(ledger.rev_list())


@pytest.mark.usefixtures("small_writes")
@pytest.mark.parametrize("page_size", [1, 3, 50])
def test_where_a_first_read_goes_on_fits_any_page_size_and_numbering(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket, page_size: int
) -> None:
    bitbucket.stride = 3
    ledger.commits(20)
    target.read_until(11, page_size=2, concurrency=1)
    assert partitions(target.state)[12]["reading"]["start"] in starts(bitbucket)[1:]
    target.read(page_size=page_size)
    assert target.holds(ledger)


@pytest.mark.usefixtures("small_writes")
def test_a_first_read_whose_end_is_gone_starts_over_with_a_warning(
    target: Target, ledger: GitRepository, bitbucket: Bitbucket
) -> None:
    bitbucket.page_caps["commits"] = 2
    old = ledger.commits(10)
    target.read_until(4)
    ledger.point("main", old[7])
    new = ledger.commit("Instead")
    ledger.gc()
    output = target.read()
    assert "PAY/ledger was rewritten before it had been fully read" in output.log
    assert set(ledger.rev_list()) <= target.on_default_branch(12)
    assert partitions(target.state)[12]["head"] == new
    assert flags(target.read()) == []


# How large it is


@pytest.mark.usefixtures("small_writes")
def test_a_repository_has_at_most_400_bytes_of_state_while_it_is_read_and_after(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    long = repository(f"{'P' * 49}/{'r' * 50}").facts(id=2**31 - 1)
    long.commits(10_000)
    first = sync()
    long.point("main", long.rev_list()[2_000])
    long.commits(10)
    again = sync(first.state)
    sizes = [size(p) for state in first.states + again.states for p in partitions(state).values()]
    assert len(sizes) > 100
    assert max(sizes) <= TOO_MUCH
    assert any("reading" in p and "head" in p for s in again.states for p in partitions(s).values())


def test_a_name_that_is_too_long_is_left_out_of_the_state(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    repository(f"{'P' * 100}/{'r' * 120}").facts(id=7).commit()
    (partition,) = partitions(sync().state).values()
    assert size(partition) <= TOO_MUCH
    assert not partition["repository"]


# Which repositories are in it


@pytest.fixture
def three(repository: Callable[[str], GitRepository]) -> list[GitRepository]:
    made = [repository(f"PAY/r{n}").facts(id=n) for n in (1, 2, 3)]
    for each in made:
        each.commits(2)
    return made


def test_a_deleted_repository_leaves_the_state(target: Target, three: list[GitRepository]) -> None:
    target.read()
    three[1].delete()
    target.read()
    assert sorted(partitions(target.state)) == [1, 3]


def test_repositories_of_a_deleted_project_leave_the_state(
    target: Target, three: list[GitRepository], repository: Callable[[str], GitRepository]
) -> None:
    repository("OPS/tools").facts(id=9).commit()
    target.read()
    for each in three:
        each.delete()
    three[0].path.parent.rmdir()
    target.read()
    assert sorted(partitions(target.state)) == [9]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    "settings",
    [
        {"repositories": ["PAY/r1"]},
        {"exclude_repositories": ["PAY/r2", "PAY/r3"]},
    ],
    ids=["repositories", "exclude_repositories"],
)
def test_what_a_filter_hides_stays_in_the_state(target: Target, settings: dict[str, Any]) -> None:
    target.read()
    target.read(**settings)
    assert sorted(partitions(target.state)) == [1, 2, 3]
    assert flags(target.read()) == []


def test_a_project_that_a_filter_hides_stays_in_the_state(
    target: Target, three: list[GitRepository], repository: Callable[[str], GitRepository]
) -> None:
    repository("OPS/tools").facts(id=9).commit()
    target.read()
    three[0].delete()
    target.read(projects=["OPS"])
    assert sorted(partitions(target.state)) == [1, 2, 3, 9]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("name", ["PAY/r2", "PAY"])
def test_what_may_not_be_read_any_more_stays_in_the_state(
    target: Target,
    repository: Callable[[str], GitRepository],
    bitbucket: Bitbucket,
    status: int,
    name: str,
) -> None:
    repository("OPS/tools").facts(id=9).commit()
    target.read()
    bitbucket.denied[name] = status
    target.read()
    assert sorted(partitions(target.state)) == [1, 2, 3, 9]
    bitbucket.denied.clear()
    assert flags(target.read()) == []


# States that the tap did not write


HEAD = "0123456789" * 4
OURS = {"context": {"repository_id": 12}}
GOOD = {**OURS, "head": HEAD}
TELL_NO_HEAD: dict[str, singer.Json] = {
    "nothing": {},
    "no partitions": {"partitions": []},
    "of another tap": {"replication_key": "updated_at", "replication_key_value": "2030-01-01"},
    "a date alone": {"partitions": [{**OURS, "replication_key_value": "2030-01-01"}]},
    "null": {"partitions": [{**OURS, "head": None}]},
    "short": {"partitions": [{**OURS, "head": HEAD[:39]}]},
    "a number": {"partitions": [{**OURS, "head": 5}]},
    "an id that is text": {"partitions": [{"context": {"repository_id": "12"}, "head": HEAD}]},
    "another context": {"partitions": [{"context": {"project": "PAY"}, "head": HEAD}]},
    "no objects": {"partitions": [{"context": None}, None, 5, "x", {}]},
    "a branch being read": {"partitions": [{**GOOD, "reading": {"until": "main", "start": 0}}]},
    "a start below 0": {"partitions": [{**GOOD, "reading": {"until": HEAD, "start": -1}}]},
    "a start that is text": {"partitions": [{**GOOD, "reading": {"until": HEAD, "start": "0"}}]},
    "a list being read": {"partitions": [{**GOOD, "reading": [HEAD]}]},
}


@pytest.mark.parametrize("commits", TELL_NO_HEAD.values(), ids=TELL_NO_HEAD)
def test_a_state_without_a_head_means_reading_in_full(
    sync: Sync, ledger: GitRepository, commits: singer.Json
) -> None:
    ledger.commits(2)
    output = sync({"bookmarks": {"commits": commits}})
    assert output.exit_code == 0, output.log
    assert flags(output) == [(commit, True) for commit in ledger.rev_list()]
    assert partitions(output.state)[12]["head"] == ledger.branch_tip()
    assert len(output.state["bookmarks"]["commits"]["partitions"]) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"replication_key_value": 5},
        {"replication_key_value": None},
        {"replication_key_value": ["2030"]},
        {"repository": 5},
        {"repository": "no slash"},
        {"repository": ""},
        {"repository": "../.."},
        {"progress_markers": {"note": "x"}, "other": [1]},
    ],
    ids=json.dumps,
)
def test_other_keys_of_a_partition_do_no_harm(
    sync: Sync, ledger: GitRepository, more: singer.Json
) -> None:
    old, new = ledger.commits(2)
    here = {"context": {"repository_id": 12}, "head": old, **more}
    gone = {"context": {"repository_id": 99}, "head": old, **more}
    output = sync({"bookmarks": {"commits": {"partitions": [here, gone]}}})
    assert output.exit_code == 0, output.log
    assert flags(output) == [(new, True)]
    partition = partitions(output.state)[12]
    assert partition["head"] == new
    assert partition["repository"] == "PAY/ledger"
    assert partition["replication_key_value"] == output.records("commits")[0]["committer_timestamp"]


@pytest.mark.parametrize("turn", [1, -1])
def test_two_states_of_one_repository_are_both_ignored(
    sync: Sync, ledger: GitRepository, turn: int
) -> None:
    two = [{**OURS, "head": commit} for commit in ledger.commits(2)][::turn]
    output = sync({"bookmarks": {"commits": {"partitions": two}}})
    assert "is in the state twice" in output.log
    assert flags(output) == [(commit, True) for commit in ledger.rev_list()]
    assert len(output.state["bookmarks"]["commits"]["partitions"]) == 1


def test_bookmarks_of_other_streams_are_handed_on(sync: Sync, ledger: GitRepository) -> None:
    ledger.commit()
    other = {"replication_key": "id", "replication_key_value": 7}
    output = sync({"bookmarks": {"other": other}, "version": 3})
    assert output.state["bookmarks"]["other"] == other
    assert len(flags(output)) == 1


def wrapped(state: singer.Json | None, keys: list[str]) -> singer.Json:
    for key in keys:
        state = {key: state, "state_id": "dev:tap-to-target"}
    return state or {}


@pytest.mark.parametrize(
    "keys",
    [
        ["singer_state"],
        ["singer_state", "singer_state"],
        ["singer_state", "completed"],
        ["singer_state", "completed_state"],
    ],
    ids=" in ".join,
)
def test_a_state_as_meltano_keeps_it_is_taken(
    target: Target, ledger: GitRepository, keys: list[str]
) -> None:
    ledger.commit()
    target.read()
    target.state = wrapped(target.state, keys)
    assert flags(target.read()) == []
    assert target.state.keys() == {"bookmarks"}


@pytest.mark.parametrize("state", [{"bookmark": {}}, {"singer_state": {"note": 1}}])
def test_a_state_without_bookmarks_is_not_ignored_in_silence(
    sync: Sync, ledger: GitRepository, state: singer.Json
) -> None:
    ledger.commit()
    output = sync(state)
    assert "The state has no bookmarks: everything will be read from the beginning" in output.log
    assert len(output.records("commits")) == 1


# Stopped by a signal


def started(config: singer.Json, directory: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start the tap, whose standard output the test reads."""
    (directory / "config.json").write_text(json.dumps(config))
    return subprocess.Popen(
        [singer.TAP, "--config", directory / "config.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_run_though_the_target_does_not_read(
    target: Target,
    ledger: GitRepository,
    config: singer.Json,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    ledger.commits(2000)
    with started(config, tmp_path) as tap:
        assert tap.stdout
        output = b""
        while len(output) < 300_000:  # then the tap goes on writing, but nobody reads
            output += tap.stdout.read(8192)
        tap.send_signal(number)
        assert tap.wait(60) == 128 + number
        output += tap.stdout.read()
    whole = output[: output.rfind(b"\n") + 1]
    target.take(json.loads(line) for line in whole.splitlines())
    assert 0 < len(target.commits) < 2000
    assert "head" not in partitions(target.state)[12]
    target.read()
    assert target.holds(ledger)


@pytest.mark.parametrize(
    ("number", "unbuffered"),
    [(signal.SIGTERM, ""), (signal.SIGTERM, "1"), (signal.SIGINT, "")],
    ids=["SIGTERM", "SIGTERM, unbuffered", "SIGINT"],
)
def test_a_signal_ends_the_run_with_whole_lines_and_a_state_to_go_on_from(
    target: Target,
    ledger: GitRepository,
    bitbucket: Bitbucket,
    config: singer.Json,
    tmp_path: Path,
    number: signal.Signals,
    unbuffered: str,
) -> None:
    bitbucket.page_caps["commits"] = 20
    for n in range(1000):
        ledger.commit(f"Commit {n} {'x' * 2000}")
    with started(config, tmp_path, PYTHONUNBUFFERED=unbuffered) as tap:
        assert tap.stdout
        output = b""
        while len(output) < 100_000:  # the tap is blocked in the middle of a write
            output += tap.stdout.read(8192)
        tap.send_signal(number)
        while part := tap.stdout.read(8192):
            output += part
            time.sleep(0.002)  # a slow reader
    assert tap.returncode == 128 + number
    assert output.endswith(b"\n")
    lines = [json.loads(line) for line in output.splitlines()]
    assert lines[-1]["type"] == "STATE"
    commits = sum(line["type"] == "RECORD" and line["stream"] == "commits" for line in lines)
    assert 100 <= commits < 1000
    target.take(lines)
    assert partitions(target.state)[12]["reading"]["start"] == commits
    assert len(flags(target.read())) == 1000 - commits, "nothing comes twice"
    assert target.holds(ledger)


@pytest.mark.parametrize("text", [None, "", "\n"], ids=["missing", "empty", "a newline"])
def test_a_state_that_is_not_there_is_an_error_that_says_how_to_start(
    bitbucket: Bitbucket, config: singer.Json, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "kept.json"
    if text is not None:
        path.write_text(text)
    output = singer.run(config, tmp_path, None, "--state", str(path))
    assert output.code == "invalid_config"
    assert "For a first run, write {} to the file" in output.last_line
    assert "Traceback" not in output.log
    assert bitbucket.requests == []


def test_a_first_run_may_have_an_empty_object_as_its_state(
    ledger: GitRepository, config: singer.Json, tmp_path: Path
) -> None:
    ledger.commits(3)
    output = singer.run(config, tmp_path, {})
    assert len(output.records("commits")) == 3
