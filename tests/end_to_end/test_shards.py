"""Shards into one PostgreSQL, by hand and on Dagster, judged by what is in it afterwards."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tap_bitbucket_dc.emulator import Bitbucket
from tap_bitbucket_dc.extract.filters import shard_of
from tap_bitbucket_dc.state.merging import merge
from tests import meltano_stand_in, singer
from tests.end_to_end.document import blocks
from tests.end_to_end.project import MeltanoProject
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import World, loaded
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_bitbucket_dc.emulator import Request

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dagster") is None,
    reason="needs Dagster: uv run --group dagster pytest tests/end_to_end/test_shards.py",
)
TOKEN = "known-to-nobody-else"
VICTIM = 1
COMMITS = re.compile(r"/projects/([^/]+)/repos/([^/]+)/commits$")
TABLES = "select count(*) from information_schema.tables where table_schema = 'bitbucket'"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Six projects of three repositories."""
    for project in range(6):
        for number in range(3):
            GitRepository(tmp_path / "git" / f"P{project}" / f"r{number}").commits(10)
    return World(tmp_path / "git")


@pytest.fixture
def bitbucket(tmp_path: Path, world: World) -> Iterator[Bitbucket]:
    assert world.repositories
    with Bitbucket(tmp_path / "git", tokens={TOKEN: "admin"}) as bitbucket:
        yield bitbucket


@pytest.fixture
def database() -> Iterator[Warehouse]:
    with warehouse() as database:
        yield database


@pytest.fixture
def project(tmp_path: Path, bitbucket: Bitbucket, database: Warehouse) -> MeltanoProject:
    settings = {
        "TAP_BITBUCKET_DC_BASE_URL": bitbucket.url,
        "TAP_BITBUCKET_DC_TOKEN": TOKEN,
        "TARGET_POSTGRES_SQLALCHEMY_URL": database.url,
        "MELTANO_ENVIRONMENT": "dev",
        "DAGSTER_HOME": _home(tmp_path / "dagster"),
    }
    return MeltanoProject(tmp_path / "project", settings)


def test_every_block_of_the_document_runs_as_it_stands(
    project: MeltanoProject, world: World, bitbucket: Bitbucket, database: Warehouse
) -> None:
    # The last one is run by test_reshape.
    tables, by_hand, load_yml, load, defaults, reshape_yml, reshape, _ = blocks()
    _bash(project, tables)
    assert database.query(TABLES) == [(4,)]
    _bash(project, by_hand)
    assert loaded(database) == world.commits()
    assert _states(project).keys() == _state_ids(2)

    for git in world.repositories.values():
        git.commit("Pushed later")
    (project.directory / "load.yml").write_text(load_yml + defaults)
    killed = _kill_a_shard_while_it_reads(bitbucket)
    log = _bash(project, load)
    assert len(killed) >= 3  # Meltano, the tap and the target
    assert f"load[{VICTIM}_of_2] - STEP_RESTARTED" in log
    assert loaded(database) == world.commits()

    (project.directory / "reshape.yml").write_text(reshape_yml)
    log += _bash(project, reshape)
    states = _states(project)
    assert states.keys() == _state_ids(3)
    idle = singer.sync({"base_url": bitbucket.url, "token": TOKEN}, merge(states)["singer_state"])
    assert len(idle.records("repositories")) == len(world.repositories)
    assert idle.records("commits") == []

    assert TOKEN not in log
    for file in Path(project.environment["DAGSTER_HOME"]).rglob("*"):
        assert file.is_dir() or TOKEN.encode() not in file.read_bytes()


def test_a_failed_shard_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    environment = meltano_stand_in.installed(tmp_path)
    (tmp_path / "fail").write_text("shard-0-of-2")
    with _dagster(tmp_path, environment, {"in_process": {}}) as process:
        _, log = process.communicate()
    assert process.returncode == 1
    assert "shard 0 of 2: `meltano run --force --state-id-suffix=shard-0-of-2" in log
    assert "Steps failed: ['load[0_of_2]']" in log
    calls = (tmp_path / "calls").read_text().splitlines()
    others = ["state list --pattern=dev:tap-x-to-target-y*"] * 2  # where 1 and 2 shards have theirs
    assert calls[-7:-3] == [*others, "invoke tap-x --test=schema", "invoke target-y"]
    runs = [f"run --force --state-id-suffix=shard-{i}-of-2 tap-x target-y" for i in (0, 0, 1)]
    assert sorted(calls[-3:]) == runs


def test_cancelling_the_job_ends_all_that_it_started(tmp_path: Path) -> None:
    environment = meltano_stand_in.installed(tmp_path)
    (tmp_path / "hang").touch()
    started = tmp_path / "started"
    executor: singer.Json = {"multiprocess": {"start_method": {"forkserver": {}}}}
    with _dagster(tmp_path, environment, executor) as process:
        while process.poll() is None:
            if started.exists() and len(pids := started.read_text().splitlines()) == 2:
                break
            time.sleep(0.1)
        else:
            pytest.fail(process.communicate()[1])
        programs = [psutil.Process(int(pid)) for pid in pids]
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate()
    assert process.returncode != 0, log
    assert not any(map(_runs, programs))


def _kill_a_shard_while_it_reads(bitbucket: Bitbucket) -> list[int]:
    """Kill Meltano, tap and target of a shard when its first commits are asked for.

    Returns:
        Their process ids, as soon as it is done.
    """
    killed: list[int] = []

    def kill(request: Request) -> None:
        match = COMMITS.search(request.path)
        repository = match and bitbucket.projects.find(f"{match[1]}/{match[2]}")
        if killed or not repository or shard_of(repository.id, 2) != VICTIM:
            return
        found = [each for each in psutil.Process().children(recursive=True) if _is_of(each, VICTIM)]
        killed.extend(process.pid for process in found)
        for process in found:  # what Meltano has started may be ended as soon as Meltano is
            with suppress(psutil.NoSuchProcess):
                process.kill()

    bitbucket.on_request.append(kill)
    return killed


def _bash(project: MeltanoProject, commands: str) -> str:
    """Run commands in the project to their end, and return the log."""
    done = subprocess.run(
        ("bash", "-c", commands),
        cwd=project.directory,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _dagster(
    directory: Path, environment: dict[str, str], executor: singer.Json
) -> subprocess.Popen[str]:
    """Start to load two shards, each with one retry."""
    config = {
        "ops": {"shards": {"config": {"count": 2}}},
        "execution": {"config": executor},
        "resources": {
            "pipeline": {
                "config": {"tap": "tap-x", "loader": "target-y", "retries": 1, "retry_delay": 0}
            }
        },
    }
    (directory / "load.yml").write_text(json.dumps(config))
    job = ("job", "execute", "-m", "tap_bitbucket_dc.dagster", "-j", "load_shards")
    return subprocess.Popen(
        (sys.executable, "-m", "dagster", *job, "--config", "load.yml"),
        cwd=directory,
        env=environment | {"DAGSTER_HOME": _home(directory / "dagster")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _home(directory: Path) -> str:
    directory.mkdir()
    (directory / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return str(directory)


def _states(project: MeltanoProject) -> dict[str, singer.Json]:
    """Return what ``meltano state get`` prints, by state id."""
    files = (project.directory / ".meltano" / "state").rglob("state.json")
    return {file.parent.name: json.loads(file.read_text("utf-8"))["completed"] for file in files}


def _state_ids(count: int) -> set[str]:
    pipeline = "dev:tap-bitbucket-dc-to-target-postgres"
    return {f"{pipeline}:shard-{index}-of-{count}" for index in range(count)}


def _is_of(process: psutil.Process, shard: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.environ().get("TAP_BITBUCKET_DC_SHARD_INDEX") == str(shard)
    return False


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
