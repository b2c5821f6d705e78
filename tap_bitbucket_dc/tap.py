"""The tap: settings, streams, and one run from its start to its end."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

import click
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_bitbucket_dc import command, errors, records
from tap_bitbucket_dc.bookmarks import STREAM, Bookmarks
from tap_bitbucket_dc.check import Check, failure
from tap_bitbucket_dc.client import Client
from tap_bitbucket_dc.crawl import Crawl, Wanted
from tap_bitbucket_dc.filters import Filters
from tap_bitbucket_dc.messages import MessageWriter
from tap_bitbucket_dc.progress import Progress
from tap_bitbucket_dc.settings import SETTINGS
from tap_bitbucket_dc.streams import Commits, DefaultBranches, Projects, Repositories
from tap_bitbucket_dc.visit import Bookmark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum


class TapBitbucketDC(Tap):
    """Projects, repositories, default branches and commits of Bitbucket Data Center."""

    name = "tap-bitbucket-dc"
    config_jsonschema = SETTINGS
    # All but BATCH, whose files would be one for each repository.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]
    message_writer: MessageWriter

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 as the SDK has them
        """Take the options of every SDK tap."""
        _require_state(options.get("state") or {})
        self.bookmarks = Bookmarks()
        self._stopped_by: int | None = None
        super().__init__(**options, message_writer=MessageWriter(self.bookmarks))

    def discover_streams(self) -> list[Stream]:
        """Return the four streams; needs no server."""
        return [
            Projects(self),
            Repositories(self),
            DefaultBranches(self),
            Commits(self),
        ]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the bookmarks of a former run."""
        super().load_state(state)
        self.bookmarks.load(cast("dict[str, Any]", self.state), self.filters.shard)

    # One run.

    @functools.cached_property
    def client(self) -> Client:
        """What asks Bitbucket; made when it is needed, for discovery needs none."""
        _require_one_login(self.config)
        return Client(self.config)

    @functools.cached_property
    def filters(self) -> Filters:
        """What the settings choose."""
        return Filters(self.config)

    @functools.cached_property
    def start_date(self) -> int | None:
        """The setting in milliseconds since 1970, None if it is not set."""
        start_date = self.config.get("start_date")
        return records.milliseconds(start_date) if start_date else None

    @functools.cached_property
    def crawl(self) -> Crawl:
        """What is read in this run."""
        streams = self.streams
        commits = streams["commits"]
        incremental = isinstance(commits, Commits) and commits.is_incremental
        return Crawl(
            self.client,
            self.filters,
            self.bookmarks.of if incremental else lambda _: Bookmark(),
            wanted=Wanted(
                streams["repositories"].selected
                or streams["repositories"].has_selected_descendents,
                streams["default_branches"].selected,
                commits.selected,
            ),
            concurrency=self.config["concurrency"],
            tick=self.checkpoint,
        )

    @functools.cached_property
    def progress(self) -> Progress:
        """What people are told about this run."""
        return Progress(self.client, self.crawl)

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Hold a run: whatever ends it, what was read is out and the state says so."""
        _ = self.start_date, self.progress
        try:
            yield
            self.crawl.finish()
            self.bookmarks.drop(self.crawl.gone(self.bookmarks.names()))
        finally:
            self._end()
            self.crawl.close()
            for name in ("client", "crawl", "filters", "progress"):  # another run begins anew
                del self.__dict__[name]

    def checkpoint(self) -> None:
        """Write what is due, and stop here if a signal asks for it."""
        self.message_writer.flush_when_due()
        self.progress.tell()
        if self._stopped_by:
            self._end()  # an exception would wait for the requests under way

    def _end(self) -> None:
        """Write what was read and the last STATE; stop here if a signal asks for it."""
        self.message_writer.finish()
        self.progress.summary()
        if self._stopped_by:
            _exit_at_once(128 + self._stopped_by)

    def _handle_termination(self, signum: int, _frame: FrameType | None) -> None:
        # The SDK would write STATE here, perhaps into the middle of another line.
        self.logger.warning("Stopping after %s", signal.Signals(signum).name)
        self._stopped_by = signum
        signal.signal(signum, signal.SIG_DFL)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        try:
            found = super()._validate_config(raise_errors=raise_errors)
        except ConfigValidationError as error:
            found = [_without_secret(e) for e in error.errors]
            raise errors.ConfigError("; ".join(found) + ".") from None
        return [_without_secret(e) for e in found]

    def check(self) -> None:
        """Print whether a sync would work; raises the BitbucketError it would end with."""
        Check(self.client, self.filters, self.config, click.echo).run()

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
            state=command.json_file("--state", state),
            catalog=command.catalog_file(catalog),
            **options,
        )

    @classmethod
    def cb_config(cls, *args: Any) -> Any:  # noqa: ANN401 as the SDK has them
        """Return the configuration; raises ConfigError if a file is no JSON object."""
        with command.readable("--config"):
            return super().cb_config(*args)

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the SDK's command, with one line for an error, not a traceback."""
        return command.Command.of(super().get_singer_command(), cls.__doc__, cls.logger)


def _check(tap_class: type[TapBitbucketDC], given: Any) -> None:  # noqa: ANN401 the SDK's
    tap, level = None, tap_class.logger.level
    tap_class.logger.setLevel(logging.WARNING)  # what is for people goes to stdout
    try:
        tap = tap_class(config=given.config, parse_env_config=given.parse_env)
        tap.check()
    except errors.BitbucketError as error:
        click.echo(failure(error, tap.config if tap else {}))
        raise
    finally:
        tap_class.logger.setLevel(level)


def _without_secret(error: str) -> str:
    """Return a message about a setting without the value, if the setting is secret."""
    for name, setting in SETTINGS["properties"].items():
        if setting.get("secret") and f"config[{name!r}]" in error:
            return f"`{name}` is not a string"
    return error


def _require_one_login(config: Mapping[str, Any]) -> None:
    token, username, password = (
        config.get(name) or "" for name in ("token", "username", "password")
    )
    if bool(token) == bool(username or password):
        msg = "Set either `token`, or `username` and `password`."
        raise errors.ConfigError(msg)
    if not token and not (username and password):
        msg = "Set both `username` and `password`."
        raise errors.ConfigError(msg)
    if not (token.isascii() and token.isprintable() and " " not in token):
        msg = "`token` has characters that no token has: white space, perhaps."
        raise errors.ConfigError(msg)
    if ":" in username:
        msg = "`username` has a colon, which Basic authentication cannot send."
        raise errors.ConfigError(msg)
    if config.get("batch_config"):
        msg = "`batch_config` is not supported."
        raise errors.ConfigError(msg)


def _require_state(state: object) -> None:
    """Raise ConfigError unless the parts that are used have the right types."""
    levels: list[tuple[str, type]] = [("bookmarks", dict), (STREAM, dict)]
    found = state
    for name, kind in [*levels, ("partitions", list)]:
        if not isinstance(found, dict):
            break
        found = found.get(name, kind())
        if not isinstance(found, kind):
            break
    else:
        return
    msg = f"The state is no Singer state with bookmarks, {STREAM}, partitions."
    raise errors.ConfigError(msg)


def _exit_at_once(code: int) -> None:
    # Not sys.exit, which waits for the requests under way, up to a minute.
    logging.shutdown()
    os._exit(code)
