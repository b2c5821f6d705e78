"""From N shards to M: no repository is lost, whenever the job crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.extract.filters import shard_of
from tap_bitbucket_dc.meltano import MeltanoError
from tap_bitbucket_dc.shards import check_no_other_states, project, reshape
from tap_bitbucket_dc.state.merging import StateError
from tests.end_to_end.document import blocks
from tests.meltano_stand_in import installed

if TYPE_CHECKING:
    from tap_bitbucket_dc.shards import Shard

IDS = range(1, 13)
A, B = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Meltano project, whose Meltano is the stand-in."""
    for name, text in installed(tmp_path).items():
        monkeypatch.setenv(name, text)
    for name in [name for name in os.environ if name.startswith("MELTANO_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shards(count: int) -> list[Shard]:
    return project("tap-bitbucket-dc", "target-postgres").shards(count)


def partition(id_: int, head: str = A) -> dict[str, Any]:
    return {"context": {"repository_id": id_}, "replication_key_value": None, "head": head}


def file(shard: Shard) -> Path:
    """Return where the stand-in keeps a state."""
    root = Path(shard.project.root)
    file = root / ("system" if shard.count == 1 else "state") / shard.state_id
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def run(shard: Shard, *also: dict[str, Any]) -> None:
    """Leave the state that a run of a shard leaves."""
    own = [partition(id_) for id_ in IDS if shard_of(id_, shard.count) == shard.index]
    state = {"bookmarks": {"commits": {"partitions": [*own, *also]}}}
    file(shard).write_text(json.dumps({"singer_state": state}))


def heads(*found: Shard) -> dict[int, str]:
    """Return what all these shards know."""
    states = [json.loads(file(shard).read_text()) for shard in found if file(shard).exists()]
    return {
        each["context"]["repository_id"]: each["head"]
        for state in states
        for each in state["singer_state"]["bookmarks"]["commits"]["partitions"]
    }


ALL = dict.fromkeys(IDS, A)


@pytest.mark.parametrize(("before", "after"), [(2, 3), (1, 2), (2, 1)])
def test_new_shards_know_what_the_old_ones_knew(before: int, after: int) -> None:
    old, new = shards(before), shards(after)
    for shard in old:
        run(shard)
    reshape(old, new)
    assert heads(*new) == ALL
    assert heads(*old) == {}
    check_no_other_states(new)


def test_a_crash_at_any_moment_loses_nothing(place: Path) -> None:
    old, new = shards(2), shards(3)
    calls = 2 + 3 + 2  # get, set, clear
    for crash in range(1, calls + 1):
        for shard in new:
            file(shard).unlink(missing_ok=True)
        for shard in old:
            run(shard)
        (place / "calls").unlink()
        (place / "fail").write_text(str(crash))
        with pytest.raises(MeltanoError, match="ended with exit code 1"):
            reshape(old, new)
        assert ALL in (heads(*old), heads(*new))
        (place / "fail").unlink()
        reshape(old, new)
        assert heads(*new) == ALL
        assert heads(*old) == {}


def test_the_states_are_merged_without_dagster_as_documented(place: Path) -> None:
    old, new = shards(3), shards(2)
    for shard in old:
        run(shard)
    done = subprocess.run(("bash", "-c", blocks()[-1]), cwd=place, check=False)
    assert done.returncode == 0
    assert [shard.state() for shard in old] == [None] * 3
    assert [heads(shard) for shard in new] == [ALL] * 2
    reshape(new, old)
    assert heads(*old) == ALL


def test_a_shard_that_has_not_run_is_named_and_nothing_changes(place: Path) -> None:
    old, new = shards(2), shards(3)
    run(old[0])
    before = {path: path.read_text() for path in place.rglob("dev:*")}
    with pytest.raises(StateError, match=r"no state for shard 1 of 2 .*`count: 2` first"):
        reshape(old, new)
    assert {path: path.read_text() for path in place.rglob("dev:*")} == before


def test_states_of_earlier_numbers_are_no_sign_of_a_crash() -> None:
    """The new number has been used before; since then shard 0 has read on."""
    old, new = shards(2), shards(3)
    for shard in new:
        run(shard)
    run(old[0])
    file(old[0]).write_text(file(old[0]).read_text().replace(A, B))
    after = heads(old[0])
    with pytest.raises(StateError, match="no state for shard 1 of 2 "):
        reshape(old, new)
    assert heads(old[0]) == after


def test_only_the_own_shard_is_believed_about_a_repository() -> None:
    old, new = shards(2), shards(3)
    [other, *_] = [id_ for id_ in IDS if shard_of(id_, 2) == 1]
    run(old[0], partition(other, B))
    run(old[1])
    reshape(old, new)
    assert heads(*new) == ALL


def test_another_number_of_shards_is_refused() -> None:
    for shard in shards(2):
        run(shard)
    for count in (1, 3):
        with pytest.raises(StateError, match=r"shard-0-of-2, .*`reshape_shards`"):
            check_no_other_states(shards(count))


def test_an_ordinary_run_keeps_its_state_where_meltano_does(place: Path) -> None:
    [single] = shards(1)
    run(single)
    assert [path.parent for path in place.rglob("dev:*")] == [place / ".meltano" / "system"]
    with pytest.raises(StateError, match=r"to-target-postgres\. To keep it, run the job"):
        check_no_other_states(shards(2))


def test_the_users_state_backend_is_used(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTANO_STATE_BACKEND_URI", f"file://{place}/elsewhere")
    old, new = shards(2), shards(3)
    for shard in old:
        run(shard)
    (place / ".meltano" / "state").rename(place / "elsewhere")
    reshape(old, new)
    assert {path.name for path in (place / "elsewhere").iterdir()} == {s.state_id for s in new}


def test_a_remote_state_backend_is_left_to_meltano(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTANO_STATE_BACKEND_URI", "s3://key:secret@bucket/states")
    assert "secret" not in repr(shards(2))
    assert shards(2)[0].project.states is None


def test_the_environment_is_that_of_meltano(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def environment(chosen: str | None = None) -> str:
        return project("tap-bitbucket-dc", "target-postgres", chosen).environment

    assert environment() == "dev"
    (place / ".env").write_text("MELTANO_ENVIRONMENT=staging\n")
    assert environment() == "staging"
    monkeypatch.setenv("MELTANO_ENVIRONMENT", "prod")
    assert environment() == "prod"
    assert environment("test") == "test"


def test_no_two_jobs_run_one_shard(place: Path) -> None:
    old, new = shards(2), shards(3)
    for shard in old:
        run(shard)
    busy = pytest.raises(MeltanoError, match="another job is running shard 1 of 2")
    with old[1].alone(), busy:
        reshape(old, new)
    assert heads(*old) == ALL
    assert not list(place.rglob("*-of-3"))


def test_the_project_is_found_from_below_and_nowhere_else(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "below").mkdir()
    monkeypatch.chdir(place / "below")
    assert shards(1)[0].directory == place / ".meltano"
    (place / "meltano.yml").unlink()
    with pytest.raises(MeltanoError, match=r"there is no meltano\.yml"):
        shards(1)


def test_a_missing_meltano_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MeltanoError, match="`meltano` is not on the PATH"):
        shards(2)


def test_without_dagster_one_line_says_what_to_install(place: Path) -> None:
    hidden = "import sys; sys.modules['dagster'] = None"
    run = "import runpy; runpy.run_module('tap_bitbucket_dc.dagster', run_name='__main__')"
    done = subprocess.run(
        (sys.executable, "-c", f"{hidden}; {run}"),
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.endswith(": install tap-bitbucket-dc[dagster]")
