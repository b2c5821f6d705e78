"""The command line: the SDK's, plus ``--check`` and one-line errors.

Whatever a user can cause ends with one line and exit code 1. A traceback means a bug in the tap.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from typing import IO, TYPE_CHECKING, Any

import click
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.singerlib import Catalog

from tap_bitbucket_dc import redaction
from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.secret_settings import hide_arguments, hide_environment
from tap_bitbucket_dc.unused_settings import require_none
from tap_bitbucket_dc.writer import abandon_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self


UNUSABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What is raised for a file that is missing, or contains JSON of another shape."""

CHECK_FILE = "Check its path and content; `tap-bitbucket-dc --help` describes the options."

NO_STATE = (
    "For a first run, write {} to the file, or leave `--state` out. Otherwise restore the last "
    "run's state: without it, everything is read again."
)


class Command(SingerCommand):
    """The SDK's command, plus ``--check`` and one-line errors."""

    @classmethod
    def of(cls, command: click.Command, description: str | None, logger: Any) -> Self:  # noqa: ANN401 as the SDK has it
        """Return the SDK's command with ``--check`` added to its parameters."""
        check = click.Option(
            ["--check"],
            is_flag=True,
            help="Check whether a sync would work, and estimate what it would cost.",
        )
        return cls(
            command.name,
            callback=command.callback,
            params=[*command.params, check],
            help=description,
            context_settings=command.context_settings,
            logger=logger,
        )

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 as click has it
        """Run; exit with 1 and one line for any error that a user can cause."""
        redaction.install()
        hide_environment(os.environ)
        hide_arguments(kwargs.get("args") or (args[0] if args else None) or sys.argv[1:])
        # urllib3 logs a traceback for headers it cannot parse, and then reads the answer.
        logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
        try:
            return super().main(*args, **kwargs)
        except errors.BitbucketError as error:
            self.logger.error("%s", error)  # noqa: TRY400 no traceback
        except OSError as error:  # those of files and connections are BitbucketErrors by now
            abandon_stdout()
            self.logger.error("Cannot write to standard output: %s", error)  # noqa: TRY400
        sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 as click has it
        """Run; log that the target has stopped reading, about which click is silent."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            self.logger.error("The target has stopped reading: its own log says why")  # noqa: TRY400
            sys.exit(1)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 as click has it
        """Return the parsed command line; raises ConfigError for files that cannot be read."""
        try:
            return super().make_context(*args, **kwargs)
        except click.BadParameter as error:
            remedy = NO_STATE if error.param and error.param.name == "state" else ""
            what = f"{error.format_message().rstrip('.')}."
            raise errors.ConfigError(what, remedy=remedy) from None
        except click.UsageError as error:
            raise click.UsageError(redaction.hidden(error.format_message()), error.ctx) from None


def run_check(tap_class: Any, given: Any) -> None:  # noqa: ANN401 the tap, and the SDK's options
    """Tell whether a sync would work; raise the BitbucketError that it would end with."""
    from tap_bitbucket_dc.check import check, failure  # noqa: PLC0415 only --check needs it

    config: Mapping[str, Any] = {}
    level = tap_class.logger.level
    tap_class.logger.setLevel(logging.WARNING)  # the report itself goes to stdout
    try:
        tap = tap_class(config=given.config, parse_env_config=given.parse_env)
        config = tap.config
        require_none(tap.unused_settings)
        check(config, _tell)
    except errors.BitbucketError as error:
        _tell(failure(error, config))
        raise
    finally:
        tap_class.logger.setLevel(level)


def _tell(text: str) -> None:
    click.echo(redaction.hidden(text))


def json_file(option: str, file: IO[str] | None) -> IO[str] | None:
    """Return a new file with the JSON object of a file, None for null.

    Raises:
        ConfigError: It is empty, not a JSON object, or a catalog without streams.
    """
    if file is None:
        return None
    with usable(f"`{option}`: the file", CHECK_FILE):
        text = file.read()
        if option == "--state" and not text.strip():
            raise errors.ConfigError("`--state`: the file is empty.", remedy=NO_STATE)
        # NaN and Infinity are not JSON, but Python and others write them.
        value = json.loads(text, parse_constant=lambda _: None)
        if value is None:
            return None
        if not isinstance(value, dict):
            what = f"`{option}`: the file is not a JSON object."
            raise errors.ConfigError(what, remedy=CHECK_FILE)
        if option == "--catalog" and not Catalog.from_dict(value):
            what = "`--catalog`: the file has no streams."
            raise errors.ConfigError(what, remedy=CHECK_FILE)
        return io.StringIO(json.dumps(value))


@contextlib.contextmanager
def usable(what: str, remedy: str = "") -> Iterator[None]:
    """Raise a ConfigError for what is missing, or has another shape than the SDK expects."""
    try:
        yield
    except (SingerSDKError, *UNUSABLE) as error:
        # Only the class of other errors says what is wrong, such as a KeyError.
        kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
        why = f"{kind}{str(error).rstrip('.')}"
        raise errors.ConfigError(f"{what} cannot be used: {why}.", remedy=remedy) from None
