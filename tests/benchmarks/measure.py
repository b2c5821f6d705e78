"""Runs a command, and measures it from outside: its time, memory, output and requests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks.server import Counts, Server
    from tests.benchmarks.tools import Tool

DISTORTING = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
COMMIT = (b'{"type":"RECORD","stream":"commits"', b'{"type":"RECORD","record":{"stream":"commits"')
STATE = b'{"type":"STATE"'


class Measurement(NamedTuple):
    """One run of one command."""

    seconds: float
    processor: float
    """CPU seconds of all threads together."""
    commits: int
    megabytes: float
    """Peak memory."""
    state_bytes: int
    """Bytes of all STATE messages together."""
    counts: Counts


class Entrant(NamedTuple):
    """A tool that reads a server."""

    tool: Tool
    server: Server
    label: str = ""
    """Its name in the results; if empty, the name of the tool."""
    concurrency: int = 8
    state: Path | None = None
    """State of an earlier run, after which nothing is new: no commit is expected."""


class Runs(list[Measurement]):
    """What was measured for one entrant: medians of times, and the highest of other numbers."""

    @property
    def seconds(self) -> float:
        """Seconds from start to end."""
        return median(run.seconds for run in self)

    @property
    def least(self) -> float:
        """Seconds of the fastest run, which was disturbed least."""
        return min(run.seconds for run in self)

    @property
    def processor(self) -> float:
        """CPU seconds."""
        return median(run.processor for run in self)

    @property
    def commits(self) -> int:
        """Commits read, the same in each run."""
        return self[0].commits

    @property
    def megabytes(self) -> float:
        """Most memory in any run."""
        return max(run.megabytes for run in self)

    @property
    def state_bytes(self) -> int:
        """Most bytes of STATE in any run."""
        return max(run.state_bytes for run in self)

    @property
    def requests(self) -> int:
        """Most requests in any run."""
        return max(run.counts.requests for run in self)

    @property
    def refused(self) -> int:
        """Most answers 429 in any run."""
        return max(run.counts.refused for run in self)

    @property
    def at_once(self) -> int:
        """Most requests under way at once in any run."""
        return max(run.counts.at_once for run in self)


def race(entrants: Sequence[Entrant], rounds: int, directory: Path) -> dict[str, Runs]:
    """Return what was measured for each entrant, by label. They take turns: A B C A B C."""
    found: dict[str, Runs] = {}
    for number in range(rounds):
        for entrant in entrants:
            label = entrant.label or entrant.tool.name
            run = measure(entrant, directory)
            found.setdefault(label, Runs()).append(run)
            text = f"round {number + 1}: {label}: {run.seconds:.2f} s"
            print(text, file=sys.stderr, flush=True)  # noqa: T201 progress
    return found


def measure(entrant: Entrant, directory: Path) -> Measurement:
    """Run an entrant once, and return what was measured.

    Raises:
        RuntimeError: The tool failed, or did not read every commit.
    """
    tool, server = entrant.tool, entrant.server
    command = tool.command(server.url, directory, entrant)
    server.counts()
    with (directory / "output").open("wb") as output, (directory / "log").open("wb") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=log, cwd=directory, env=environment(directory)
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    commits, state_bytes = _read(directory / "output")
    expected = 0 if entrant.state else server.world.all_commits
    if process.returncode or commits != expected:
        log_end = (directory / "log").read_text()[-2000:]
        raise RuntimeError(f"{tool.name}: {commits} of {expected} commits.\n{log_end}")
    processor = usage.ru_utime + usage.ru_stime
    megabytes = usage.ru_maxrss / 1024  # Linux reports kilobytes
    counts = server.counts()
    return Measurement(seconds, processor, commits, megabytes, state_bytes, counts)


def environment(directory: Path) -> dict[str, str]:
    """Return the environment of a command that is measured."""
    kept = {name: value for name, value in os.environ.items() if name not in DISTORTING}
    return {**kept, "RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(directory / "dlt")}


def _read(output: Path) -> tuple[int, int]:
    """Return the number of commits, which may be given as a number, and the bytes of STATE."""
    commits = state_bytes = 0
    with output.open("rb") as lines:
        for line in lines:
            if line.startswith(COMMIT):
                commits += 1
            elif line.startswith(STATE):
                state_bytes += len(line)
            elif line.strip().isdigit():
                commits += int(line)
    return commits, state_bytes
