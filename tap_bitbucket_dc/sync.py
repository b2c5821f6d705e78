"""One run of the tap: what it needs, how it ends, and the progress it logs.

Whatever ends a run, what was read is written first, and the state says so, unless the target has
stopped reading.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from singer_sdk.metrics import Status

from tap_bitbucket_dc.bitbucket import Client, Options
from tap_bitbucket_dc.extract.crawl import Crawl
from tap_bitbucket_dc.extract.filters import Filters
from tap_bitbucket_dc.extract.outcome import counted
from tap_bitbucket_dc.settings import require_one_login, start_date
from tap_bitbucket_dc.signals import end_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from tap_bitbucket_dc.bitbucket import Throttle
    from tap_bitbucket_dc.extract.crawl import Wanted
    from tap_bitbucket_dc.metrics import Metrics
    from tap_bitbucket_dc.state import State
    from tap_bitbucket_dc.writer import MessageWriter

logger = logging.getLogger("tap-bitbucket-dc")

MOST_PATIENCE = 60.0  # seconds that a run has to stop, whatever it waits for
PATIENCE = 1.5  # seconds that a stopped run waits for a target that does not read
INTERVAL = 10.0  # seconds between two lines of progress: short runs log only the summary


class Stop:
    """Whether a signal has asked the run to stop."""

    def __init__(self, writer: MessageWriter) -> None:
        self._writer = writer
        self.signal: int | None = None
        self.is_heard = False
        """Whether a run checks for the signal. If not, there is nothing to write before the end."""

    def request(self, signal: int) -> None:
        """Ask the run to stop at its next checkpoint."""
        self.signal = signal
        threading.Thread(target=self._watch, args=[signal], daemon=True).start()

    def _watch(self, signal: int) -> None:
        """End the process if the main thread does not do so in time: the target may not read."""
        end = time.monotonic() + MOST_PATIENCE
        while (now := time.monotonic()) < min(end, (self._writer.waiting_since or now) + PATIENCE):
            time.sleep(0.1)
        end_at_once(signal)


class Sync:
    """One run, from the first request to the final STATE: ``with Sync(…).run() as sync``."""

    def __init__(  # noqa: PLR0913 what a run depends on
        self,
        config: Mapping[str, Any],
        state: State,
        writer: MessageWriter,
        *,
        wanted: Wanted,
        stop: Stop,
        metrics: Metrics,
        throttle: Throttle | None = None,
    ) -> None:
        """Check the settings, and raise ConfigError if one is wrong; send no request yet."""
        require_one_login(config)
        self.state = state
        self.writer = writer
        self.filters = Filters(config)
        self.start_date = start_date(config)
        """Milliseconds since 1970, None if it is not set."""
        self._client = Client(Options.of(config), throttle=throttle)
        self.crawl = Crawl(
            self._client,
            self.filters,
            state.bookmark,
            wanted=wanted,
            concurrency=config["concurrency"],
            on_wait=self.checkpoint,
        )
        self.metrics = metrics
        self.progress = Progress(self._client, self.crawl)
        self._stop = stop

    @contextlib.contextmanager
    def run(self) -> Iterator[Self]:
        """Open the run; once everything is written, raise what ``Crawl.finish`` raises."""
        self.writer.start()
        self._stop.is_heard = True
        with self.crawl:
            try:
                yield self
                self.crawl.finish()
                self._forget(self.state.names())
                self.metrics.status = Status.SUCCEEDED
            finally:
                self._end()

    def _forget(self, names: dict[int, str | None]) -> None:
        """Drop the repositories that no longer exist from the state."""
        gone = self.crawl.gone(names)
        for repository_id in gone:
            logger.info("%s no longer exists: its state has been dropped", names[repository_id])
        self.state.drop(gone)

    def checkpoint(self) -> None:
        """Write what is due, and stop here if a signal has asked for it."""
        self.writer.flush_when_due()
        self.progress.log_when_due()
        if self._stop.signal:
            self._end()  # an exception would wait for pending requests

    def _end(self) -> None:
        """Write what was read and the final STATE; stop here if a signal has asked for it."""
        self.writer.finish()
        self.metrics.log(self._client.usage.by_endpoint())
        self.progress.log_summary()
        self._stop.is_heard = False
        if self._stop.signal:
            logging.shutdown()
            end_at_once(self._stop.signal)


class Progress:
    """Logs how far a run is, every few seconds and at its end."""

    def __init__(self, client: Client, crawl: Crawl) -> None:
        self._client = client
        self._crawl = crawl
        self._started = self._logged = time.monotonic()
        self.commits = 0
        """Commits written so far."""

    def log_when_due(self) -> None:
        """Log a line, unless the last one is only a few seconds old."""
        now = time.monotonic()
        if now - self._logged >= INTERVAL:
            self._logged = now
            seconds = now - self._started
            logger.info("%s%s", self._so_far(seconds), self._remaining(seconds))

    def log_summary(self) -> None:
        """Log the last line."""
        seconds = time.monotonic() - self._started
        logger.info("%s in %s", self._so_far(seconds), _in_words(seconds))

    def _so_far(self, seconds: float) -> str:
        known, requests = self._crawl.listing.known, self._client.requests
        failures = self._crawl.outcome.failures
        return (
            f"{self._crawl.done:,} of {counted(known, 'repository')}"
            f"{f' ({failures:,} failed)' if failures else ''}, "
            f"{counted(self.commits, 'commit')}, {counted(requests, 'request')} "
            f"({requests / max(seconds, 0.001):,.0f} per second)"
        )

    def _remaining(self, seconds: float) -> str:
        """Return an estimate that assumes that repositories take about equally long."""
        done, listing = self._crawl.done, self._crawl.listing
        if not done:
            return ""
        left = _in_words((listing.known - done) / done * seconds)
        more = "" if listing.complete else "; more repositories are still being listed"
        return f", about {left} left{more}"


def _in_words(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 pendulum takes longer to import than most idle runs wait
        return f"{seconds:.1f} s"
    import pendulum  # noqa: PLC0415

    return pendulum.duration(seconds=round(seconds)).in_words(locale="en")
