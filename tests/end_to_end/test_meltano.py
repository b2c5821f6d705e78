"""``meltano run`` into a real PostgreSQL, judged by what is in it afterwards."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tap_bitbucket_dc.emulator import Bitbucket
from tests.end_to_end.project import MeltanoProject
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import World, loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Request
    from tests import singer
    from tests.end_to_end.world import Commits

POSTGRES = ("tap-bitbucket-dc", "target-postgres")
RECEIVED = """\
select project_key || '/' || repository_slug, id, on_default_branch
  from bitbucket.commits where _sdc_received_at >= %s"""
BATCH = {
    "encoding": {"format": "jsonl", "compression": "gzip"},
    "storage": {"root": "files"},
    "batch_size": 100,
}
RESOURCE = re.compile(r"/projects/([^/]+)/repos/([^/]+)/(.+)")


@pytest.fixture(scope="module")
def server() -> Iterator[Warehouse]:
    with warehouse() as database:
        yield database


@pytest.fixture
def database(server: Warehouse) -> Warehouse:
    server.execute("drop schema if exists bitbucket cascade")
    return server


@pytest.fixture
def bitbucket(tmp_path: Path, world: World) -> Iterator[Bitbucket]:
    assert world.repositories
    with Bitbucket(tmp_path / "git") as bitbucket:
        yield bitbucket


@pytest.fixture
def project(tmp_path: Path, bitbucket: Bitbucket, database: Warehouse) -> MeltanoProject:
    settings = {
        "TAP_BITBUCKET_DC_BASE_URL": bitbucket.url,
        "TAP_BITBUCKET_DC_TOKEN": "token",
        "TAP_BITBUCKET_DC_REQUESTS_PER_SECOND": "1000",
        "TARGET_POSTGRES_SQLALCHEMY_URL": database.url,
        "TARGET_POSTGRES_BATCH_SIZE_ROWS": "100",
    }
    return MeltanoProject(tmp_path / "project", settings)


def test_each_run_loads_what_git_has_and_asks_only_for_what_is_new(
    world: World, bitbucket: Bitbucket, database: Warehouse, project: MeltanoProject
) -> None:
    project.run(*POSTGRES)
    assert loaded(database) == world.commits()

    before, second_run = world.commits(), _now(database)
    world.push_late_merge("PAY/ledger")
    world.rewrite("PAY/api")
    world.push_first_commit("OPS/new")
    bitbucket.requests.clear()
    project.run(*POSTGRES)
    assert loaded(database) == world.commits(before)
    assert _received(database, since=second_run) == _new(world.commits(before), before)
    assert set(_read(bitbucket)) == {"PAY/ledger", "PAY/api", "OPS/new"}

    third_run = _now(database)
    bitbucket.requests.clear()
    project.run(*POSTGRES)
    assert _received(database, since=third_run) == {}
    assert _read(bitbucket) == []
    assert sorted(name for name, _ in _asked(bitbucket)) == sorted(world.repositories)


@pytest.fixture
def with_files(project: MeltanoProject) -> MeltanoProject:
    """The project with BATCH messages in the place of records."""
    project.environment["TAP_BITBUCKET_DC_BATCH_CONFIG"] = json.dumps(BATCH)
    return project


def test_each_run_loads_what_git_has_from_files_and_removes_those_of_the_last(
    world: World, database: Warehouse, with_files: MeltanoProject
) -> None:
    log = with_files.run(*POSTGRES)
    assert loaded(database) == world.commits()
    assert "record_count" in log, "Meltano reads the metrics"
    files = set((with_files.directory / "files").iterdir())
    assert {path.name.split("--")[1].partition("-")[0] for path in files} == {
        "projects",
        "repositories",
        "default_branches",
        "commits",
    }
    before = world.commits()
    world.push_late_merge("PAY/ledger")
    world.rewrite("PAY/api")
    world.push_first_commit("OPS/new")
    with_files.run(*POSTGRES)
    assert loaded(database) == world.commits(before)
    assert files.isdisjoint((with_files.directory / "files").iterdir())


def test_rows_are_what_bitbucket_shows(database: Warehouse, project: MeltanoProject) -> None:
    project.run(*POSTGRES)
    assert database.query(
        """select p.key, r.slug, r.archived, r.origin_slug, b.status, b.id
             from bitbucket.projects p
             join bitbucket.repositories r on r.project_id = p.id
             join bitbucket.default_branches b on b.repository_id = r.id order by 1, 2"""
    ) == [
        ("LAB", "ledger", False, "ledger", "ok", "refs/heads/main"),
        ("LAB", "notes", False, None, "ok", "refs/heads/main"),
        ("OPS", "new", False, None, "empty", None),
        ("OPS", "runbooks", True, None, "ok", "refs/heads/main"),
        ("PAY", "api", False, None, "ok", "refs/heads/release/1.x"),
        ("PAY", "ledger", False, None, "ok", "refs/heads/main"),
    ]
    assert database.query(
        """select message, author_name, branch, cardinality(parent_ids), is_merge
             from bitbucket.commits where author_name like 'Ł%%' and repository_slug = 'api'"""
    ) == [("Größe prüfen ✓ Проверено", "Łukasz Żółć", "release/1.x", 1, False)]
    assert database.query(
        """select issue_keys, count(*) from bitbucket.commits
            where project_key = 'PAY' and message like 'PAY-7%%' group by 1"""
    ) == [(["PAY-7"], 2)]


def test_jsonl_files_hold_every_commit(
    world: World, project: MeltanoProject, tmp_path: Path
) -> None:
    (tmp_path / "project" / "output").mkdir()
    project.run("tap-bitbucket-dc", "target-jsonl")
    lines = (tmp_path / "project" / "output" / "commits.jsonl").read_text("utf-8").splitlines()
    commits: dict[str, list[str]] = {}
    for commit in map(json.loads, lines):
        name = f"{commit['project_key']}/{commit['repository_slug']}"
        commits.setdefault(name, []).append(commit["id"])
    assert {name: sorted(ids) for name, ids in commits.items()} == {
        name: sorted(ids) for name, ids in world.commits().items() if ids
    }


class Hold:
    """Lets so many pages of commits through, and no more until it is released."""

    def __init__(self, pages: int) -> None:
        self._left = pages
        self._counting = threading.Lock()
        self._released = threading.Event()
        self.reached = threading.Event()

    def __call__(self, request: Request) -> None:
        if request.path.endswith("/commits"):
            with self._counting:
                self._left -= 1
                held = self._left < 0
            if held:
                self.reached.set()
                self._released.wait()

    def release(self) -> None:
        self._released.set()


@pytest.mark.parametrize("batch_config", [{}, BATCH], ids=["records", "files"])
def test_five_kills_and_pushes_between_them_lose_no_commit(
    world: World,
    bitbucket: Bitbucket,
    database: Warehouse,
    project: MeltanoProject,
    batch_config: singer.Json,
) -> None:
    project.environment["TAP_BITBUCKET_DC_BATCH_CONFIG"] = json.dumps(batch_config)
    world.repositories["LAB/notes"].commits(1500)
    bitbucket.page_caps["commits"] = 50
    draw = random.Random(20)  # noqa: S311 - where to kill is no secret
    _kill_at_page(25, bitbucket, project, when=lambda: _rows(database) > 0)
    assert 0 < _rows(database) < 1500
    for _ in range(4):
        world.push_late_merge(draw.choice(world.with_history()))
        _kill_at_page(draw.randint(1, 30), bitbucket, project)
    # The killed runs left their mark in Meltano's database, hence --force.
    project.run("--force", *POSTGRES)
    assert loaded(database) == world.commits()


def _kill_at_page(
    pages: int,
    bitbucket: Bitbucket,
    project: MeltanoProject,
    when: Callable[[], bool] = lambda: True,
) -> None:
    """Run Meltano, and kill it and all it started after so many pages of commits."""
    hold = Hold(pages)
    bitbucket.on_request.append(hold)
    try:
        with project.start("run", "--force", *POSTGRES) as meltano:
            while not (hold.reached.is_set() and when()):
                assert meltano.poll() is None, project.log
                time.sleep(0.05)
    finally:
        bitbucket.on_request.remove(hold)
        hold.release()


def _rows(database: Warehouse) -> int:
    try:
        rows: int = database.query("select count(*) from bitbucket.commits")[0][0]
    except psycopg.errors.UndefinedTable:  # before the first batch
        return 0
    return rows


def _now(database: Warehouse) -> datetime:
    now: datetime = database.query("select clock_timestamp()::timestamp")[0][0]
    return now


def _received(database: Warehouse, since: datetime) -> Commits:
    commits: Commits = {}
    for name, commit, on_default_branch in database.query(RECEIVED, since):
        commits.setdefault(name, {})[commit] = on_default_branch
    return commits


def _new(now: Commits, before: Commits) -> Commits:
    """Return the commits that were not there before, or in another place."""
    new = {name: dict(commits.items() - before[name].items()) for name, commits in now.items()}
    return {name: commits for name, commits in new.items() if commits}


def _read(bitbucket: Bitbucket) -> list[str]:
    """Return the repositories whose commits were asked for, once for each request."""
    return [name for name, resource in _asked(bitbucket) if resource == "commits"]


def _asked(bitbucket: Bitbucket) -> list[tuple[str, str]]:
    """Return ``("PAY/ledger", "commits")`` for each request for something in a repository."""
    matches = [RESOURCE.search(request.path) for request in bitbucket.requests]
    return [(f"{match[1]}/{match[2]}", match[3]) for match in matches if match]
