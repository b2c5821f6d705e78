"""Writes Singer messages: fast, whole lines, and STATE in the right order.

Records wait in memory until enough of them are there, or a few seconds have gone. Then
STATE goes out **before** them, saying which ranges they may come from (see
``bookmarks``), and says that they are out with the next one.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib import RecordMessage, StateMessage
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

if TYPE_CHECKING:
    from singer_sdk.singerlib.encoding.simple import Message

    from tap_bitbucket_dc.bookmarks import Bookmarks

LEAST_BYTES = 256 * 1024  # of records between two STATE messages
TIMES_STATE = 40  # bytes of records for each byte of STATE: its total stays linear
MOST_SECONDS = 20.0  # until records go out, and so between two STATE messages


class MessageWriter(GenericSingerWriter[bytes, "Message"]):
    """Writes messages to standard output as lines of JSON."""

    def __init__(self, bookmarks: Bookmarks) -> None:
        """Take the bookmarks whose state goes out between the records."""
        self._bookmarks = bookmarks
        self._lines = bytearray()
        self._state_size = 0
        self._broken = False
        self._flushed_at = time.monotonic()
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def serialize_message(self, message: Message) -> bytes:
        """Return a message as a line of JSON."""
        return self._encoder.encode(message.to_dict()) + b"\n"

    def write_message(self, message: Message) -> None:
        """Write a message; a record waits, and what comes after it does not pass it."""
        if isinstance(message, StateMessage):
            self.flush()
            self._write_state()
            return
        self._lines += self.serialize_message(message)
        if not isinstance(message, RecordMessage):
            self.flush()

    def record_prefix(self, stream: str, time_extracted: str) -> bytes:
        """Return what ``write_record`` puts before the records of a stream."""
        head = {"type": "RECORD", "stream": stream, "time_extracted": time_extracted}
        return self._encoder.encode(head)[:-1] + b',"record":'

    def write_record(self, prefix: bytes, record: dict[str, Any]) -> None:
        """Write a record message without making an object of it."""
        lines = self._lines
        lines += prefix
        self._encoder.encode_into(record, lines, -1)
        lines += b"}\n"

    def flush_when_due(self) -> None:
        """Write what waits, if it is much or has waited for long."""
        if self._lines and (
            len(self._lines) >= max(LEAST_BYTES, TIMES_STATE * self._state_size)
            or time.monotonic() - self._flushed_at >= MOST_SECONDS
        ):
            self.flush()

    def flush(self) -> None:
        """Write what waits: first STATE if it has changed, then the records."""
        if self._bookmarks.changed:
            self._write_state()
        lines, self._lines = self._lines, bytearray()
        self._write_all(lines)
        self._bookmarks.settle()
        self._flushed_at = time.monotonic()

    def finish(self) -> None:
        """Write what waits, and the last STATE; nothing if not all before it is out."""
        if not self._broken:
            self.flush()
            self._write_state()

    def _write_state(self) -> None:
        # Not as a StateMessage, which copies every partition.
        message = {"type": "STATE", "value": self._bookmarks.state}
        line = self._encoder.encode(message) + b"\n"
        self._state_size = len(line)
        self._bookmarks.changed = False
        self._write_all(line)

    def _write_all(self, data: bytes | bytearray) -> None:
        """Write until all is out: a raw pipe takes a part at a time."""
        if not data:
            return
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        output = getattr(sys.stdout, "buffer", None)
        if output is None:  # a test's io.StringIO
            sys.stdout.write(data.decode())
            return
        rest = memoryview(data)
        # Until all is out: a STATE after lines that are lost would not be true.
        self._broken = True
        try:
            while rest:
                rest = rest[output.write(rest) :]
            output.flush()
        except OSError:
            abandon_stdout()
            raise
        self._broken = False


def abandon_stdout() -> None:
    """Write no more: else the interpreter tries once more when it ends, and complains."""
    if sys.stdout is not None:  # it was closed before the start
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
