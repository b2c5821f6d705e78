"""Tells people how far a run is: a line now and then, and one at the end."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_bitbucket_dc.client import Client
    from tap_bitbucket_dc.crawl import Crawl

logger = logging.getLogger("tap-bitbucket-dc")

INTERVAL = 10.0  # seconds between two lines: short runs say nothing on the way


class Progress:
    """The counts of one run."""

    def __init__(
        self, client: Client, crawl: Crawl, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the clock."""
        self._client = client
        self._crawl = crawl
        self._clock = clock
        self._started = self._told = clock()
        self.commits = 0
        """Commits written so far."""

    def tell(self) -> None:
        """Log a line, if the last is long enough ago."""
        now = self._clock()
        if now - self._told >= INTERVAL:
            self._told = now
            logger.info("%s%s", self._so_far(now), self._rest(now))

    def summary(self) -> None:
        """Log the last line."""
        now = self._clock()
        logger.info("%s in %s", self._so_far(now), duration(now - self._started))

    def _so_far(self, now: float) -> str:
        crawl, requests = self._crawl, self._client.requests
        rate = requests / max(now - self._started, 0.001)
        return (
            f"{crawl.done:,} of {crawl.known:,} repositories, {self.commits:,} commits, "
            f"{requests:,} requests ({rate:,.0f} per second)"
        )

    def _rest(self, now: float) -> str:
        """Return an estimate, as good as repositories are alike."""
        if not self._crawl.done:
            return ""
        rest = (self._crawl.known - self._crawl.done) / self._crawl.done
        more = "" if self._crawl.all_listed else " or more, for not all are listed yet"
        return f", about {duration(rest * (now - self._started))} left{more}"


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    >>> duration(3725)
    '1 h 2 min'
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
