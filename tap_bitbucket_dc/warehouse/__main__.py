"""Report on the loaded tables, create views of them, describe them, or verify them."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from tap_bitbucket_dc import redaction
from tap_bitbucket_dc.warehouse.options import parser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MELTANO = {
    "dsn": "BITBUCKET_REPORT_SQLALCHEMY_URL",
    "schema": "BITBUCKET_REPORT_DEFAULT_TARGET_SCHEMA",
    "output": "BITBUCKET_REPORT_OUTPUT",
}
"""Options, each with the environment variable in which Meltano passes the plugin's setting."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; exits with a message if it fails."""
    redaction.install()
    given = sys.argv[1:] if arguments is None else arguments
    options = parser(__doc__).parse_args(_of_meltano(given, os.environ))
    _hide(options.dsn or "")
    try:
        if options.command == "verify":
            from tap_bitbucket_dc.warehouse.verify import command  # noqa: PLC0415 takes a second

            return command.run(options)
        from tap_bitbucket_dc.warehouse import commands  # noqa: PLC0415 of the extra

        commands.run(options)
    except ModuleNotFoundError as missing:
        sys.exit(f"{missing}. Install the package with its extra: tap-bitbucket-dc[warehouse]")
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        sys.exit(redaction.hidden(what))
    return 0


def _of_meltano(arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the arguments with the Meltano plugin's settings, if any, inserted as options.

    ``meltano run bitbucket-report`` passes no arguments, so the command is then ``report``.
    """
    settings = {option: environment.get(name, "") for option, name in MELTANO.items()}
    if not arguments and not any(settings.values()):
        return []
    command, *given = arguments or ["report"]
    if command not in {"report", "views", "comments", "verify"}:
        return list(arguments)
    if command != "report":
        del settings["output"]
    return [
        command,
        *(f"--{option}={value}" for option, value in settings.items() if value),
        *given,
    ]


def _hide(dsn: str) -> None:
    """Remove passwords from all output, however malformed the connection string is."""
    redaction.hide_url(dsn)
    found = re.findall(r"(?i)pass\w*\s*=\s*('(?:[^'\\]|\\.)*'?|[^\s&]+)", dsn)
    redaction.hide([text.strip("'") for text in found], os.environ.get("PGPASSWORD"))


if __name__ == "__main__":
    sys.exit(main())
