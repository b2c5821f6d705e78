"""Reads what was loaded: repositories with their heads, and their commits.

The source is either the tables in PostgreSQL, or rows as CSV or JSON lines. This module does not
know Bitbucket.
"""

from __future__ import annotations

import csv
import json
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import psycopg

TRUE = {"true", "t", "1", "yes", "y"}
FALSE = {"false", "f", "0", "no", "n", "", "none", "null"}

REPOSITORIES = """\
with commit as (
    select repository_id::bigint as id, count(*) filter (where on_default_branch::boolean) as rows
      from commits group by 1
)
select id, coalesce(
           r.project_key || '/' || r.slug,
           b.project_key || '/' || b.repository_slug,
           (select min(c.project_key || '/' || c.repository_slug) from commits as c
             where c.repository_id::bigint = coalesce(r.id, b.id, commit.id))
       ),
       b.status, b.latest_commit, coalesce(commit.rows, 0), r.id is not null or {all_listed}
  from (select id::bigint as id, project_key, slug from {repositories}) as r
  full join (select repository_id::bigint as id, project_key, repository_slug, status, latest_commit
               from default_branches) as b using (id)
  full join commit using (id)"""
# Replaces the table repositories, which does not exist if its stream is not selected.
NO_REPOSITORIES = "(values (null, null, null)) as none (id, project_key, slug) where false"
PARENTS = """\
select attname from pg_attribute
 where attrelid = to_regclass('commits') and attname = 'parent_ids' and not attisdropped"""
# A list is an array, jsonb, or text that contains JSON.
INCOMPLETE = """\
with linked as (
    select repository_id::bigint as repository_id, id::text as id, to_jsonb(parent_ids) as parents
      from commits where on_default_branch::boolean
), wanted as (
    select linked.repository_id, parent.id
      from linked cross join lateral jsonb_array_elements_text(
          case jsonb_typeof(parents)
              when 'array' then parents
              when 'string' then (parents #>> '{}')::jsonb
              else '[]' end
      ) as parent (id)
     union all
    select repository_id::bigint, latest_commit::text
      from default_branches where latest_commit is not null
)
select distinct repository_id
  from wanted
 where not exists (
    select from linked
     where linked.repository_id = wanted.repository_id and linked.id = wanted.id
 )"""
IDS = "select id::text, on_default_branch::boolean from commits where repository_id = %s"


class RowsError(ValueError):
    """The rows that were given cannot be read."""


class Held(NamedTuple):
    """What was loaded of one repository."""

    id: int
    name: str | None = None
    """``KEY/slug`` when it was loaded, None if the rows do not say."""
    status: str | None = None
    """Status of its default branch; None if the default branch has no row."""
    head: str | None = None
    """The commit that the default branch pointed to when it was loaded."""
    commits: int = 0
    """Number of rows with ``on_default_branch`` true."""
    listed: bool = True
    """False if the table ``repositories`` exists and has no row for it."""
    complete: bool = True
    """False if the head, or a parent of a commit, is known to be missing."""


class Loaded(Protocol):
    """Everything that was loaded."""

    repositories: dict[int, Held]
    has_branches: bool
    """Whether the head of each repository at the time of the load is known."""

    def ids(self, repository_id: int) -> Mapping[str, bool]:
        """Return the ids of a repository's commits, with their ``on_default_branch``."""


class Tables:
    """The content of the tables in PostgreSQL."""

    has_branches = True

    def __init__(self, connection: psycopg.Connection) -> None:
        """Start a snapshot of the tables, and count the commits of all repositories in it.

        Raises:
            psycopg.Error: A table or column is missing.
        """
        self._connection = connection
        self._lock = threading.Lock()  # threads share the connection, as it has the snapshot
        connection.execute("set idle_in_transaction_session_timeout = 0")
        connection.execute("set jit = off")
        connection.execute("set work_mem = '128MB'")
        connection.execute("begin isolation level repeatable read read only")
        incomplete: set[int] = set()
        if connection.execute(PARENTS).fetchone():
            incomplete = {row[0] for row in connection.execute(INCOMPLETE)}
        listed = connection.execute("select to_regclass('repositories')").fetchone() != (None,)
        source = "repositories" if listed else NO_REPOSITORIES
        sql = REPOSITORIES.format(repositories=source, all_listed=not listed)
        self.repositories = {
            row[0]: Held._make((*row, row[0] not in incomplete))
            for row in connection.execute(sql.encode())
        }

    def ids(self, repository_id: int) -> Mapping[str, bool]:
        """Return the ids of a repository's commits, with their ``on_default_branch``."""
        with self._lock:  # as text, the id fits a column of any type, and uses its index
            return dict(self._connection.execute(IDS, [str(repository_id)]).fetchall())


class Rows:
    """The content of rows with ``repository_id``, ``id`` and ``on_default_branch``.

    If a commit has several rows, the last one counts, as in files to which a loader appends.
    """

    def __init__(self, commits: Iterable[str], branches: Iterable[str] | None = None) -> None:
        """Read all rows.

        Args:
            commits: Lines of CSV with a header, or of JSON. ``project_key`` and
                ``repository_slug`` are used if they are there.
            branches: Lines with ``repository_id``, ``latest_commit`` and optionally ``status``.
                None if it is not known which heads were loaded.

        Raises:
            RowsError: A line is not a valid row.
        """
        self.has_branches = branches is not None
        self._ids: dict[int, dict[str, bool]] = {}
        names: dict[int, str | None] = {}
        for number, row in _rows(commits):
            id_ = _number(row, number)
            names[id_] = _name(row) or names.get(id_)
            self._ids.setdefault(id_, {})[_text(row, "id", number)] = _flag(row, number)
        heads: dict[int, tuple[str, str | None]] = {}
        for number, row in _rows(branches or ()):
            id_ = _number(row, number)
            names[id_] = _name(row) or names.get(id_)
            head = row.get("latest_commit") or None
            heads[id_] = str(row.get("status") or ("ok" if head else "empty")), head
        self.repositories = {}
        for id_, name in names.items():
            status, known = heads.get(id_, (None, None))
            self.repositories[id_] = Held(id_, name, status, known, sum(self.ids(id_).values()))

    def ids(self, repository_id: int) -> Mapping[str, bool]:
        """Return the ids of a repository's commits, with their ``on_default_branch``."""
        return self._ids.get(repository_id, {})


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the number of each line with its row; the first line decides the format."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    if not first[1].lstrip().startswith("{"):
        names, *_ = csv.reader([first[1].removeprefix("\ufeff")])
        reader = csv.DictReader((line for _, line in numbered), [n.strip() for n in names])
        csv.field_size_limit(sys.maxsize)  # a message may be among the columns
        try:
            yield from enumerate(reader, first[0] + 1)
        except csv.Error as error:
            raise RowsError(f"line {reader.line_num + first[0]}: {error}") from None
        return
    for number, line in (first, *numbered):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise RowsError(f"line {number} is not a JSON object")
        yield number, row


def _text(row: Mapping[str, Any], name: str, number: int) -> str:
    if (value := row.get(name)) is None or value == "":
        raise RowsError(f"line {number} has no `{name}`")
    return str(value)


def _number(row: Mapping[str, Any], number: int) -> int:
    text = _text(row, "repository_id", number)
    try:
        return int(text)
    except ValueError:
        raise RowsError(f"line {number}: `repository_id` is not a number") from None


def _flag(row: Mapping[str, Any], number: int) -> bool:
    if "on_default_branch" not in row:
        raise RowsError(f"line {number} has no `on_default_branch`")
    text = str(row["on_default_branch"]).strip().lower()
    if text not in TRUE | FALSE:
        raise RowsError(f"line {number}: `on_default_branch` is neither true nor false")
    return text in TRUE


def _name(row: Mapping[str, Any]) -> str | None:
    key, slug = row.get("project_key"), row.get("repository_slug")
    return f"{key}/{slug}" if key and slug else None
