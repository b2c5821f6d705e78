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
            help="Say in plain words whether a sync would work, and what it would cost.",
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
            self.logger.error("Standard output cannot be written: %s", error)  # noqa: TRY400
        sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 as click has it
        """Run; log that the target has stopped reading, about which click is silent."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            self.logger.error("The target has stopped reading")  # noqa: TRY400
            sys.exit(1)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 as click has it
        """Return the parsed command line; raises ConfigError for files that cannot be read."""
        try:
            return super().make_context(*args, **kwargs)
        except click.BadParameter as error:
            is_state = error.param is not None and error.param.name == "state"
            remedy = NO_STATE if is_state else ""
            what = f"{error.format_message().rstrip('.')}."
            raise errors.ConfigError(what, remedy=remedy) from None
        except click.UsageError as error:
            raise click.UsageError(redaction.hidden(error.format_message()), error.ctx) from None


def run_check(tap_class: Any, given: Any) -> None:  # noqa: ANN401 the tap, and the SDK's options
    """Say in plain words whether a sync would work.

    Raises:
        BitbucketError: What it would end with.
    """
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


def config_files(*paths: str) -> None:
    """Check that the arguments are paths, and not the configuration itself.

    Raises:
        ConfigError: It is JSON: an error about a file of that name would print it.
    """
    if any("{" in path or "\n" in path for path in paths):
        raise errors.ConfigError("`--config` takes the path of a file, or ENV, not JSON.")


def state_file(file: IO[str] | None) -> IO[str] | None:
    """Check that a file contains a state, and return it rewound.

    Raises:
        ConfigError: It is empty, or its content is neither a JSON object nor null.
    """
    if file is None:
        return None
    with readable("--state"):
        text = file.read()
    if not text.strip():
        raise errors.ConfigError("`--state`: the file is empty.", remedy=NO_STATE)
    return json_file("--state", io.StringIO(text))


def json_file(option: str, file: IO[str] | None) -> IO[str] | None:
    """Check that a file contains a JSON object or null, and return it rewound.

    Raises:
        ConfigError: It does not.
    """
    if file is None:
        return None
    with readable(option):
        # NaN and Infinity are not JSON, but Python and others write them.
        value = json.loads(file.read(), parse_constant=lambda _: None)
    if not isinstance(value, (dict, type(None))):
        raise errors.ConfigError(f"`{option}`: the file is not a JSON object.")
    return io.StringIO(json.dumps(value))


def catalog_file(file: IO[str] | None) -> IO[str] | None:
    """Check that a file contains a catalog or null, and return it rewound.

    Raises:
        ConfigError: It does not.
    """
    file = json_file("--catalog", file)
    catalog = json.load(file) if file else None
    if file is None or catalog is None:
        return None
    with readable("--catalog"):
        if not Catalog.from_dict(catalog):
            raise errors.ConfigError("`--catalog`: the file has no streams.")
    file.seek(0)
    return file


@contextlib.contextmanager
def readable(option: str) -> Iterator[None]:
    """Raise ConfigError for a file that is missing, or contains JSON of another shape."""
    try:
        yield
    except UNUSABLE as error:
        why = f"{type(error).__name__}: {str(error).rstrip('.')}"
        raise errors.ConfigError(f"`{option}`: the file cannot be used: {why}.") from None
