"""Create views over the loaded tables, or write a report about them."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import TYPE_CHECKING

from tap_bitbucket_dc import redaction

try:
    import psycopg

    from tap_bitbucket_dc.warehouse.report import connected, write_report
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: install tap-bitbucket-dc[warehouse]")
from tap_bitbucket_dc.warehouse.views import script

if TYPE_CHECKING:
    from collections.abc import Sequence

DSN = (
    "connection string such as postgresql://user@host/database; what it leaves out is taken from "
    "libpq's environment variables PGHOST, PGUSER, PGDATABASE, …; set the password in PGPASSWORD"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    redaction.install()
    options = _parser().parse_args(arguments)
    _hide(options.dsn)
    try:
        options.run(options)
    except (psycopg.Error, OSError) as error:
        sys.exit(redaction.hidden(f"{type(error).__name__}: {str(error).strip()}"))


def _hide(dsn: str) -> None:
    """Have passwords removed from all output, however malformed the connection string is."""
    redaction.hide_url(dsn)
    found = re.findall(r"(?i)pass\w*\s*=\s*('(?:[^'\\]|\\.)*'?|[^\s&]+)", dsn)
    redaction.hide([text.strip("'") for text in found], os.environ.get("PGPASSWORD"))


def _views(options: argparse.Namespace) -> None:
    if options.print:
        sys.stdout.write(script(options.schema))
        return
    with connected(options.dsn, options.schema) as connection:
        connection.execute(script(options.schema).encode())


def _report(options: argparse.Namespace) -> None:
    write_report(options.dsn, options.output, options.schema)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tap_bitbucket_dc.warehouse", description=__doc__
    )
    tables = argparse.ArgumentParser(add_help=False)
    tables.add_argument("--dsn", default="", help=DSN)
    tables.add_argument("--schema", default="bitbucket", help="of the tables; default: bitbucket")
    commands = parser.add_subparsers(required=True)
    views = commands.add_parser("views", parents=[tables], help="create or replace the views")
    views.add_argument("--print", action="store_true", help="print the SQL instead of running it")
    views.set_defaults(run=_views)
    report = commands.add_parser("report", parents=[tables], help="write the report")
    report.add_argument("--output", default="report.html", help="HTML file; default: report.html")
    report.set_defaults(run=_report)
    return parser


if __name__ == "__main__":
    main()
