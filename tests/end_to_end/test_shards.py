"""Several shards at once on Dagster into one PostgreSQL, judged by what is in it afterwards."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tap_bitbucket_dc.emulator import Bitbucket
from tap_bitbucket_dc.extract.filters import shard_of
from tap_bitbucket_dc.state.__main__ import merge
from tests import singer
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
EXAMPLE = Path(__file__).with_name("dagster_shards.py")
SHARDS, VICTIM = 4, 2
COMMITS = re.compile(r"/projects/([^/]+)/repos/([^/]+)/commits$")
SHARD = """\
select crc32(id::text::bytea) %% %s as shard, count(*) from bitbucket.repositories
 group by 1 order by 1"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Forty projects of five repositories of ten commits."""
    for project in range(40):
        for number in range(5):
            GitRepository(tmp_path / "git" / f"P{project}" / f"r{number}").commits(10)
    return World(tmp_path / "git")


@pytest.fixture
def bitbucket(tmp_path: Path, world: World) -> Iterator[Bitbucket]:
    assert world.repositories
    with Bitbucket(tmp_path / "git") as bitbucket:
        yield bitbucket


@pytest.fixture
def database() -> Iterator[Warehouse]:
    with warehouse() as database:
        yield database


def test_shards_load_what_git_has_though_one_is_killed(
    tmp_path: Path, world: World, bitbucket: Bitbucket, database: Warehouse
) -> None:
    settings = {
        "TAP_BITBUCKET_DC_BASE_URL": bitbucket.url,
        "TAP_BITBUCKET_DC_TOKEN": "token",
        "TARGET_POSTGRES_SQLALCHEMY_URL": database.url,
        "MELTANO_STATE_BACKEND_URI": (tmp_path / "states").as_uri(),
    }
    project = MeltanoProject(tmp_path / "project", settings)
    killed = _kill_a_shard_while_it_reads(bitbucket)
    log = _dagster(project, tmp_path)
    assert len(killed) >= 3  # Meltano, the tap and the target
    assert f"load[{VICTIM}_of_{SHARDS}] - STEP_RESTARTED" in log
    assert loaded(database) == world.commits()
    assert [shard for shard, _ in database.query(SHARD, SHARDS)] == [0, 1, 2, 3]

    states = {str(file): _state(file) for file in (tmp_path / "states").rglob("state.json")}
    assert len(states) == SHARDS
    config = {"base_url": bitbucket.url, "token": "token"}
    idle = singer.sync(config, merge(states)["singer_state"])
    assert len(idle.records("repositories")) == len(world.repositories)
    assert idle.records("commits") == []


def _kill_a_shard_while_it_reads(bitbucket: Bitbucket) -> list[int]:
    """Kill Meltano, tap and target of a shard when its first commits are asked for.

    Returns:
        Their process ids, as soon as it is done.
    """
    killed: list[int] = []

    def kill(request: Request) -> None:
        match = COMMITS.search(request.path)
        repository = match and bitbucket.projects.find(f"{match[1]}/{match[2]}")
        if killed or not repository or shard_of(repository.id, SHARDS) != VICTIM:
            return
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.environ().get("TAP_BITBUCKET_DC_SHARD_INDEX") == str(VICTIM):
                    process.kill()
                    killed.append(process.pid)

    bitbucket.on_request.append(kill)
    return killed


def _dagster(project: MeltanoProject, directory: Path) -> str:
    """Run the example to its end and return Dagster's log."""
    home = directory / "dagster"
    home.mkdir()
    done = subprocess.run(
        (sys.executable, "-m", "dagster", "job", "execute", "-f", EXAMPLE, "-j", "bitbucket"),
        cwd=project.directory,
        env=project.environment | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def _state(file: Path) -> singer.Json:
    """Return what ``meltano state get`` prints."""
    state: singer.Json = json.loads(file.read_text("utf-8"))["completed"]
    return state
