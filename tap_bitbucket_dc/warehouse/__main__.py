"""Compare the loaded tables with Bitbucket, create views over them, or write a report."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from tap_bitbucket_dc import redaction
from tap_bitbucket_dc.warehouse.options import parser
from tap_bitbucket_dc.warehouse.views import script

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; exits with a message if it fails."""
    redaction.install()
    options = parser(__doc__).parse_args(arguments)
    _hide(options.dsn or "")
    try:
        if options.command == "verify":
            from tap_bitbucket_dc.warehouse.verify import command  # noqa: PLC0415 takes a second

            return command.run(options)
        _make(options)
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}: install tap-bitbucket-dc[warehouse]")
    except OSError as error:
        sys.exit(redaction.hidden(f"{type(error).__name__}: {error}"))
    return 0


def _hide(dsn: str) -> None:
    """Remove passwords from all output, however malformed the connection string is."""
    redaction.hide_url(dsn)
    found = re.findall(r"(?i)pass\w*\s*=\s*('(?:[^'\\]|\\.)*'?|[^\s&]+)", dsn)
    redaction.hide([text.strip("'") for text in found], os.environ.get("PGPASSWORD"))


def _make(options: argparse.Namespace) -> None:
    """Create the views, or write the report."""
    if options.command == "views" and options.print:
        sys.stdout.write(script(options.schema))
        return
    import psycopg  # noqa: PLC0415 of the extra

    from tap_bitbucket_dc.warehouse.database import connected, described  # noqa: PLC0415

    try:
        if options.command == "report":
            from tap_bitbucket_dc.warehouse.report import write_report  # noqa: PLC0415 slow

            write_report(options.dsn, options.output, options.schema)
            return
        with connected(options.dsn, options.schema) as connection:
            connection.execute(script(options.schema).encode())
    except psycopg.Error as error:
        sys.exit(redaction.hidden(described(error, options.dsn)))


if __name__ == "__main__":
    sys.exit(main())
