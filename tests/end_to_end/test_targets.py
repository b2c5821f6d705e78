"""What each loader of meltano.yml holds afterwards: every row, every column, after two runs."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tap_bitbucket_dc.emulator import Bitbucket, User
from tests import singer
from tests.end_to_end.project import MeltanoProject
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import MARY, World, made
from tests.git_repository import ADA, GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAP = "tap-bitbucket-dc"
KEYS = {
    "projects": ("id",),
    "repositories": ("id",),
    "default_branches": ("repository_id",),
    "commits": ("repository_id", "id"),
}
MESSAGES = (
    "a,b;c|d",
    "\"quoted\" 'and' `more`",
    "tab\tand back\\slash \\n",
    "carriage\r\nreturn\rs",
    "null",
    "\\N",
    "  spaces around  ",
    "123",
    "2024-01-01",
    "# no comment",
    '{"a": [1]}',
    "Größe ✓ \u2028 Проверено 🎉",
    "long " * 4000,
)
PERSON = "Grace 'Amazing' Hopper, \"CDR\" <grace@example.com>"
# A target-duckdb that loses nothing wants a DuckDB that is too old for Python 3.14.
LOADERS = ["target-postgres", "target-jsonl", "target-duckdb"][
    : 3 if sys.version_info < (3, 14) else 2
]
Rows = dict[tuple[Any, ...], singer.Json]


VARIANTS = {
    "validated": {"TARGET_POSTGRES_VALIDATE_RECORDS": "true"},
    "batch": {
        "TAP_BITBUCKET_DC_BATCH_CONFIG": json.dumps(
            {"encoding": {"format": "jsonl", "compression": "none"}, "storage": {"root": "files"}}
        )
    },
}


class Loaded(NamedTuple):
    """What three loaders hold after two runs, and what the tap sent in them."""

    database: Warehouse
    directory: Path
    first: singer.Output
    second: singer.Output


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Between the runs there are a late merge, a force push and a first push."""
    directory = tmp_path_factory.mktemp("targets")
    world = make(directory / "git")
    pairs = [name for loader in LOADERS for name in (TAP, loader)]
    with warehouse() as database, serve(directory / "git") as bitbucket:
        project = start(directory, bitbucket, database, TARGET_DUCKDB_BATCH_SIZE_ROWS="7")
        others = [variant(name, directory, bitbucket, database) for name in VARIANTS]
        first = sent(bitbucket)
        project.run(*pairs)
        for other in others:
            other.run(TAP, "target-postgres")
        world.push_late_merge("PAY/ledger")
        world.rewrite("PAY/api")
        world.push_first_commit("OPS/new")
        second = sent(bitbucket, first.state)
        project.run(*pairs)
        for other in others:
            other.run(TAP, "target-postgres")
        yield Loaded(database, project.directory, first, second)


def make(root: Path) -> World:
    """Make repositories with messages that a loader might not take as they are."""
    made(root)
    odd = GitRepository(root / "PAY" / "odd").facts(description='a "b", c')
    for message in MESSAGES:
        odd.commit(message, author=PERSON)
    return World(root)


@contextmanager
def serve(root: Path) -> Iterator[Bitbucket]:
    with Bitbucket(root) as bitbucket:
        bitbucket.users.append(User(7, "lovelace", email="ada@example.com", display_name="Ada L"))
        yield bitbucket


def start(
    directory: Path, bitbucket: Bitbucket, database: Warehouse, **settings: str
) -> MeltanoProject:
    (directory / "project" / "output").mkdir(parents=True)
    both = {
        "TAP_BITBUCKET_DC_BASE_URL": bitbucket.url,
        "TAP_BITBUCKET_DC_TOKEN": "token",
        "TARGET_POSTGRES_SQLALCHEMY_URL": database.url,
    }
    return MeltanoProject(directory / "project", both | settings)


def variant(
    name: str, directory: Path, bitbucket: Bitbucket, database: Warehouse
) -> MeltanoProject:
    """Return a project with other settings, which loads into a schema of its own."""
    settings = {"TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": name, **VARIANTS[name]}
    return start(directory / name, bitbucket, database, **settings)


def sent(bitbucket: Bitbucket, state: singer.Json | None = None) -> singer.Output:
    return singer.sync({"base_url": bitbucket.url, "token": "token"}, state)


def by_key(stream: str, rows: list[singer.Json]) -> Rows:
    """Return the rows of a table, where the later took the place of the earlier."""
    return {tuple(row[key] for key in KEYS[stream]): row for row in rows}


@pytest.mark.parametrize("stream", KEYS)
def test_postgresql_holds_every_value(loaded: Loaded, stream: str) -> None:
    held = postgres(loaded.database, stream)
    expected = by_key(stream, loaded.first.records(stream) + loaded.second.records(stream))
    assert by_key(stream, held) == expected
    assert len(held) == len(expected)


@pytest.mark.parametrize("stream", KEYS)
@pytest.mark.parametrize("name", VARIANTS)
def test_tables_are_equal_with_validation_and_with_files(
    loaded: Loaded, name: str, stream: str
) -> None:
    held = postgres(loaded.database, stream, name)
    shipped = postgres(loaded.database, stream)
    assert by_key(stream, held) == by_key(stream, shipped)
    assert len(held) == len(shipped)


def postgres(database: Warehouse, stream: str, schema: str = "bitbucket") -> list[singer.Json]:
    names, found = database.table(f"select * from {schema}.{stream}")  # noqa: S608 - constants
    return [
        {name: timestamp(value) for name, value in zip(names, row, strict=True) if name[0] != "_"}
        for row in found
    ]


def timestamp(value: object) -> object:
    """Return a time as records have it, anything else as it is."""
    return f"{value:%Y-%m-%dT%H:%M:%S}Z" if isinstance(value, datetime) else value


@pytest.mark.parametrize("stream", KEYS)
def test_json_lines_hold_every_record(loaded: Loaded, stream: str) -> None:
    text = (loaded.directory / "output" / f"{stream}.jsonl").read_text("utf-8")
    held = [json.loads(line) for line in text.split("\n") if line]
    assert held == loaded.first.records(stream) + loaded.second.records(stream)


@pytest.mark.skipif("target-duckdb" not in LOADERS, reason="duckdb before 1.3 has no wheel for it")
@pytest.mark.parametrize("stream", KEYS)
def test_duckdb_holds_every_value_but_null_for_empty_text(loaded: Loaded, stream: str) -> None:
    held = duckdb(loaded.directory, stream)
    sent = by_key(stream, loaded.first.records(stream) + loaded.second.records(stream))
    assert by_key(stream, held) == {
        key: {name: None if value == "" else value for name, value in row.items()}
        for key, row in sent.items()
    }
    assert len(held) == len(sent)


def duckdb(project: Path, stream: str) -> list[singer.Json]:
    """Return the rows as the DuckDB in the loader's own environment reads them."""
    program = """\
import duckdb, json, sys
connection = duckdb.connect("output/warehouse.duckdb", read_only=True)
table = connection.table("bitbucket." + sys.argv[1])
for row in table.fetchall():
    print(json.dumps(dict(zip(table.columns, row)), default=lambda time: f"{time:%Y-%m-%dT%XZ}"))
"""
    python = project / ".meltano/loaders/target-duckdb/venv/bin/python"
    lines = subprocess.run(
        (python, "-c", program, stream), cwd=project, stdout=subprocess.PIPE, check=True
    ).stdout.splitlines()
    return [
        {
            name: json.loads(value) if name in {"parent_ids", "issue_keys", "co_authors"} else value
            for name, value in json.loads(line).items()
        }
        for line in lines
    ]


def test_no_person_is_named_in_the_pseudonymous_tables(tmp_path: Path) -> None:
    world = make(tmp_path / "git")
    trailer = f"Round\n\nSigned-off-by: {MARY}\nCo-authored-by: {MARY.upper()}"
    world.repositories["PAY/ledger"].commit(trailer, author=MARY.upper(), committer=ADA)
    people = ("lovelace", "mary", "łukasz", "grace", "hopper", "@example.com")
    with warehouse() as database, serve(tmp_path / "git") as bitbucket:
        seed = {"TAP_BITBUCKET_DC_STREAM_MAP_CONFIG": json.dumps({"hash_seed": "secret"})}
        project = start(tmp_path, bitbucket, database, **seed)
        project.run(f"{TAP}-pseudonymous", "target-postgres")
        stored = {stream: postgres(database, stream) for stream in KEYS}
        text = json.dumps(stored, ensure_ascii=False).lower()
        assert [person for person in people if person in text] == []

        plain = by_key("commits", sent(bitbucket).records("commits"))
        pseudonymous = by_key("commits", stored["commits"])
        assert pseudonymous.keys() == plain.keys()
        pairs = {
            (plain[key]["author_email"].lower(), row["author_email"])
            for key, row in pseudonymous.items()
        }
        assert len(pairs) == len({email for email, _ in pairs}) == len(dict(pairs)) > 3
        assert {row["author_user_id"] for row in pseudonymous.values()} == {7, None}
        [co_authors] = [row["co_authors"] for row in pseudonymous.values() if row["co_authors"]]
        assert co_authors == [dict(pairs)["mary@example.com"]]
