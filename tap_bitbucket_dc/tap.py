"""The tap and its command line.

For whatever a user can cause, the last line of the log holds a code and a remedy, and the exit
code is 1. A traceback means a mistake of our own.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import sys
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

import click
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.singerlib import Catalog

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.extract.crawl import Wanted
from tap_bitbucket_dc.extract.filters import Filters
from tap_bitbucket_dc.metrics import Metrics
from tap_bitbucket_dc.settings import SETTINGS, without_secret
from tap_bitbucket_dc.state import MELTANO, State, validate
from tap_bitbucket_dc.streams import Commits, DefaultBranches, Projects, Repositories
from tap_bitbucket_dc.sync import Stop, Sync
from tap_bitbucket_dc.writer import MessageWriter, abandon_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import FrameType
    from typing import Self

    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum


class TapBitbucketDC(Tap):
    """Projects, repositories, default branches and commits of Bitbucket Data Center."""

    name = "tap-bitbucket-dc"
    config_jsonschema = SETTINGS
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]
    message_writer: MessageWriter

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 as the SDK has them
        """Take the options of every SDK tap."""
        state = options.get("state") or {}
        if isinstance(state, dict) and state.keys() == {MELTANO}:
            state = options["state"] = state[MELTANO]
        validate(state)
        self._bookmarks = State()
        super().__init__(**options)

    def message_writer_class(self) -> MessageWriter:  # type: ignore[override]
        """Return the writer of RECORD messages, or of BATCH messages if they are asked for."""
        writer = self._writer()
        self._stop = Stop(writer)
        return writer

    def _writer(self) -> MessageWriter:
        if not self.config.get("batch_config"):
            return MessageWriter(self._bookmarks)
        from tap_bitbucket_dc.batch import BatchConfig, BatchWriter  # noqa: PLC0415 few need it

        return BatchWriter(self._bookmarks, BatchConfig.of(self.config))

    def discover_streams(self) -> list[Stream]:
        """Return the four streams; needs no server."""
        return [
            Projects(self, self.open_run),
            Repositories(self),
            DefaultBranches(self),
            Commits(self),
        ]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the bookmarks of a former run."""
        super().load_state(state)  # takes over the bookmarks only
        value = cast("dict[str, Any]", self.state)
        value.update({name: each for name, each in state.items() if name not in value})
        self._bookmarks.load(value, Filters(self.config).shard)

    def open_run(self) -> AbstractContextManager[Sync]:
        """Return a run of the selected streams, to be held with ``with``."""
        return self.new_sync().run()

    def new_sync(self, **seams: Any) -> Sync:  # noqa: ANN401 those of Sync
        """Return what a run needs; ``seams`` are those of ``Sync``, for tests."""
        streams = self.streams
        repositories, commits = streams["repositories"], streams["commits"]
        wanted = Wanted(
            repositories.selected or repositories.has_selected_descendents,
            streams["default_branches"].selected,
            commits.selected,
            commits.replication_method == "FULL_TABLE",
        )
        return Sync(
            self.config,
            self._bookmarks,
            self.message_writer,
            wanted=wanted,
            stop=self._stop,
            metrics=Metrics(name for name, stream in streams.items() if stream.selected),
            **seams,
        )

    def _handle_termination(self, signum: int, _frame: FrameType | None) -> None:
        # The SDK would write STATE here, perhaps into the middle of another line.
        self.logger.warning("Stopping after %s", signal.Signals(signum).name)
        self._stop.request(signum)
        signal.signal(signum, signal.SIG_DFL)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        try:
            found = super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as error:
            found = [without_secret(e) for e in error.errors]
            raise errors.ConfigError("; ".join(found) + ".") from None
        return [without_secret(e) for e in found]

    @classmethod
    def invoke(
        cls,
        *,
        check: bool = False,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
        **options: Any,  # noqa: ANN401 as the SDK has them
    ) -> None:
        """Do what the options of the command say."""
        if check:
            _check(cls, options["config"])
            return
        super().invoke(
            state=_json_file("--state", state),
            catalog=_catalog_file(catalog),
            **options,
        )

    @classmethod
    def cb_config(cls, *args: Any) -> Any:  # noqa: ANN401 as the SDK has them
        """Return the configuration; raises ConfigError if a file is not a JSON object."""
        with _readable("--config"):
            return super().cb_config(*args)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the SDK's command, with one line for an error instead of a traceback."""
        command: click.Command = super().get_singer_command()
        return Command.of(command, cls.__doc__, cls.logger)


class Command(SingerCommand):
    """The SDK's command with ``--check``, and with one line for whatever a user can cause."""

    @classmethod
    def of(cls, command: click.Command, description: str | None, logger: Any) -> Self:  # noqa: ANN401 as the SDK has it
        """Return such a command with the parameters of the SDK's, and ``--check``."""
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
        """Run; exit with 1 and one line for whatever a user can cause."""
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
        """Run; say that the target is gone, which click would not."""
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


def _check(tap_class: type[TapBitbucketDC], given: Any) -> None:  # noqa: ANN401 the SDK's
    from tap_bitbucket_dc.check import check, failure  # noqa: PLC0415 only --check needs it

    config: Mapping[str, Any] = {}
    level = tap_class.logger.level
    tap_class.logger.setLevel(logging.WARNING)  # what is for people goes to stdout
    try:
        config = tap_class(config=given.config, parse_env_config=given.parse_env).config
        check(config, click.echo)
    except errors.BitbucketError as error:
        click.echo(failure(error, config))
        raise
    finally:
        tap_class.logger.setLevel(level)


def _json_file(option: str, file: IO[str] | None) -> IO[str] | None:
    """Check that a file holds a JSON object or null, and return it rewound.

    Raises:
        ConfigError: It does not.
    """
    if file is None:
        return None
    with _readable(option):
        text = file.read()
        value = json.loads(text)
    if not isinstance(value, (dict, type(None))):
        raise errors.ConfigError(f"`{option}`: the file is not a JSON object.")
    return io.StringIO(text)


def _catalog_file(file: IO[str] | None) -> IO[str] | None:
    """Check that a file holds a catalog or null, and return it rewound.

    Raises:
        ConfigError: It does not.
    """
    file = _json_file("--catalog", file)
    catalog = json.load(file) if file else None
    if file is None or catalog is None:
        return None
    with _readable("--catalog"):
        if not Catalog.from_dict(catalog):
            raise errors.ConfigError("`--catalog`: the file has no streams.")
    file.seek(0)
    return file


@contextlib.contextmanager
def _readable(option: str) -> Iterator[None]:
    """Raise ConfigError for a file that is missing, or holds JSON of another shape."""
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        why = f"{type(error).__name__}: {str(error).rstrip('.')}"
        raise errors.ConfigError(f"`{option}`: the file cannot be used: {why}.") from None
