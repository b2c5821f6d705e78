"""The commands that need the database: `report`, `views` and `comments`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import psycopg

from tap_bitbucket_dc import redaction
from tap_bitbucket_dc.warehouse.database import connected, described
from tap_bitbucket_dc.warehouse.omissions import VIEWS, left_out
from tap_bitbucket_dc.warehouse.tables import Tables
from tap_bitbucket_dc.warehouse.views import script

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Run the chosen command and print what it wrote; exits with a message if it fails."""
    commands = {"report": _report, "views": _views, "comments": _comments}
    try:
        commands[options.command](options)
    except psycopg.Error as error:
        what = redaction.hidden(described(error, options.dsn))
        sys.exit(f"{what}. Check `--dsn`, `--schema` and the user's privileges.")


def _views(options: argparse.Namespace) -> None:
    if options.print and not options.dsn:
        sys.stdout.write(script(options.schema, Tables.complete()))
        return
    with connected(options.dsn, options.schema) as connection:
        tables = Tables.existing(connection)
        text = script(options.schema, tables)
        if options.print:
            sys.stdout.write(text)
        else:
            connection.execute(text.encode())
            names = re.findall(r"^create or replace view (\w+)", text, re.MULTILINE)
            print(f'Created in schema "{options.schema}": {", ".join(names)}.')  # noqa: T201
    _say("Note", left_out(VIEWS, tables))


def _report(options: argparse.Namespace) -> None:
    from tap_bitbucket_dc.warehouse.report import write_report  # noqa: PLC0415 slow

    sentences = write_report(options.dsn, options.output, options.schema, options.weeks)
    print(f"Wrote {options.output}.")  # noqa: T201
    _say("Left out", sentences)


def _comments(options: argparse.Namespace) -> None:
    from tap_bitbucket_dc.warehouse.comments import write_comments  # noqa: PLC0415 slow

    with connected(options.dsn, options.schema) as connection:
        for table, columns in write_comments(connection).items():
            print(f"Described {table} and {columns} of its columns.")  # noqa: T201


def _say(label: str, sentences: list[str]) -> None:
    """Print sentences to standard error, because standard output may contain SQL."""
    for sentence in sentences:
        print(f"{label}: {sentence}", file=sys.stderr)  # noqa: T201
