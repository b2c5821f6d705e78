"""The records, requests and durations of a run, as the SDK's METRIC lines in the log.

The SDK would log them for each repository. Here each stream gets one line of each kind, at the end.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self

from singer_sdk.metrics import Metric, Point, Status, Tag, get_metrics_logger, log

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_bitbucket_dc.bitbucket.usage import Requests

_REPOSITORY = "/projects/{project_key}/repos/{repository_slug}"
ENDPOINTS = {
    "projects": ("/projects", "/projects/{project_key}"),
    "repositories": ("/projects/{project_key}/repos", "/repos", _REPOSITORY),
    "default_branches": (f"{_REPOSITORY}/branches/default", f"{_REPOSITORY}/default-branch"),
    "commits": (f"{_REPOSITORY}/commits",),
}
"""Endpoints by stream; the first one is the stream's ``endpoint`` tag."""


class Meter:
    """Counts the records of a stream, and times its syncs as a context manager."""

    def __init__(self) -> None:
        self.records = 0
        self._seconds = 0.0
        self._started: float | None = None

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds, self._started = self.seconds, None

    @property
    def seconds(self) -> float:
        """Duration of all syncs so far, the current one included."""
        now = time.perf_counter()
        return self._seconds + now - (self._started or now)


class Metrics(dict[str, Meter]):
    """The meters of a run, by stream."""

    def __init__(self, selected: Iterable[str]) -> None:
        """Create the meters; ``selected`` are the names of the streams that are written."""
        super().__init__((name, Meter()) for name in ENDPOINTS)
        self._selected = frozenset(selected)
        self.status = Status.FAILED
        """How the run ended: failed until it has succeeded."""

    def log(self, requests: Mapping[str, Requests]) -> None:
        """Log all metrics; ``requests`` are those that were answered, by endpoint."""
        logger = get_metrics_logger()
        for name in self:
            for point in (*self._of_the_sync(name), *_of_the_requests(name, requests)):
                point.tags |= {Tag.STREAM: name, Tag.PID: os.getpid()}
                log(logger, point)

    def _of_the_sync(self, stream: str) -> Iterator[Point[Any]]:
        if stream in self._selected:
            meter = self[stream]
            yield Point("timer", Metric.SYNC_DURATION, meter.seconds, {Tag.STATUS: self.status})
            yield Point("counter", Metric.RECORD_COUNT, meter.records)


def _of_the_requests(stream: str, requests: Mapping[str, Requests]) -> Iterator[Point[Any]]:
    endpoints = ENDPOINTS[stream]
    found = [requests[endpoint] for endpoint in endpoints if endpoint in requests]
    if found:
        count, seconds, failed = (sum(column) for column in zip(*found, strict=True))
        status = Status.FAILED if failed == count else Status.SUCCEEDED
        tags: dict[str, Any] = {Tag.ENDPOINT: endpoints[0]}
        yield Point("counter", Metric.HTTP_REQUEST_COUNT, count, tags)
        yield Point("timer", Metric.HTTP_REQUEST_DURATION, seconds, {**tags, Tag.STATUS: status})
