"""The tap: connects the settings, catalog, state and streams with a run."""

from __future__ import annotations

import os
import signal
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk import Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_bitbucket_dc import catalogs, command, redaction, unused_settings
from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.extract.crawl import Wanted
from tap_bitbucket_dc.extract.filters import Filters
from tap_bitbucket_dc.metrics import Metrics
from tap_bitbucket_dc.secret_settings import PREFIX, hide_settings, require_seed
from tap_bitbucket_dc.settings import SETTINGS, without_secret
from tap_bitbucket_dc.signals import end_at_once
from tap_bitbucket_dc.state import RESTORE, State, unwrapped, validate
from tap_bitbucket_dc.streams import Commits, DefaultBranches, Projects, Repositories
from tap_bitbucket_dc.sync import Stop, Sync
from tap_bitbucket_dc.writer import MessageWriter

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import FrameType

    import click
    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum


class TapBitbucketDC(Tap):
    """Extract projects, repositories, default branches and commits from Bitbucket Data Center."""

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
        redaction.install()
        options["state"] = unwrapped(options.get("state") or {})
        validate(options["state"])
        self._bookmarks = State()
        with command.usable("The settings"):
            super().__init__(**options)

    def message_writer_class(self) -> MessageWriter:  # type: ignore[override]
        """Return the writer of RECORD messages, or of BATCH messages if they are asked for."""
        writer = MessageWriter(self._bookmarks)
        if self.config.get("batch_config"):
            from tap_bitbucket_dc.batch import BatchConfig, BatchWriter  # noqa: PLC0415 few need it

            writer = BatchWriter(self._bookmarks, BatchConfig.of(self.config))
        self._stop = Stop(writer)
        return writer

    def discover_streams(self) -> list[Stream]:
        """Return the four streams; needs no server."""
        return [
            Projects(self, self.open_run),
            Repositories(self),
            DefaultBranches(self),
            Commits(self),
        ]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the bookmarks of a previous run."""
        with command.usable("The state", RESTORE):
            super().load_state(state)  # which takes over nothing but the bookmarks
        value = cast("dict[str, Any]", self.state)
        value.update({name: each for name, each in state.items() if name not in value})
        self._bookmarks.load(value, Filters(self.config).shard)

    def setup_mapper(self) -> None:
        """Prepare stream maps, which need a catalog with all streams."""
        if self.input_catalog is not None:
            streams = self.load_streams()
            catalogs.complete(self.input_catalog, streams)
            catalogs.require_selection(self.input_catalog, streams)
        super().setup_mapper()

    def open_run(self, **seams: Any) -> AbstractContextManager[Sync]:  # noqa: ANN401 options of Sync
        """Return a run of the selected streams; tests may pass further options of ``Sync``."""
        unused_settings.warn(self.unused_settings, self.logger)
        require_seed(self.config)
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
        ).run()

    def _handle_termination(self, signum: int, _frame: FrameType | None) -> None:
        # The SDK would write a STATE here, possibly in the middle of another line.
        if not self._stop.is_heard:
            end_at_once(signum)
        self._stop.request(signum)
        signal.signal(signum, signal.SIG_DFL)
        # Last, because standard error may be full.
        self.logger.warning("Received %s: stopping", signal.Signals(signum).name)

    @property
    def _env_var_config(self) -> dict[str, Any]:
        self.append_builtin_config(self.config_jsonschema)
        found: dict[str, Any] = {}
        # One by one: the SDK does not say which of them cannot be parsed.
        for name, schema in self.config_jsonschema["properties"].items():
            with command.usable(f"`{PREFIX}{name.upper()}`"):
                found |= parse_environment_config({"properties": {name: schema}}, PREFIX)
        return found

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        hide_settings(self._config)
        self.append_builtin_config(self.config_jsonschema)
        # Before the validation, which adds the defaults.
        self.unused_settings = unused_settings.find(
            self._config, os.environ, self.config_jsonschema["properties"]
        )
        try:
            found = super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as error:
            found = [without_secret(e) for e in error.errors]
            what = f"{'; '.join(found)}."
            raise unused_settings.invalid(self.unused_settings, what) from None
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
        """Run the command with its options."""
        if check:
            command.run_check(cls, options["config"])
            return
        super().invoke(
            state=command.json_file("--state", state),
            catalog=command.json_file("--catalog", catalog),
            **options,
        )

    @classmethod
    def cb_config(cls, *args: Any) -> Any:  # noqa: ANN401 as the SDK has them
        """Return the configuration; raises ConfigError if a file is not a JSON object."""
        # Such a path is the configuration itself, and an error about the file would print it.
        if any("{" in path or "\n" in path for path in args[-1]):
            raise errors.ConfigError("`--config` takes the path of a file, or ENV, not JSON.")
        with command.usable("`--config`: the file", command.CHECK_FILE):
            return super().cb_config(*args)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the SDK's command, with one line for an error instead of a traceback."""
        return command.Command.of(super().get_singer_command(), cls.__doc__, cls.logger)
