"""What was measured, as Markdown."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.measure import Runs

COLUMNS = (
    "",
    "seconds (least)",
    "processor, s",
    "commits/s",
    "memory, MB",
    "requests",
    "at once",
    "STATE, kB",
)


class Promise(NamedTuple):
    """Something that must hold."""

    words: str
    measured: float
    bound: float
    at_least: bool = False
    """Whether ``bound`` is a lower bound, not an upper one."""
    remark: str = ""

    @property
    def holds(self) -> bool:
        """Whether the measured value is within the bound."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def __str__(self) -> str:
        verdict = "pass" if self.holds else "**FAIL**"
        sign = "≥" if self.at_least else "≤"
        measured = f"{self.measured:,.0f}" if self.measured >= 10 else f"{self.measured:.2f}"
        remark = f"; {self.remark}" if self.remark else ""
        return f"{verdict}: {self.words} {measured} ({sign} {self.bound:,g}){remark}"


class Section(NamedTuple):
    """What a case found."""

    title: str
    runs: dict[str, Runs]
    """What was measured, by the label of the entrant."""
    promises: list[Promise]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [_row(label, runs) for label, runs in self.runs.items()]
        table = "\n".join(cells(row) for row in (COLUMNS, ("---",) * len(COLUMNS), *rows))
        lines = "\n".join(f"* {line}" for line in (*self.promises, *self.remarks))
        return f"### {self.title}\n\n{table}\n\n{lines}\n"


def where(versions: Iterable[str], rounds: int) -> str:
    """Return on which machine, with which versions and how the measurements were taken."""
    load = os.getloadavg()[2]
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {', '.join(versions)}. Medians of {rounds}, "
        "taken in turns, and the least; a local server in a process of its own; load of the "
        f"machine in the last quarter of an hour {load:.1f}."
    )


def _row(label: str, runs: Runs) -> tuple[str, ...]:
    return (
        label,
        f"{runs.seconds:.2f} ({runs.least:.2f})",
        f"{runs.processor:.2f}",
        f"{runs.commits / runs.seconds:,.0f}" if runs.commits else "",
        f"{runs.megabytes:.0f}",
        f"{runs.requests:,}",
        str(runs.at_once),
        f"{runs.state_bytes / 1000:,.0f}" if runs.state_bytes else "",
    )


def cells(row: tuple[str, ...]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(row)} |"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
