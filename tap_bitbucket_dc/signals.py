"""SIGINT and SIGTERM, where nothing has been read yet that must be written first.

The process ends at once, without a traceback, with the exit code that shells give it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once(number: int, _frame: FrameType | None = None) -> None:
    """End the process as a signal asks for."""
    # Not sys.exit, which waits for threads, and for the requests they have under way.
    os._exit(128 + number)


def obey_at_once() -> None:
    """Have a signal end the process at once, until something else sets its own handlers."""
    for number in SIGNALS:
        signal.signal(number, end_at_once)


@contextlib.contextmanager
def obeyed_at_once() -> Iterator[None]:
    """Hold where a signal may end the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.getsignal(number) for number in SIGNALS]
    obey_at_once()
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
