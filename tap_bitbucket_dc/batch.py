"""Writes records to files, and BATCH messages that name them.

A file contains records of one stream and any number of repositories. A target does not tell the tap
when it has read a file, so the state counts the files whose messages were sent before it::

    {"bookmarks": {…}, "batch_files": {"run": "0b1f…", "count": 12}}

A run that starts from this state removes the first 12 files of run ``0b1f…``. Files that no state
confirms belong to another job, or to a run that was killed: they are removed after ``KEPT``.
"""

from __future__ import annotations

import functools
import gzip
import logging
import re
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from singer_sdk.singerlib import RecordMessage, StateMessage

from tap_bitbucket_dc.bitbucket.errors import ConfigError
from tap_bitbucket_dc.writer import TIMES_STATE, MessageWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from singer_sdk.singerlib.encoding.simple import Message
    from upath import UPath

    from tap_bitbucket_dc.state import State

logger = logging.getLogger("tap-bitbucket-dc")

KEY = "batch_files"  # of the state
KEPT = 24 * 60 * 60  # seconds
MOST_BYTES = 16 * 1024 * 1024  # of the records in a file, before it is compressed
RUN_AND_NUMBER = re.compile(r"-([0-9a-f]{32})-(\d+)\.jsonl(\.gz)?\Z")


class Encoding(msgspec.Struct, forbid_unknown_fields=True):
    """How the files are written."""

    format: Literal["jsonl"]
    compression: Literal["none", "gzip"] | None = None


class Storage(msgspec.Struct, forbid_unknown_fields=True):
    """Where the files are."""

    root: Annotated[str, msgspec.Meta(min_length=1)]
    """A directory, or a URL that fsspec supports."""
    prefix: str | None = None
    params: dict[str, Any] = {}
    """Options of fsspec's file system."""


class BatchConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The setting ``batch_config``, as every SDK tap has it."""

    encoding: Encoding
    storage: Storage
    batch_size: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    """Records in a file."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> BatchConfig:
        """Return the setting; raises ConfigError if it is wrong."""
        try:
            found = msgspec.convert(config["batch_config"], cls)
            address = urlsplit(found.storage.root)
        except ValueError as error:
            raise ConfigError(f"`batch_config`: {str(error).rstrip('.')}.") from None
        if address.username or address.password:
            what = "`storage.root` contains credentials, which every BATCH message would show."
            raise ConfigError(f"`batch_config`: {what}")
        return found


class Files:
    """The files of this run, and those left over from earlier runs."""

    def __init__(self, config: BatchConfig) -> None:
        self.encoding = {"format": "jsonl", "compression": config.encoding.compression or "none"}
        self.run = uuid.uuid4().hex
        self.count = 0
        """Files written so far."""
        self._storage = config.storage
        self._folder, _, prefix = (config.storage.prefix or "").rpartition("/")
        self._prefix = f"{prefix}tap-bitbucket-dc--"

    @functools.cached_property
    def _directory(self) -> UPath:
        from upath import UPath  # noqa: PLC0415 only BATCH needs it

        root: UPath = UPath(self._storage.root, **self._storage.params).resolve()
        directory = root / self._folder if self._folder else root
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def write(self, stream: str, lines: bytes) -> str:
        """Write a file, and return its URL; raises ConfigError if it cannot be written."""
        self.count += 1
        stream = re.sub("[^A-Za-z0-9_.-]", "_", stream)
        name = f"{self._prefix}{stream}-{self.run}-{self.count}.jsonl"
        if self.encoding["compression"] == "gzip":
            name += ".gz"
            lines = gzip.compress(lines, compresslevel=1)  # the fastest: they are short-lived
        try:
            path = self._directory / name
            path.write_bytes(lines)
        except Exception as error:  # noqa: BLE001 fsspec's file systems raise any exception
            raise self._unusable(error) from None
        # Not as_uri: targets built with the SDK do not decode its %20.
        return path.as_uri() if path.protocol not in {"", "file"} else f"file://{path.path}"

    def remove_earlier(self, read_run: str = "", read: int = 0) -> None:
        """Remove the files of earlier runs that a target has read, and those left behind.

        Args:
            read_run: A run of which a target has read the first ``read`` files.

        Raises:
            ConfigError: The storage cannot be used.
        """
        try:
            for run, files in self._found().items():
                newest = max(files)
                written = files[newest].stat().st_mtime  # 0 if the storage does not know
                is_left = written and time.time() - written > KEPT
                up_to = newest if is_left else read if run == read_run else 0
                for number, path in files.items():
                    if number <= up_to:
                        _remove(path)
        except Exception as error:  # noqa: BLE001 as above
            raise self._unusable(error) from None

    def _found(self) -> dict[str, dict[int, UPath]]:
        """Return the files of this tap in the storage, by run and number."""
        found: dict[str, dict[int, UPath]] = {}
        for path in self._directory.iterdir():
            match = RUN_AND_NUMBER.search(path.name)
            if match and path.name.startswith(self._prefix):
                found.setdefault(match[1], {})[int(match[2])] = path
        return found

    def _unusable(self, error: Exception) -> ConfigError:
        # Not the whole error: it may contain one of the params.
        why = getattr(error, "strerror", None) or type(error).__name__
        return ConfigError(f"`batch_config`: {self._storage.root} cannot be used: {why}.")


def _remove(path: UPath) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s cannot be removed: %s", path, error.strerror)


class _Batch(msgspec.Struct):
    """The records of a stream that wait for their file, and the files that wait for a message."""

    stream: str
    lines: bytearray = msgspec.field(default_factory=bytearray)
    rows: int = 0
    manifest: list[str] = []


class BatchWriter(MessageWriter):
    """Writes BATCH messages instead of RECORD messages."""

    def __init__(self, state: State, config: BatchConfig) -> None:
        super().__init__(state)
        self._files = Files(config)
        self._most_rows = config.batch_size
        self._batches: dict[str, _Batch] = {}
        self._bytes_in_files = 0  # that no message has named yet

    def start(self) -> None:
        """Remove the files of earlier runs; raises ConfigError if the storage cannot be used."""
        match self._state.value.get(KEY):
            case {"run": str(run), "count": int(count)}:
                self._files.remove_earlier(run, count)
            case _:
                self._files.remove_earlier()

    def write_message(self, message: Message) -> None:
        """Write a message; records go to a file, and no STATE overtakes them."""
        if isinstance(message, RecordMessage):
            self._add(self._batch(message.stream), message.record)
        elif isinstance(message, StateMessage):
            self.finish()
        else:
            self._write_all(self.serialize_message(message))

    def record_writer(self, stream: str, time_extracted: str) -> Callable[[dict[str, Any]], None]:  # noqa: ARG002 files hold records only
        """Return a function that adds a record of the stream to a file."""
        return functools.partial(self._add, self._batch(stream))

    def flush(self) -> None:
        """Complete the files, write the STATE if it has changed, then the BATCH messages."""
        encoding = self._files.encoding
        for batch in self._batches.values():
            if batch.rows:
                self._complete(batch)
            if batch.manifest:
                message = {"type": "BATCH", "stream": batch.stream, "encoding": encoding}
                self._lines += self._encoder.encode({**message, "manifest": batch.manifest}) + b"\n"
                batch.manifest = []
        self._bytes_in_files = 0
        super().flush()
        if self._files.count:
            self._state.value[KEY] = {"run": self._files.run, "count": self._files.count}

    def _batch(self, stream: str) -> _Batch:
        return self._batches.setdefault(stream, _Batch(stream))

    def _add(self, batch: _Batch, record: dict[str, Any]) -> None:
        self._encoder.encode_into(record, batch.lines, -1)
        batch.lines += b"\n"
        batch.rows += 1
        if batch.rows >= self._most_rows or len(batch.lines) >= MOST_BYTES:
            self._complete(batch)

    def _complete(self, batch: _Batch) -> None:
        """Write a file; its message waits for the next flush."""
        self._broken = True  # as in _write_all
        batch.manifest.append(self._files.write(batch.stream, bytes(batch.lines)))
        self._broken = False
        self._bytes_in_files += len(batch.lines)
        batch.lines, batch.rows = bytearray(), 0

    def _is_enough(self) -> bool:
        # With many small repositories, the total size of all STATE messages would otherwise grow
        # with the square of their number.
        return 0 < self._bytes_in_files >= TIMES_STATE * self._state_size
