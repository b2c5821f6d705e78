"""SIGINT and SIGTERM while there is nothing to write before the process ends."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def end_at_once(number: int, _frame: FrameType | None = None) -> None:
    """End the process without a traceback, with the exit code that shells expect."""
    # Not sys.exit: it waits for threads and their pending requests.
    os._exit(128 + number)


def obey_at_once() -> None:
    """Let a signal end the process at once, until the tap installs its own handlers."""
    signal.signal(signal.SIGINT, end_at_once)
    signal.signal(signal.SIGTERM, end_at_once)
