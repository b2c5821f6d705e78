"""The connection to the database. This module does not know what the tables contain."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRETS = ("password", "sslpassword")


@contextmanager
def connected(dsn: str, schema: str) -> Iterator[psycopg.Connection]:
    """Yield a connection that looks for tables only in ``schema`` and uses the time zone UTC.

    Args:
        dsn: A connection string of libpq or of SQLAlchemy (``postgresql+psycopg://…``). What it
            leaves out is taken from libpq's environment variables.
        schema: The schema of the tables.

    Raises:
        psycopg.Error: The connection failed, or the schema does not exist.
    """
    with psycopg.connect(_libpq(dsn), autocommit=True) as connection:
        found = connection.execute("select to_regnamespace(quote_ident(%s))", [schema])
        if found.fetchone() == (None,):
            raise psycopg.errors.InvalidSchemaName(f'there is no schema "{schema}"')
        connection.execute(sql.SQL("set search_path to {}").format(sql.Identifier(schema)))
        connection.execute("set time zone 'UTC'")
        yield connection


def described(error: psycopg.Error, dsn: str) -> str:
    """Return what went wrong, on one line and without a password of the connection string."""
    # libpq's messages quote parts of a string that it misunderstands, which may be the password.
    invalid = "ProgrammingError: the connection string is not valid"
    try:
        options = conninfo_to_dict(_libpq(dsn))
    except psycopg.Error:
        return invalid
    if "://" in dsn and "@" in f"{options.get('host')}{options.get('port')}{options.get('dbname')}":
        return f"{invalid}: write @ as %40, and / as %2F"
    text = error.diag.message_primary or str(error)
    # libpq adds a question, such as whether the server is running.
    facts = [line for line in text.splitlines() if not line.endswith("?")]
    text = " ".join(" ".join(facts or [text]).split()).rstrip(".?")
    for name in SECRETS:
        if secret := options.get(name):
            text = text.replace(str(secret), "***")
    return f"{type(error).__name__}: {text}"


def _libpq(dsn: str) -> str:
    return re.sub(r"(?i)^postgres(ql)?(\+\w+)?:", "postgresql:", dsn.strip())
