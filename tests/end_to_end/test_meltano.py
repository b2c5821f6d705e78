"""``meltano run`` into a real PostgreSQL, judged by what is in it afterwards."""

from __future__ import annotations

import json
import random
import re
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tap_bitbucket_dc.emulator import Bitbucket, Fault
from tests.end_to_end.project import MeltanoProject
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import World, loaded, made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from tests.end_to_end.world import Commits

POSTGRES = ("tap-bitbucket-dc", "target-postgres")
RECEIVED = """\
select project_key || '/' || repository_slug, id, on_default_branch
  from bitbucket.commits where _sdc_received_at >= %s"""
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
def world(tmp_path: Path) -> World:
    return made(tmp_path / "git")


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


def test_five_kills_and_pushes_between_them_lose_no_commit(
    world: World, bitbucket: Bitbucket, database: Warehouse, project: MeltanoProject
) -> None:
    # Each page is large enough to be written at once, and the last ones never come: no run can
    # be over before it is killed.
    world.repositories["LAB/notes"].commits(900, message="x" * 6000)
    bitbucket.page_caps["commits"] = 50
    bitbucket.faults.append(Fault(r"notes/commits.*start=8\d\d", kind="hang", times=None))
    draw = random.Random(20)  # noqa: S311 - where to kill is no secret
    for _ in range(5):
        _kill_once_received(draw.randint(1, 400), database, project)
        world.push_late_merge(draw.choice(world.with_history()))
    bitbucket.faults.clear()
    # The killed runs left their mark in Meltano's database, hence --force.
    project.run("--force", *POSTGRES)
    assert loaded(database) == world.commits()


def _kill_once_received(rows: int, database: Warehouse, project: MeltanoProject) -> None:
    """Run Meltano, and kill it and all it started once the table received so many rows."""
    started = _now(database)
    with project.start("run", "--force", *POSTGRES) as meltano:
        while _rows(database, started) < rows:
            assert meltano.poll() is None, project.log
            time.sleep(0.1)


def _rows(database: Warehouse, since: datetime) -> int:
    query = "select count(*) from bitbucket.commits where _sdc_received_at >= %s"
    try:
        rows: int = database.query(query, since)[0][0]
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
