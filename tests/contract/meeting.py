"""Requests that wait for each other, so that a test need not hope that they overlap."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator import Fault

if TYPE_CHECKING:
    from tests import singer

PATIENCE = 60  # seconds


def meeting(requests: int, match: str = "/branches/default") -> Fault:
    """Return a fault that holds back the first ``requests`` answers until all have arrived."""
    barrier = threading.Barrier(requests, timeout=PATIENCE)

    def wait(body: singer.Json) -> singer.Json:
        barrier.wait()
        return body

    return Fault(match, kind="replace", replace=wait, times=requests)
