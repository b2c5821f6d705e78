"""SIGINT and SIGTERM, where nothing has been read yet that must be written first.

The process ends at once, without a traceback, with the exit code that shells give it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once(number: int, _frame: FrameType | None = None) -> None:
    """End the process as a signal asks for."""
    # Not sys.exit, which waits for threads, and for the requests they have under way.
    os._exit(128 + number)


def obey_at_once() -> None:
    """Have a signal end the process at once, until the tap sets handlers of its own."""
    for number in SIGNALS:
        signal.signal(number, end_at_once)
