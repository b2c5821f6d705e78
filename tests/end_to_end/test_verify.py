"""`verify` on fifty repositories in a real PostgreSQL, with differences that were planted."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import pytest

from tap_bitbucket_dc.emulator import BUSY, TOO_MANY, WITHOUT_MIDDLE_ROW, Bitbucket, Fault
from tap_bitbucket_dc.warehouse.__main__ import main
from tap_bitbucket_dc.warehouse.database import connected
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import World
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_bitbucket_dc.emulator import Request

PROGRAMS = Path(sys.executable).parent
TABLES = ("projects", "repositories", "default_branches", "commits")
ALL = "select repository_id, id, on_default_branch from {}.commits"
HEADS = "select repository_id, latest_commit from {}.default_branches"
DELETE = "delete from commits where repository_id = %s and id = %s"
OFF = "update commits set on_default_branch = false where repository_id = %s and id = %s"
LAST_LINE = re.compile(
    r"(?P<repositories>[\d,]+) repositories, (?P<commits>[\d,]+) commits, [\d.]+ seconds: .+"
)


class Verified(NamedTuple):
    """What the command printed, and what it asked."""

    exit_code: int
    out: str
    log: str
    asked: list[Request]

    @property
    def named(self) -> dict[str, str]:
        """What it says of each repository that differs."""
        lines = [line for line in self.out.splitlines()[:-1] if not line.startswith("  ")]
        return dict(line.split(": ", 1) for line in lines)

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]

    @property
    def code(self) -> str:
        return self.log.strip().splitlines()[-1].rpartition("| ")[2].partition(":")[0]

    def of_commits(self) -> list[Request]:
        return [request for request in self.asked if request.path.endswith("/commits")]


class Place(NamedTuple):
    """Fifty repositories, and the schema into which they were loaded."""

    world: World
    bitbucket: Bitbucket
    database: Warehouse
    schema: str

    def verify(self, *options: str, rows: str | None = None, **settings: Any) -> Verified:
        """Run the command; ``rows`` go to its standard input."""
        before = len(self.bitbucket.requests)
        config = {"base_url": self.bitbucket.url, "token": "token", **settings}
        given = {f"TAP_BITBUCKET_DC_{name.upper()}": _text(value) for name, value in config.items()}
        source = ("--rows", "-") if rows is not None else ("--schema", self.schema)
        arguments = ("--dsn", self.database.url, *source, *options)
        run = _in_this_process if rows is None else _in_a_process
        exit_code, out, log = run(arguments, given, rows)
        assert "Traceback" not in log
        return Verified(exit_code, out, log, self.bitbucket.requests[before:])

    def sql(self, statement: str, *values: object) -> None:
        """Change the tables."""
        with connected(self.database.url, self.schema) as connection:
            connection.execute(statement.encode(), values or None)

    def ids(self, name: str) -> list[str]:
        """Return the commits of a repository, newest first."""
        return self.world.repositories[name].rev_list()


COMMAND = (sys.executable, "-m", "tap_bitbucket_dc.warehouse", "verify")


def _in_a_process(
    arguments: Sequence[str], environment: dict[str, str], rows: str | None
) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error, as a user gets them."""
    done = subprocess.run(
        (*COMMAND, *arguments),
        env=environment,
        input=rows,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def _in_this_process(
    arguments: Sequence[str], environment: dict[str, str], _: str | None
) -> tuple[int, str, str]:
    """Return the same, quicker."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out, log = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment, clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(log),
    ):
        root.handlers.clear()
        try:
            exit_code = main(["verify", *arguments])
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
    return exit_code, out.getvalue(), log.getvalue()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The tap and the target ran once."""
    directory = tmp_path_factory.mktemp("verify")
    world = _world(directory / "git")
    with warehouse() as database, Bitbucket(directory / "git") as bitbucket:
        for name, settings in {
            "tap": {"base_url": bitbucket.url, "token": "token"},
            "target": {"sqlalchemy_url": database.url, "default_target_schema": "bitbucket"},
        }.items():
            (directory / f"{name}.json").write_text(json.dumps(settings))
        tap = (PROGRAMS / "tap-bitbucket-dc", "--config", directory / "tap.json")
        target = (PROGRAMS / "target-postgres", "--config", directory / "target.json")
        messages = subprocess.run(tap, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(target, input=messages, stdout=subprocess.PIPE, check=True)
        yield Place(world, bitbucket, database, "bitbucket")


@pytest.fixture
def place(loaded: Place) -> Place:
    """A copy of the tables to plant differences in."""
    loaded.database.execute("drop schema if exists planted cascade; create schema planted")
    for table in TABLES:
        loaded.database.execute(f"create table planted.{table} as table bitbucket.{table}")
    return loaded._replace(schema="planted")


@pytest.fixture
def own_place(loaded: Place, place: Place, tmp_path: Path) -> Iterator[Place]:
    """The same with a server and repositories of its own, to push to and to delete."""
    root = tmp_path / "git"
    subprocess.run(("cp", "-r", loaded.bitbucket.root, root), check=True)
    with Bitbucket(root) as bitbucket:
        yield place._replace(world=World(root), bitbucket=bitbucket)


def _world(root: Path) -> World:
    """Fifty repositories in five projects: long ones, merges, an empty one, one without branch."""
    for number in range(48):
        git = GitRepository(root / f"P{number % 5}" / f"r{number}").facts(id=number + 1)
        first, *_, tip = git.commits(120 if number == 7 else 4 + number % 5)
        if number % 3 == 0:
            git.merge(tip, git.commit("side", parents=[first], branch="side"))
    GitRepository(root / "P0" / "empty").facts(id=98)
    GitRepository(root / "P1" / "missing").facts(id=99).commit(branch="other")
    return World(root)


def test_equal_tables_cost_one_request_a_repository(loaded: Place) -> None:
    found = loaded.verify()
    assert (found.exit_code, found.named) == (0, {}), found
    counts = {name: len(git.rev_list()) for name, git in loaded.world.repositories.items()}
    told = LAST_LINE.fullmatch(found.last_line)
    assert told
    assert (told["repositories"], told["commits"]) == ("50", str(sum(counts.values())))
    asked = [request.path for request in found.of_commits()]
    assert len(asked) == len(set(asked)) == len(found.asked) - 6 == 48  # and six listings
    assert {request.query["limit"] for request in found.of_commits()} == {"1"}


def test_every_planted_difference_is_named_and_nothing_else(own_place: Place) -> None:
    place, git = own_place, own_place.world.repositories
    lost = place.ids("P1/r1")[1:3]
    turned = place.ids("P2/r2")[0]
    swapped = place.ids("P3/r3")[2]
    strange = "f" * 40
    place.sql("delete from commits where repository_id = 2 and id = any(%s)", lost)
    place.sql(OFF, 3, turned)
    place.sql(
        "insert into commits (repository_id, id, on_default_branch) values (5, %s, true)", strange
    )
    place.sql("update commits set id = %s where repository_id = 4 and id = %s", strange, swapped)
    place.sql("insert into commits (repository_id, id, on_default_branch) values (98, 'x', true)")
    place.sql("delete from commits where repository_id = 6")
    place.sql("delete from default_branches where repository_id = 6")
    place.sql("delete from repositories where id = 6")
    git["P1/r6"].delete()
    for name in ("P2/r7", "P3/r8", "P0/empty"):
        git[name].commit("Pushed since the load")
    git["P4/r9"].point("main", git["P4/r9"].rev_list()[2])  # its former head is still there
    found = place.verify()
    assert found.exit_code == 1
    assert found.named == {
        "P0/empty": "1 too many",
        "P0/r5": "not loaded",
        "P1/r1": "2 missing",
        "P1/r6": "gone from Bitbucket, but its rows are still there",
        "P2/r2": "1 missing",
        "P3/r3": "1 missing, 1 too many",
        "P4/r4": "1 too many",
    }
    assert f"  missing: {lost[0]}\n  missing: {lost[1]}\n" in found.out
    assert f"  missing: {turned} (its row has on_default_branch false)" in found.out
    assert f"P3/r3: 1 missing, 1 too many\n  missing: {swapped}\n  too many: {strange}" in found.out
    assert found.last_line.endswith(": 7 differ")
    paths = [request.path for request in found.of_commits()]
    assert all(
        paths.count(path) == 1 for path in paths if int(path.split("/r")[-1].split("/")[0]) > 6
    )


def test_json_has_every_id_for_machines(place: Place) -> None:
    place.sql("delete from commits where repository_id = 8")
    found = place.verify("--json")
    facts = json.loads(found.out)
    assert (found.exit_code, facts["equal"], facts["repositories"]) == (1, False, 50)
    assert facts["requests"] == len(found.asked)
    [difference] = facts["differences"]
    assert difference["repository"] == "P2/r7"
    assert difference["missing"] == place.ids("P2/r7")
    assert difference["too_many"] == difference["on_default_branch_false"] == []
    assert json.loads(place._replace(schema="bitbucket").verify("--json").out)["equal"] is True


def test_a_server_that_does_not_count_is_compared_by_ids(place: Place) -> None:
    place.bitbucket.counts = False
    try:
        place.sql(DELETE, 1, place.ids("P0/r0")[0])
        found = place.verify()
    finally:
        place.bitbucket.counts = True
    assert found.named == {"P0/r0": "1 missing"}


def test_with_a_start_date_only_later_commits_are_wanted(place: Place) -> None:
    place.sql("delete from commits where committer_timestamp < '2023-11-14 22:15:20'")
    assert place.verify().exit_code == 1
    found = place.verify(start_date="2023-11-14T22:15:20Z")
    assert (found.exit_code, found.named) == (0, {}), found
    place.sql("delete from commits where repository_id = 1 and is_merge")
    assert place.verify(start_date="2023-11-14T22:15:20Z").named == {"P0/r0": "1 missing"}


def test_a_rate_limit_and_a_busy_server_slow_it_down_and_change_nothing(place: Place) -> None:
    place.bitbucket.faults += [TOO_MANY.on("withCounts", times=2), BUSY.on("withCounts", times=2)]
    found = place.verify()
    assert (found.exit_code, found.named) == (0, {}), found
    assert {200, 429, 503} == {request.status for request in found.asked}


def test_a_list_of_commits_that_lacks_one_is_no_difference(place: Place) -> None:
    place.sql("update commits set on_default_branch = false where repository_id = 5 and is_merge")
    place.sql(DELETE, 2, place.ids("P1/r1")[2])
    place.bitbucket.faults += [
        WITHOUT_MIDDLE_ROW.on(r"r1/commits.*limit=1000"),
        Fault("r2/commits", 500, times=None),
    ]
    try:
        found = place.verify(max_retries=0)
    finally:
        place.bitbucket.faults.clear()
    assert found.exit_code == 1
    assert found.named == {"P1/r1": "1 missing"}
    assert found.code == "unavailable"
    assert "P2/r2" in found.log
    assert found.last_line.endswith(": 1 differs, 1 failed")


def test_filters_and_shards_choose_what_is_compared(place: Place) -> None:
    place.sql("delete from commits where repository_id in (1, 2, 3)")
    assert place.verify(projects=["P1"], exclude_repositories=["P1/r6"]).named == {
        "P1/r1": f"{len(place.ids('P1/r1'))} missing"
    }
    assert place.verify(repositories=["P3/*"]).exit_code == 0
    shards = [place.verify(shard_count=2, shard_index=index).named for index in (0, 1)]
    assert sorted([*shards[0], *shards[1]]) == ["P0/r0", "P1/r1", "P2/r2"]


def test_what_is_gone_may_be_allowed_and_what_is_filtered_out_is_not_gone(own_place: Place) -> None:
    for name in ("P1/r6", "P2/r2"):
        own_place.world.repositories[name].delete()
    assert own_place.verify(exclude_projects=["P2"]).named.keys() == {"P1/r6"}
    found = own_place.verify("--allow-gone")
    assert (found.exit_code, set(found.named)) == (0, {"P1/r6", "P2/r2"})


def test_a_moved_repository_is_known_by_its_id(own_place: Place) -> None:
    path = Path(own_place.bitbucket.root)
    own_place.world.repositories["P1/r6"].rename(path / "P2" / "renamed")
    found = own_place.verify()
    assert (found.exit_code, found.named) == (0, {}), found


def test_a_history_that_was_rewritten_and_collected_is_named(own_place: Place) -> None:
    git = own_place.world.repositories["P1/r1"]
    git.commit("Another history", parents=[])
    git.gc()
    found = own_place.verify()
    assert found.exit_code == 1
    assert list(found.named) == ["P1/r1"]
    assert "history has been rewritten since" in found.named["P1/r1"]


def test_a_repository_without_access_is_no_difference(place: Place) -> None:
    place.sql("update default_branches set status = 'inaccessible' where repository_id = 3")
    place.bitbucket.denied["P1/r1"] = 403
    try:
        found = place.verify()
    finally:
        place.bitbucket.denied.clear()
    assert (found.exit_code, found.named) == (0, {}), found
    assert found.last_line.endswith(": all equal, 2 inaccessible")
    assert "P1/r1" in found.log
    assert "P2/r2" in found.log


def test_an_empty_warehouse_lacks_every_repository(place: Place) -> None:
    place.sql("truncate projects, repositories, default_branches, commits")
    found = place.verify()
    assert found.exit_code == 1
    assert len(found.named) == 50
    assert set(found.named.values()) == {"not loaded"}


def test_the_table_of_repositories_may_be_missing(place: Place) -> None:
    place.sql("drop table repositories")
    place.sql(OFF, 3, place.ids("P2/r2")[0])
    assert place.verify().named == {"P2/r2": "1 missing"}


def test_what_cannot_be_used_ends_with_a_code_and_without_a_secret(place: Place) -> None:
    secrets = ("sesame", "not-a-token", "pass=word")
    place.sql("drop table default_branches")
    wrong = place.database.url.replace("postgres@", "postgres:sesame@")
    for found, code in (
        (place.verify(), "invalid_config"),
        (place.verify("--schema", "nowhere"), "invalid_config"),
        (place.verify("--dsn", "postgresql://u:sesame@127.0.0.1:1/x"), "unreachable"),
        (place.verify("--dsn", "postgresql//u:sesame@127.0.0.1:1/x"), "invalid_config"),
        (place.verify("--dsn", f"{wrong}&no=sesame"), "invalid_config"),
        (place.verify("--dsn", "postgresql://u:open@sesame@/x"), "unreachable"),
        (place.verify("--dsn", "postgresql://u:open/sesame@127.0.0.1/x"), "unreachable"),
        (place.verify("--schema", "bitbucket", token="not-a-token"), "invalid_credentials"),
        (place.verify("--schema", "bitbucket", projects=["NONE"]), "no_resources"),
        (place.verify("--schema", "bitbucket", concurrency=99), "invalid_config"),
        (place.verify("--schema", "bitbucket", concurrency="x"), "invalid_config"),
        (place.verify("--config", "/nowhere.json"), "invalid_config"),
        (place.verify(rows="repository_id,id\n1,a\n"), "invalid_config"),
        (place.verify(rows='{"repository_id": 1}\n'), "invalid_config"),
        (place.verify("--default-branches", "/nowhere", rows=""), "invalid_config"),
    ):
        assert (found.exit_code, found.code) == (1, code), found
        assert not [secret for secret in secrets if secret in found.log + found.out]


def test_a_configuration_file_is_read_as_the_tap_reads_it(place: Place, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"projects": ["P3"]}))
    found = place.verify("--config", str(tmp_path / "c.json"), "--config", "ENV")
    assert LAST_LINE.fullmatch(found.last_line)["repositories"] == "9"  # type: ignore[index]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_rows_from_standard_input_need_no_database(
    own_place: Place, tmp_path: Path, form: str
) -> None:
    place = own_place
    write = {"csv": _csv, "json": _json_lines}[form]
    _, rows = place.database.table(ALL.format("bitbucket"))
    assert place.verify("--dsn", "host=/nowhere", rows=write(ALL, rows)).exit_code == 0
    rows.remove((2, place.ids("P1/r1")[1], True))
    rows.append((3, "e" * 40, True))
    rows.append((3, "d" * 40, False))
    rows.append((4, place.ids("P3/r3")[0], False))  # the last row of a commit counts
    found = place.verify(rows=write(ALL, rows))
    assert found.named == {"P1/r1": "1 missing", "P2/r2": "1 too many", "P3/r3": "1 missing"}
    place.world.repositories["P1/r6"].commit("Pushed since the load")
    assert "P1/r6" in place.verify(rows=write(ALL, rows)).named
    heads = tmp_path / "heads"
    heads.write_text(write(HEADS, place.database.table(HEADS.format("bitbucket"))[1]))
    again = place.verify("--default-branches", str(heads), rows=write(ALL, rows))
    assert again.named == found.named


def test_equal_numbers_of_rows_are_found_different_if_every_id_is_read(place: Place) -> None:
    _, rows = place.database.table(ALL.format("bitbucket"))
    rows[rows.index((2, place.ids("P1/r1")[1], True))] = (2, "e" * 40, True)
    assert place.verify(rows=_csv(ALL, rows)).exit_code == 0
    assert place.verify("--every-id", rows=_csv(ALL, rows)).named == {
        "P1/r1": "1 missing, 1 too many"
    }


def test_progress_goes_to_standard_error(loaded: Place) -> None:
    with patch("tap_bitbucket_dc.warehouse.verify.compare.INTERVAL", 0):
        found = loaded.verify("--json")
    assert json.loads(found.out)["equal"] is True
    assert re.search(r"\b49 of 50 repositories, \d+ requests, 0 differ", found.log)


def test_an_interrupted_run_ends_at_once_and_says_so(place: Place) -> None:
    place.bitbucket.faults.append(Fault("withCounts", kind="hang", times=None))
    before = len(place.bitbucket.requests)
    config = {"TAP_BITBUCKET_DC_BASE_URL": place.bitbucket.url, "TAP_BITBUCKET_DC_TOKEN": "token"}
    try:
        with subprocess.Popen(
            (*COMMAND, "--dsn", place.database.url), env=config, stderr=subprocess.PIPE, text=True
        ) as process:
            while not [r for r in place.bitbucket.requests[before:] if "withCounts" in r.query]:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            log = process.communicate(timeout=30)[1]
    finally:
        place.bitbucket.faults.clear()
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in log
    assert log.strip().endswith("Stopped by SIGINT")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _columns(sql: str) -> list[str]:
    return [name.strip() for name in sql.removeprefix("select ").partition(" from")[0].split(",")]


def _csv(sql: str, rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([_columns(sql), *rows])
    return text.getvalue()


def _json_lines(sql: str, rows: list[tuple[Any, ...]]) -> str:
    names = _columns(sql)
    return "".join(f"{json.dumps(dict(zip(names, row, strict=True)))}\n" for row in rows)
