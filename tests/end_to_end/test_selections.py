"""Views, and comments, where only some streams and columns were loaded."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import Bitbucket
from tap_bitbucket_dc.schemas import COMMIT
from tap_bitbucket_dc.warehouse.__main__ import main
from tap_bitbucket_dc.warehouse.comments import TABLES
from tap_bitbucket_dc.warehouse.report import read
from tests.end_to_end.conftest import PROGRAMS
from tests.end_to_end.test_views import COLUMNS, select
from tests.end_to_end.warehouse import SELECTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Loaded
    from tests.end_to_end.warehouse import Warehouse

PEOPLE = re.compile(r"(author|committer)_(name|email|username|user_id|type)|co_authors")


@pytest.fixture
def database(loaded: Loaded) -> Warehouse:
    return loaded.database


@pytest.mark.parametrize("selection", SELECTIONS)
def test_any_selection_has_all_views_with_the_same_columns(
    database: Warehouse, selection: str
) -> None:
    database.copy(selection, SELECTIONS[selection])
    main(["views", "--dsn", database.url, "--schema", selection])
    for view, columns in COLUMNS.items():
        names, _ = database.table(f"select * from {selection}.bitbucket_server_{view}")  # noqa: S608
        assert names == columns.split()
    counts = "select (select count(*) from bitbucket_server_{}), (select count(*) from {})"
    known = selection not in {"keys", "no_flags"}
    expected = {
        "projects": "projects",
        "repositories": "repositories",
        "commits": "commits where on_default_branch" if known else "commits",
    }
    for view, source in expected.items():
        exists = database.query("select to_regclass(%s)", f"{selection}.{view}") != [(None,)]
        sql = counts.format(view, source if exists else "(values (1)) as nothing where false")
        [(shown, loaded)] = select(database, sql, schema=selection)
        assert shown == loaded


def test_views_say_what_they_leave_out_and_why(
    database: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    database.copy("everything")
    main(["views", "--dsn", database.url, "--schema", "everything"])
    output = capsys.readouterr()
    assert output.out.startswith('Created in schema "everything": bitbucket_server_user_emails, ')
    assert output.err == ""
    database.copy("quiet", "drop table projects; alter table commits drop message, drop branch")
    main(["views", "--dsn", database.url, "--schema", "quiet"])
    assert capsys.readouterr().err.splitlines() == [
        "Note: bitbucket_server_projects is empty, because there is no projects table.",
        (
            "Note: bitbucket_server_commits.branch is null, because the commits table has no "
            "column branch."
        ),
        (
            "Note: bitbucket_server_commits.message is null, because the commits table has no "
            "column message."
        ),
    ]


@pytest.mark.parametrize("selection", ["no_people", "only_types"])
def test_without_authors_commits_have_none_and_nobody_is_a_bot(
    database: Warehouse, selection: str
) -> None:
    database.copy("nobody", SELECTIONS[selection])
    main(["views", "--dsn", database.url, "--schema", "nobody"])
    sql = "select count(*), count(author_id) from bitbucket_server_commits"
    [(commits, authors)] = select(database, sql, schema="nobody")
    assert commits > authors == 0
    assert select(database, "select * from bitbucket_server_bots", schema="nobody") == []
    users = select(database, "select * from bitbucket_server_users", schema="nobody")
    assert bool(users) == (selection == "only_types")  # those are committers


def test_views_over_fewer_columns_become_whole_with_the_columns(database: Warehouse) -> None:
    database.copy("grown", SELECTIONS["no_emails"])
    main(["views", "--dsn", database.url, "--schema", "grown"])
    database.execute("""
        set search_path to grown;
        alter table commits add author_email text, add committer_email text;
        update commits set (author_email, committer_email) = (
            select author_email, committer_email from bitbucket.commits as c
             where (c.repository_id, c.id) = (commits.repository_id, commits.id))""")
    main(["views", "--dsn", database.url, "--schema", "grown"])
    for view in COLUMNS:
        sql = f"select * from bitbucket_server_{view} order by id"  # noqa: S608
        assert select(database, sql, schema="grown") == select(database, sql)


def test_printed_sql_with_a_dsn_is_that_of_the_tables_that_exist(
    database: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    database.copy("printed", SELECTIONS["no_projects"])
    main(["views", "--print", "--dsn", database.url, "--schema", "printed"])
    output = capsys.readouterr()
    assert output.out.startswith("begin;")
    assert "Note: bitbucket_server_projects is empty" in output.err
    database.execute(output.out)
    assert select(database, "select * from bitbucket_server_projects", schema="printed") == []


def test_only_commits_without_people_loaded_so_have_views_and_a_report(
    loaded: Loaded, tmp_path: Path
) -> None:
    database = loaded.database
    _load_commits_without_people(loaded, tmp_path, "selected")
    main(["views", "--dsn", database.url, "--schema", "selected"])
    tables = "select count(*) from pg_tables where schemaname = 'selected'"
    assert database.query(tables) == [(1,)]
    columns, _ = database.table("select * from selected.commits limit 0")
    assert not list(filter(PEOPLE.fullmatch, columns))
    assert "committer_timestamp" in columns
    rows = select(
        database, "select sha, author_id from bitbucket_server_commits", schema="selected"
    )
    names = loaded.world.repositories.keys() - {"OPS/secret"}
    shas = [sha for name in names for sha in loaded.world.repositories[name].rev_list()]
    assert sorted(rows) == sorted((sha, None) for sha in shas)
    facts = read(database.url, "selected")
    assert facts["totals"]["commits"] == len(shas)
    assert {row["name"] for row in facts["repositories"]} == {
        name for name in names if loaded.world.repositories[name].branch_tip()
    }


def test_comments_are_the_descriptions_of_the_streams(
    database: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    database.copy("explained", SELECTIONS["no_projects"] + "; alter table commits drop message")
    main(["comments", "--dsn", database.url, "--schema", "explained"])
    assert capsys.readouterr().out.splitlines() == [
        "Described repositories and 19 of its columns.",
        "Described default_branches and 8 of its columns.",
        "Described commits and 24 of its columns.",
    ]
    sql = """select attname, col_description(attrelid, attnum) from pg_attribute
              where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped"""
    comments = dict(select(database, sql, "commits", schema="explained"))
    properties = COMMIT["properties"].items()
    assert {name: text for name, text in comments.items() if text} == {
        name: column["description"] for name, column in properties if name != "message"
    }
    [(table,)] = select(database, "select obj_description('commits'::regclass)", schema="explained")
    assert table == TABLES["commits"]


def test_who_does_not_own_the_tables_cannot_comment_on_them(database: Warehouse) -> None:
    database.copy("owned")
    database.execute("create role stranger login; grant usage on schema owned to stranger")
    database.execute("grant select on all tables in schema owned to stranger")
    dsn = database.url.replace("postgres@", "stranger@")
    with pytest.raises(SystemExit, match="must be owner of table projects"):
        main(["comments", "--dsn", dsn, "--schema", "owned"])


def _load_commits_without_people(loaded: Loaded, directory: Path, schema: str) -> None:
    """Load with a catalog that selects only commits, without people, and flattened."""
    root = loaded.world.repositories["PAY/api"].path.parents[1]
    url = loaded.database.url
    target = {"sqlalchemy_url": url, "default_target_schema": schema, "load_method": "upsert"}
    tap = {"token": "token", "flattening_enabled": True, "flattening_max_depth": 1}
    with Bitbucket(root) as bitbucket:
        bitbucket.denied["OPS/secret"] = 403
        files = {"tap": {**tap, "base_url": bitbucket.url}, "target": target}
        for name, settings in files.items():
            (directory / f"{name}.json").write_text(json.dumps(settings))
        command = (PROGRAMS / "tap-bitbucket-dc", "--config", directory / "tap.json")
        discover = subprocess.run((*command, "--discover"), stdout=subprocess.PIPE, check=True)
        catalog = json.loads(discover.stdout)
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                people = PEOPLE.fullmatch("".join(entry["breadcrumb"][1:]))
                if stream["tap_stream_id"] != "commits" or people:
                    entry["metadata"]["selected"] = False
        (directory / "catalog.json").write_text(json.dumps(catalog))
        messages = subprocess.run(
            (*command, "--catalog", directory / "catalog.json"), stdout=subprocess.PIPE, check=True
        ).stdout
    target_command = (PROGRAMS / "target-postgres", "--config", directory / "target.json")
    subprocess.run(target_command, input=messages, stdout=subprocess.DEVNULL, check=True)
