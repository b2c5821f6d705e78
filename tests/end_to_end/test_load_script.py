"""The script that keeps the state without Meltano: no load that fails costs it a commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import BUSY, Bitbucket
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import World, loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).with_name("load.sh")


class Place:
    """A directory with the configuration of both, in which the script runs."""

    def __init__(self, directory: Path, bitbucket: Bitbucket, database: Warehouse) -> None:
        self.directory, self.bitbucket, self.database = directory, bitbucket, database
        self.configure("config", base_url=bitbucket.url, token="token")
        self.connect(database.url)

    def configure(self, name: str, **settings: object) -> None:
        (self.directory / f"{name}.json").write_text(json.dumps(settings))

    def connect(self, url: str) -> None:
        self.configure("target", sqlalchemy_url=url, default_target_schema="bitbucket")

    def run(self) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            ["bash", SCRIPT],
            cwd=self.directory,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def state(self) -> str:
        return (self.directory / "state.json").read_text("utf-8")


@pytest.fixture
def place(tmp_path: Path, world: World) -> Iterator[Place]:
    assert world.repositories
    with warehouse() as database, Bitbucket(tmp_path / "git") as bitbucket:
        yield Place(tmp_path, bitbucket, database)


def test_one_script_loads_first_and_later_and_survives_a_load_that_fails(
    place: Place, world: World
) -> None:
    place.connect("postgresql+psycopg://postgres@/postgres?host=/nowhere")
    assert place.run().returncode != 0
    assert json.loads(place.state) == {}, "nothing has arrived yet"

    place.connect(place.database.url)
    done = place.run()
    assert done.returncode == 0, done.stderr
    assert loaded(place.database) == world.commits()

    before, state = world.commits(), place.state
    world.push_late_merge("PAY/ledger")
    place.connect("postgresql+psycopg://postgres@/postgres?host=/nowhere")
    assert place.run().returncode != 0
    assert place.state == state

    place.connect(place.database.url)
    place.bitbucket.requests.clear()
    assert place.run().returncode == 0
    assert loaded(place.database) == world.commits(before)
    read = {r.path for r in place.bitbucket.requests if r.path.endswith("/commits")}
    assert len(read) == 1


def test_what_arrived_counts_although_a_repository_failed(place: Place, world: World) -> None:
    place.configure("config", base_url=place.bitbucket.url, token="token", max_retries=0)
    place.bitbucket.faults.append(BUSY.on("/PAY/repos/api/commits", times=None))
    assert place.run().returncode == 1
    place.bitbucket.faults.clear()
    place.bitbucket.requests.clear()
    assert place.run().returncode == 0
    assert loaded(place.database) == world.commits()
    read = {r.path for r in place.bitbucket.requests if r.path.endswith("/commits")}
    assert [path for path in read if "/PAY/repos/api/" not in path] == []
