"""Loads an emulated Bitbucket into PostgreSQL twice, and compares the tables with git.

    python -m tests.end_to_end.demo [--report FILE] [ROOT …]

Each ROOT contains git repositories as ``ROOT/PROJECT/repository``, which are not changed. Without
a ROOT, a few repositories are created. The report about the tables is kept. The exit code is 1
unless the tables contain exactly git's commits, and ``verify`` finds no difference either.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator import Bitbucket
from tap_bitbucket_dc.warehouse.report import write_report
from tests.end_to_end.project import MeltanoError, MeltanoProject
from tests.end_to_end.warehouse import warehouse
from tests.end_to_end.world import copied, loaded, made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.end_to_end.warehouse import Warehouse
    from tests.end_to_end.world import Commits, World

REPOSITORIES = """\
select r.project_key, r.slug, b.display_id as branch, b.status, count(c.id) as commits,
       count(*) filter (where c.is_merge) as merges, max(c.committer_timestamp) as newest
  from bitbucket.repositories r
  join bitbucket.default_branches b on b.repository_id = r.id
  left join bitbucket.commits c on c.repository_id = r.id
 group by 1, 2, 3, 4 order by 1, 2"""
ARRIVED = """\
select project_key, repository_slug as slug, display_id, committer_timestamp, author_name,
       on_default_branch, left(split_part(message, E'\\n', 1), 40) as message
  from bitbucket.commits
 where _sdc_received_at >= '{since}'
 order by 1, 2, committer_timestamp, display_id"""
ROWS_SHOWN = 25
SUMMARY = "Load from an emulated Bitbucket into PostgreSQL twice, and compare with git."
ROOT_HELP = (
    "contains git repositories as ROOT/PROJECT/repository; samples are created if none is given"
)
REPORT_HELP = "where to write the report; by default a new file in the temporary directory"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=SUMMARY)
    parser.add_argument("roots", nargs="*", type=Path, metavar="ROOT", help=ROOT_HELP)
    parser.add_argument("--report", type=Path, metavar="FILE", help=REPORT_HELP)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory(prefix="demo-") as directory:
            return 0 if _demo(Path(directory), options) else 1
    except MeltanoError as error:
        print(f"{error}\nMeltano failed: this is its log.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _demo(directory: Path, options: argparse.Namespace) -> bool:
    """Return whether the tables match git after each of two runs, and ``verify`` agrees."""
    root = directory / "git"
    world = copied(options.roots, root) if options.roots else made(root)
    _say(f"{len(world.repositories)} git repositories, served as Bitbucket Data Center serves them")
    with warehouse() as database, Bitbucket(root) as bitbucket:
        project = MeltanoProject(directory / "meltano", _settings(bitbucket, database))
        _load(project, bitbucket)
        _show(database, REPOSITORIES)
        first = _equals_git(database, world, before={})
        before = world.commits()
        _push(world)
        since = database.query("select clock_timestamp()")[0][0]
        _load(project, bitbucket)
        _show(database, ARRIVED.format(since=f"{since:%F %T.%f}"))
        second = _equals_git(database, world, before)
        verified = _verify(project, database)
        _report(database, options.report)
        return first and second and verified


def _settings(bitbucket: Bitbucket, database: Warehouse) -> dict[str, str]:
    return {
        "TAP_BITBUCKET_DC_BASE_URL": bitbucket.url,
        "TAP_BITBUCKET_DC_TOKEN": "token",
        "TAP_BITBUCKET_DC_PERSONAL_PROJECTS": "true",
        "TARGET_POSTGRES_SQLALCHEMY_URL": database.url,
    }


def _load(project: MeltanoProject, bitbucket: Bitbucket) -> None:
    _say("meltano run tap-bitbucket-dc target-postgres")
    started, asked = time.monotonic(), len(bitbucket.requests)
    project.run("tap-bitbucket-dc", "target-postgres")
    seconds = time.monotonic() - started
    print(f"{seconds:.1f} s, {len(bitbucket.requests) - asked} requests\n")


def _verify(project: MeltanoProject, database: Warehouse) -> bool:
    """Return whether ``verify``, which compares with Bitbucket and not with git, finds no error."""
    _say("python -m tap_bitbucket_dc.warehouse verify")
    command = (sys.executable, "-m", "tap_bitbucket_dc.warehouse", "verify", "--dsn", database.url)
    return subprocess.run(command, env=project.environment, check=False).returncode == 0


def _report(database: Warehouse, path: Path | None) -> None:
    """Write the report about the tables, by default into a new temporary file."""
    if path is None:
        handle, name = tempfile.mkstemp(prefix="bitbucket-", suffix=".html")
        os.close(handle)
        path = Path(name)
    write_report(database.url, path)
    _say(f"A page about the tables: {path.resolve().as_uri()}")


def _push(world: World) -> None:
    """Push a merge that a sync by date would miss, a rewritten history, and a first commit."""
    names = world.with_history()
    if names:
        _say(f"git push: a branch as old as the first commit is merged in {names[0]}")
        world.push_late_merge(names[0])
    if names[1:]:
        _say(f"git push --force: the newest commit of {names[-1]} is replaced")
        world.rewrite(names[-1])
    for name in world.empty()[:1]:
        _say(f"git push: the first commit of {name}")
        world.push_first_commit(name)


def _equals_git(database: Warehouse, world: World, before: Commits) -> bool:
    """Compare the tables with git, print the result and return it."""
    tables, git = loaded(database), world.commits(before)
    for name in sorted(tables.keys() | git.keys()):
        if tables.get(name) != git.get(name):
            print(f"{name} differs: git rev-list has {len(git.get(name, ()))} commits")
    count = sum(map(len, git.values()))
    verdict = "match" if tables == git else "do NOT match"
    print(f"{count} commits, removed ones included: tables and git rev-list {verdict}")
    return tables == git


def _show(database: Warehouse, sql: str) -> None:
    """Print an SQL statement and its result."""
    columns, rows = database.table(sql)
    cells = [columns, *([_text(value) for value in row] for row in rows[:ROWS_SHOWN])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    print(sql, end=";\n\n")
    for line in cells:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
    if rows[ROWS_SHOWN:]:
        print(f"… and {len(rows) - ROWS_SHOWN} more")
    print()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _say(text: str) -> None:
    print(f"\n# {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
