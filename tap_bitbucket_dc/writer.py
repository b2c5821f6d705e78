"""Writes Singer messages: fast, in whole lines, and STATE in the right order.

Records wait in memory until there are enough of them, or until ``MOST_SECONDS`` have passed. A
STATE that names the ranges they come from is written **before** them (see ``state``). The next
STATE says that they have been written.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib import RecordMessage, StateMessage
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from singer_sdk.singerlib.encoding.simple import Message

    from tap_bitbucket_dc.state import State

LEAST_BYTES = 256 * 1024  # of records between two STATE messages
TIMES_STATE = 40  # bytes of records per byte of STATE, so that the total of STATE stays linear
CHUNK = 64 * 1024  # bytes written at once: the capacity of a pipe
MOST_SECONDS = 20.0  # that records wait, and thus between two STATE messages


class MessageWriter(GenericSingerWriter[bytes, "Message"]):
    """Writes messages to standard output as lines of JSON."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lines = bytearray()
        self._most = LEAST_BYTES  # of records that wait
        self._state_size = 0
        self._broken = False
        self.waiting_since: float | None = None
        """When the current write to the target began (monotonic seconds); None if there is none."""
        self._flushed_at = time.monotonic()
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def start(self) -> None:
        """Prepare for a run."""

    def serialize_message(self, message: Message) -> bytes:
        """Return a message as a line of JSON."""
        return self._encoder.encode(message.to_dict()) + b"\n"

    def write_message(self, message: Message) -> None:
        """Write a message; records wait, and no later message overtakes them."""
        if isinstance(message, StateMessage):
            self.finish()
            return
        self._lines += self.serialize_message(message)
        if not isinstance(message, RecordMessage) or self._is_enough():
            self.flush()

    def record_writer(self, stream: str, time_extracted: str) -> Callable[[dict[str, Any]], None]:
        """Return a function that writes records of the stream without message objects."""
        head = {"type": "RECORD", "stream": stream, "time_extracted": time_extracted}
        prefix = self._encoder.encode(head)[:-1] + b',"record":'
        return functools.partial(self._write_record, prefix)

    def _write_record(self, prefix: bytes, record: dict[str, Any]) -> None:
        lines = self._lines
        lines += prefix
        self._encoder.encode_into(record, lines, -1)
        lines += b"}\n"
        if len(lines) >= self._most:  # a page can be large
            self.flush()

    def flush_when_due(self) -> None:
        """Flush if many records wait, or if they have waited long enough."""
        if self._is_enough() or time.monotonic() - self._flushed_at >= MOST_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the STATE if it has changed, then the records that wait."""
        if self._state.changed:
            self._write_state()
        lines, self._lines = self._lines, bytearray()
        self._write_all(lines)
        self._state.settle()
        self._flushed_at = time.monotonic()

    def finish(self) -> None:
        """Flush and write the final STATE, unless an earlier write failed."""
        if not self._broken:
            self.flush()
            self._write_state()

    def _is_enough(self) -> bool:
        """Return whether enough records wait to justify the STATE that a flush writes."""
        return len(self._lines) >= self._most

    def _write_state(self) -> None:
        # Not as a StateMessage, because that copies every partition.
        message = {"type": "STATE", "value": self._state.value}
        line = self._encoder.encode(message) + b"\n"
        self._state_size = len(line)
        self._most = max(LEAST_BYTES, TIMES_STATE * self._state_size)
        self._state.changed = False
        self._write_all(line)

    def _write_all(self, data: bytes | bytearray) -> None:
        """Write all of the data, even if a raw pipe takes only a part at a time."""
        if sys.stdout is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        output = getattr(sys.stdout, "buffer", None)
        if output is None:  # a test's io.StringIO
            sys.stdout.write(data.decode())
            return
        rest = memoryview(data)
        # Reset once everything is written: a STATE after lost lines would be wrong.
        self._broken = True
        try:
            while rest:
                self.waiting_since = time.monotonic()
                rest = rest[output.write(rest[:CHUNK]) :]
            output.flush()
            self.waiting_since = None
        except OSError:
            abandon_stdout()
            raise
        self._broken = False


def abandon_stdout() -> None:
    """Discard what is not written yet: at exit, trying to flush it would print an error."""
    if sys.stdout is not None:  # None if it was closed before the start
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
