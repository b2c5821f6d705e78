"""Comments on the loaded tables and their columns, taken from the schemas of the streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from tap_bitbucket_dc import schemas
from tap_bitbucket_dc.warehouse.tables import Tables

if TYPE_CHECKING:
    import psycopg

SCHEMAS = {
    "projects": schemas.PROJECT,
    "repositories": schemas.REPOSITORY,
    "default_branches": schemas.DEFAULT_BRANCH,
    "commits": schemas.COMMIT,
}
TABLES = {
    "projects": "Projects of Bitbucket Data Center. One row per project.",
    "repositories": "Repositories of the projects. One row per repository.",
    "default_branches": "One row per repository, even if it has no branch.",
    "commits": "Commits of the default branches. One row per repository and commit.",
}


def write_comments(connection: psycopg.Connection) -> dict[str, int]:
    """Comment on the tables that exist, and return the number of columns described in each.

    Raises:
        psycopg.Error: None of the tables exists, or they belong to another user.
    """
    tables = Tables.existing(connection)
    columns = {}
    with connection.transaction():
        for table, text in TABLES.items():
            if not tables.has(table):
                continue
            _comment(connection, sql.SQL("table {}").format(sql.Identifier(table)), text)
            described = {
                name: definition["description"]
                for name, definition in SCHEMAS[table]["properties"].items()
                if tables.has(table, name)
            }
            for name, description in described.items():
                column = sql.SQL("column {}").format(sql.Identifier(table, name))
                _comment(connection, column, description)
            columns[table] = len(described)
    return columns


def _comment(connection: psycopg.Connection, object_: sql.Composed, text: str) -> None:
    connection.execute(sql.SQL("comment on {} is {}").format(object_, sql.Literal(text)))
