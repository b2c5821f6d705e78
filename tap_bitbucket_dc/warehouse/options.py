"""The command-line options of the warehouse."""

from __future__ import annotations

import argparse

DSN = (
    "connection string such as postgresql://user@host/database; what it leaves out is taken from "
    "libpq's environment variables PGHOST, PGUSER, PGDATABASE, …; set the password in PGPASSWORD"
)
PRINT = (
    "print the SQL instead of running it; without --dsn, the tables are assumed to have all columns"
)
COMMENTS = "write the descriptions of the tables and columns into the database"
WEEKS = (
    "number of weeks to show; figures are compared with those of the same number of preceding "
    "weeks; default: 52"
)
CONFIG = (
    "the tap's configuration file, or ENV (the default) for environment variables "
    "TAP_BITBUCKET_DC_*; may be given several times"
)
ROWS = (
    "read the commits from this file (- for standard input) instead of a database: CSV with a "
    "header, or JSON lines, with repository_id, id and on_default_branch"
)
BRANCHES = (
    "with --rows: the heads that were loaded, in the same formats, with repository_id and "
    "latest_commit; without it, the current default branches in Bitbucket are used"
)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser; ``command`` is the name of the chosen command."""
    parser = argparse.ArgumentParser(prog="tap-bitbucket-dc-warehouse", description=description)
    tables = argparse.ArgumentParser(add_help=False)
    tables.add_argument("--dsn", default="", help=DSN)
    tables.add_argument(
        "--schema", default="bitbucket", help="schema of the tables; default: bitbucket"
    )
    commands = parser.add_subparsers(required=True, dest="command")
    views = commands.add_parser("views", parents=[tables], help="create or replace the views")
    views.add_argument("--print", action="store_true", help=PRINT)
    report = commands.add_parser("report", parents=[tables], help="write the report")
    report.add_argument("--output", default="report.html", help="HTML file; default: report.html")
    report.add_argument("--weeks", type=_weeks, default=52, help=WEEKS)
    commands.add_parser("comments", parents=[tables], help=COMMENTS)
    _add_verify(
        commands.add_parser(
            "verify",
            parents=[tables],
            help="check that the tables are complete, by comparing them with Bitbucket",
        )
    )
    return parser


def _weeks(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 520:  # noqa: PLR2004 ten years
        raise argparse.ArgumentTypeError("must be between 1 and 520")
    return int(text)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", action="append", metavar="FILE", help=CONFIG)
    parser.add_argument("--rows", metavar="FILE", help=ROWS)
    parser.add_argument("--default-branches", metavar="FILE", help=BRANCHES)
    parser.add_argument(
        "--every-id",
        action="store_true",
        help="compare all commit ids, even where the counts match",
    )
    parser.add_argument(
        "--allow-gone",
        action="store_true",
        help="list repositories deleted in Bitbucket, but do not count them as differences",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
