"""The requests that a server has received, and the faults that they use up. No HTTP."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_bitbucket_dc.emulator.exchange import Request
    from tap_bitbucket_dc.emulator.faults import Fault
    from tap_bitbucket_dc.emulator.options import Options


class Traffic:
    """The log of one server. All its methods may be called by several threads at once.

    Attributes:
        requests: Every request, including those that are not answered yet.
        most_at_once: The highest number of requests that were under way at the same time.
        stopping: Set when the server stops, so that nothing waits any longer.
    """

    def __init__(self, options: Options) -> None:
        self.requests: list[Request] = []
        self.most_at_once = 0
        self.stopping = threading.Event()
        self._options = options
        self._lock = threading.Lock()
        self._hooks = threading.Lock()
        self._at_once = 0
        self._arrivals = 0

    def arrived(self, request: Request) -> None:
        """Log a request, call the functions in ``on_request``, and wait for the latency."""
        with self._lock:
            self._arrivals += 1
            request.number = self._arrivals
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        with self._hooks:
            for hook in list(self._options.on_request):
                hook(request)
        self.stopping.wait(self._options.latency)

    def answered(self, request: Request, status: int | None) -> None:
        """Log that a request is about to be answered. Later calls for the same one do nothing."""
        if request.finished is None:
            with self._lock:
                self._at_once -= 1
            request.status = status
            request.finished = time.monotonic()

    def fault(self, request: Request) -> Fault | None:
        """Return the fault that happens to a request, if any, and use up one of its ``times``."""
        faults = self._options.faults
        with self._lock:
            for i, fault in enumerate(faults):
                if fault.matches(request):
                    left = None if fault.times is None else fault.times - 1
                    faults[i : i + 1] = (
                        [] if left == 0 else [dataclasses.replace(fault, times=left)]
                    )
                    return fault
        return None
