"""Runs that share the work: each row from one of them, nothing twice, nothing left out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import Fault
from tap_bitbucket_dc.extract.filters import shard_of
from tap_bitbucket_dc.state.merging import StateError, merge
from tests.git_repository import GitRepository
from tests.singer import Table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.conftest import Sync
    from tests.singer import Json, Output

KEYS = {
    "projects": ("id",),
    "repositories": ("id",),
    "default_branches": ("repository_id",),
    "commits": ("repository_id", "id"),
}
REFUSED = Fault(
    status=403,
    content_type="application/json",
    body=b'{"errors":[{"message":"You are not permitted to access this resource",'
    b'"exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}',
    times=None,
)


@pytest.fixture(autouse=True)
def world(root: Path) -> dict[int, GitRepository]:
    """Five projects of four repositories of three commits, by id: 1 to 20."""
    world = {}
    for project in range(5):
        for number in range(4):
            id_ = 4 * project + number + 1
            world[id_] = GitRepository(root / f"P{project}" / f"r{number}").facts(id=id_)
            world[id_].commits(3)
    return world


def sync_shards(
    sync: Sync,
    count: int,
    states: Iterable[Json | None] | None = None,
    **settings: Any,
) -> list[Output]:
    given = list(states) if states is not None else [None] * count
    return [
        sync(state, shard_count=count, shard_index=index, **settings)
        for index, state in enumerate(given)
    ]


def merged(outputs: list[Output]) -> Json:
    return merge({f"shard {index}": output.state for index, output in enumerate(outputs)})


def partitions(state: Json) -> dict[int, Json]:
    return {p["context"]["repository_id"]: p for p in state["bookmarks"]["commits"]["partitions"]}


def asked_for_commits(bitbucket: Bitbucket) -> list[str]:
    return [request.path for request in bitbucket.requests if request.path.endswith("/commits")]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_each_row_is_written_by_one_shard(sync: Sync, count: int) -> None:
    whole, shards = sync(), sync_shards(sync, count)
    assert [shard.code for shard in shards] == [""] * count
    for stream, key in KEYS.items():
        rows = [row for shard in shards for row in shard.records(stream)]
        assert sorted(rows, key=lambda row: [row[part] for part in key]) == sorted(
            whole.records(stream), key=lambda row: [row[part] for part in key]
        )
    assert partitions(merged(shards)) == partitions(whole.state)


def test_a_shard_asks_nothing_about_repositories_of_others(
    sync: Sync, bitbucket: Bitbucket
) -> None:
    output = sync(shard_count=4, shard_index=1)
    own = output.records("repositories")
    listing = 1 + 5
    assert 0 < len(own) < 20
    assert len(bitbucket.requests) == listing + 2 * len(own)


def test_a_shard_without_a_repository_is_a_success(sync: Sync) -> None:
    taken = {shard_of(id_, 100) for id_ in range(1, 21)}
    output = sync(shard_count=100, shard_index=min(set(range(100)) - taken))
    assert output.exit_code == 0
    assert output.records("repositories") == output.records("commits") == []
    assert partitions(output.state) == {}


def test_the_state_of_one_run_serves_any_number_of_shards(
    sync: Sync, bitbucket: Bitbucket, world: dict[int, GitRepository]
) -> None:
    whole = sync()
    bitbucket.requests.clear()
    four = sync_shards(sync, 4, [whole.state] * 4)
    assert "other shards" in four[0].log
    five = sync_shards(sync, 5, [merged(four)] * 5)
    one = sync(merged(five))
    assert asked_for_commits(bitbucket) == []
    assert partitions(one.state) == partitions(whole.state)

    new = world[7].commit()
    three = sync_shards(sync, 3, [one.state] * 3)
    assert [row["id"] for shard in three for row in shard.records("commits")] == [new]


def test_states_of_shards_have_no_repository_in_common(sync: Sync) -> None:
    whole = sync()
    states = [partitions(shard.state) for shard in sync_shards(sync, 4, [whole.state] * 4)]
    assert sum(map(len, states)) == 20
    assert set().union(*states) == set(range(1, 21))


def test_only_its_own_shard_asks_for_a_deleted_repository(
    sync: Sync, bitbucket: Bitbucket, world: dict[int, GitRepository]
) -> None:
    whole = sync()
    world[7].delete()
    bitbucket.requests.clear()
    shards = sync_shards(sync, 4, [whole.state] * 4)
    probes = [r.path for r in bitbucket.requests if r.path.endswith("/projects/P1/repos/r2")]
    assert len(probes) == 1
    assert set(partitions(merged(shards))) == set(range(1, 21)) - {7}


def test_a_filter_may_match_in_another_shard_alone(sync: Sync) -> None:
    shards = sync_shards(sync, 4, repositories=["P1/r2"])
    assert [shard.code for shard in shards] == [""] * 4
    assert [row["id"] for shard in shards for row in shard.records("repositories")] == [7]


def test_a_filter_that_matches_nothing_is_an_error_in_every_shard(sync: Sync) -> None:
    shards = sync_shards(sync, 3, projects=["P1", "NONE"])
    assert [shard.code for shard in shards] == ["invalid_config"] * 3
    assert all("NONE" in shard.last_line for shard in shards)


def test_nothing_visible_is_an_error_in_every_shard(sync: Sync) -> None:
    shards = sync_shards(sync, 3, repositories=["NO*/*"])
    assert [shard.code for shard in shards] == ["no_resources"] * 3


def test_a_shard_whose_only_repository_refuses_does_not_blame_the_login(
    sync: Sync, bitbucket: Bitbucket, world: dict[int, GitRepository]
) -> None:
    count = 100
    alone = [id_ for id_ in world if shard_of(id_, count) == shard_of(7, count)]
    assert alone == [7]
    bitbucket.faults.append(REFUSED.on("/P1/repos/r2/"))
    output = sync(shard_count=count, shard_index=shard_of(7, count))
    assert output.exit_code == 0
    assert [row["status"] for row in output.records("default_branches")] == ["inaccessible"]


def test_a_shard_that_does_not_exist_is_refused_before_any_request(
    sync: Sync, bitbucket: Bitbucket
) -> None:
    for count in (1, 4):
        output = sync(shard_count=count, shard_index=count)
        assert output.code == "invalid_config"
        assert "shard_index" in output.last_line
    assert bitbucket.requests == []


def test_shards_keep_what_git_has_when_history_is_rewritten_between_two_counts(
    sync: Sync, world: dict[int, GitRepository]
) -> None:
    table = Table()

    def load(outputs: list[Output]) -> Json:
        for output in outputs:
            assert output.exit_code == 0
            table.take(output.messages)
        return merged(outputs)

    state = load(sync_shards(sync, 2))
    for count in (3, 1, 4):
        for repository in world.values():
            tip, parent, *_ = repository.rev_list()
            repository.commit(f"instead of {tip}", parents=[parent])
        state = load(sync_shards(sync, count, [state] * count))
    assert {id_: table.on_default_branch(id_) for id_ in world} == {
        id_: set(repository.rev_list()) for id_, repository in world.items()
    }


def test_the_shard_of_an_id_is_the_same_for_ever() -> None:
    # crc32(id::text::bytea) % 4, which PostgreSQL 18 can compute, too
    ids = (1, 2, 3, 12, 4711, 2**31 - 1)
    assert [shard_of(id_, 4) for id_ in ids] == [3, 1, 3, 1, 3, 0]


@pytest.mark.parametrize("step", [1, 2, 10, 16])
@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 10, 16])
def test_ids_are_spread_evenly(count: int, step: int) -> None:
    sizes = Counter(shard_of(step * n, count) for n in range(1, 10_001))
    assert len(sizes) == count
    assert max(sizes.values()) < 1.1 * 10_000 / count


def state_of(*repositories: tuple[int, str]) -> Json:
    return {
        "bookmarks": {
            "commits": {
                "partitions": [
                    {"context": {"repository_id": i}, "head": h} for i, h in repositories
                ]
            }
        }
    }


def test_states_are_merged_by_the_command(tmp_path: Path) -> None:
    one, two = tmp_path / "1.json", tmp_path / "2.json"
    one.write_text(json.dumps(state_of((1, "a"))))
    two.write_text(json.dumps({"singer_state": state_of((2, "b"))}))
    done = merge_command(one, two)
    assert json.loads(done.stdout) == {"singer_state": state_of((1, "a"), (2, "b"))}
    assert done.returncode == 0


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"bookmarks": {}}', '{"bookmarks": {"commits": {"partitions": [1]}}}']
)
def test_a_file_without_a_state_is_not_merged(tmp_path: Path, text: str) -> None:
    file = tmp_path / "1.json"
    file.write_text(text)
    done = merge_command(file)
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", [None, "", "\n\n", "{}", '{"singer_state": {}}'])
def test_the_command_says_what_to_do_about_a_shard_that_has_not_run_yet(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "1.json"
    if text is not None:
        file.write_text(text)
    assert "if its shard has not run yet, run it first" in merge_command(file).stderr


@pytest.mark.parametrize("text", ["[]", "null", '"state"'])
def test_the_command_says_that_a_file_is_not_a_state(tmp_path: Path, text: str) -> None:
    file = tmp_path / "1.json"
    file.write_text(text)
    assert (
        merge_command(file).stderr == f"{file} is not a state: it does not contain a JSON object\n"
    )


def test_states_that_differ_in_a_repository_are_not_merged() -> None:
    same, other = state_of((1, "a"), (2, "b")), state_of((2, "c"))
    assert merge({"one": same, "two": same}) == same
    with pytest.raises(StateError, match=r"one and two disagree about .*2"):
        merge({"one": same, "two": other})


def merge_command(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tap_bitbucket_dc.state", "merge", *files],
        capture_output=True,
        text=True,
        check=False,
    )
