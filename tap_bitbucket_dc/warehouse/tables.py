"""Which of the tables and columns exist, and SQL that also works if some do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping

# The columns besides the keys that the views and the report read, each with the SQL that replaces
# it if it does not exist. Without on_default_branch, all commits count as being on that branch.
COLUMNS: dict[str, dict[str, str]] = {
    "projects": {
        "key": "null::text",
        "name": "null::text",
        "description": "null::text",
        "public": "null::boolean",
        "url": "null::text",
    },
    "repositories": {
        "project_id": "null::bigint",
        "project_key": "null::text",
        "slug": "null::text",
        "name": "null::text",
        "description": "null::text",
        "public": "null::boolean",
        "archived": "null::boolean",
        "url": "null::text",
    },
    "default_branches": {
        "project_key": "null::text",
        "repository_slug": "null::text",
        "status": "null::text",
        "display_id": "null::text",
        "_sdc_batched_at": "null::timestamp",
    },
    "commits": {
        "project_key": "null::text",
        "repository_slug": "null::text",
        "branch": "null::text",
        "on_default_branch": "true",
        "message": "null::text",
        "author_name": "null::text",
        "author_email": "null::text",
        "author_user_id": "null::bigint",
        "author_type": "null::text",
        "committer_name": "null::text",
        "committer_email": "null::text",
        "committer_user_id": "null::bigint",
        "committer_timestamp": "null::timestamp",
        "co_authors": "null::text",
        "is_merge": "null::boolean",
    },
}
KEYS = {
    "projects": {"id": "bigint"},
    "repositories": {"id": "bigint"},
    "default_branches": {"repository_id": "bigint"},
    "commits": {"repository_id": "bigint", "id": "text"},
}
EXISTING = """\
select class.relname, array_agg(attribute.attname::text)
  from pg_class as class
  join pg_attribute as attribute on attribute.attrelid = class.oid
 where class.oid = any(array(select to_regclass(name) from unnest(%s::text[]) as name))
   and attribute.attnum > 0 and not attribute.attisdropped
 group by 1"""


class Tables:
    """The names of the columns of each table that exists."""

    def __init__(self, columns: Mapping[str, set[str]]) -> None:
        self._columns = columns

    @classmethod
    def complete(cls) -> Tables:
        """Return the tables as the tap fills them when everything is selected."""
        return cls({table: {*KEYS[table], *names} for table, names in COLUMNS.items()})

    @classmethod
    def existing(cls, connection: psycopg.Connection) -> Tables:
        """Return the tables that a connection finds.

        Raises:
            psycopg.errors.UndefinedTable: None of them exists.
        """
        rows = connection.execute(EXISTING, [list(COLUMNS)]).fetchall()
        if not rows:
            raise psycopg.errors.UndefinedTable(
                f"the schema has none of the tables {', '.join(COLUMNS)}, "
                "or you are not allowed to read them"
            )
        return cls({table: set(names) for table, names in rows})

    def has(self, table: str, *columns: str) -> bool:
        """Return whether a table exists and has all of these columns."""
        return table in self._columns and self._columns[table].issuperset(columns)

    def has_any(self, table: str, *columns: str) -> bool:
        """Return whether a table exists and has at least one of these columns."""
        return any(self.has(table, column) for column in columns)

    def fill(self, script: str) -> str:
        """Return SQL with each ``{table}`` replaced by a table or subquery with all ``COLUMNS``."""
        for table in COLUMNS:
            script = script.replace(f"{{{table}}}", self._source(table))
        return script

    def _source(self, table: str) -> str:
        keys, columns = KEYS[table], COLUMNS[table]
        if self.has(table, *columns):
            return table
        if table not in self._columns:
            nothing = {key: f"null::{kind}" for key, kind in keys.items()} | columns
            return f"(select {_listed(nothing)} where false)"
        existing = [name for name in (*keys, *columns) if self.has(table, name)]
        missing = {name: columns[name] for name in columns if name not in existing}
        return f"(select {', '.join(existing)}, {_listed(missing)} from {table})"  # noqa: S608


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value} as {name}" for name, value in values.items())
