"""The command: how it reads its files, and how it ends.

For whatever a user can cause the last line of the log holds a code and a remedy, and the
exit code is 1. A traceback is for our own mistakes.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import IO, TYPE_CHECKING, Any

import click
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.singerlib import Catalog

from tap_bitbucket_dc import errors
from tap_bitbucket_dc.messages import abandon_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

CHECK = click.Option(
    ["--check"],
    is_flag=True,
    help="Say in plain words whether a sync would work, and what it would cost.",
)


class Command(SingerCommand):
    """The SDK's command with an end of our own."""

    @classmethod
    def of(cls, command: click.Command, description: str | None, logger: Any) -> Self:  # noqa: ANN401 as the SDK has it
        """Return such a command with the parameters of the SDK's, and ``--check``."""
        return cls(
            command.name,
            callback=command.callback,
            params=[*command.params, CHECK],
            help=description,
            context_settings=command.context_settings,
            logger=logger,
        )

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 as click has it
        """Run; exit with 1 and one line for whatever a user can cause."""
        # It logs headers that cannot be parsed with a traceback; their answer is read.
        logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
        try:
            return super().main(*args, **kwargs)
        except errors.BitbucketError as error:
            self.logger.error("%s", error)  # noqa: TRY400 no traceback
        except OSError as error:  # what is read has a code by now
            abandon_stdout()
            self.logger.error("Standard output cannot be written: %s", error)  # noqa: TRY400
        sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 as click has it
        """Run; of a target that is gone click would say nothing."""
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
            raise errors.ConfigError(error.format_message()) from None


def json_file(option: str, file: IO[str] | None) -> IO[str] | None:
    """Return a file again, once it is sure that it holds a JSON object, or null.

    Raises:
        ConfigError: It does not.
    """
    if file is None:
        return None
    with readable(option):
        text = file.read()
        value = json.loads(text)
    if not isinstance(value, (dict, type(None))):
        raise errors.ConfigError(f"`{option}`: the file is no JSON object.")
    return io.StringIO(text)


def catalog_file(file: IO[str] | None) -> IO[str] | None:
    """Return a file again, once it is sure that it holds a catalog, or null.

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
    """Raise ConfigError if a file turns out to be none, or JSON of another shape."""
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        why = f"{type(error).__name__}: {str(error).rstrip('.')}"
        raise errors.ConfigError(f"`{option}`: the file cannot be used: {why}.") from None
