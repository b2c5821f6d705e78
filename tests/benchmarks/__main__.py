"""Measures the tap beside what one would use instead, on this machine; prints Markdown.

dlt and airbyte-cdk get environments of their own in the cache directory. A whole run takes
about half an hour and draws ``figures/postgres.svg`` and ``figures/speed.svg``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks import postgres, report, shards, tools
from tests.benchmarks.cases import CASES, Bench
from tests.benchmarks.server import Server
from tests.benchmarks.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.report import Section

FIGURES = Path(__file__).parent / "figures"
LOADS = {"postgres": postgres.measure, "shards": shards.measure}
ALL = (*LOADS, *CASES)
QUICK = (
    "**Quick: a tenth of the data, once. Starting takes most of the time: no figures to quote.**\n"
)


def main() -> None:
    """Measure the cases asked for."""
    arguments = _arguments()
    rounds = 1 if arguments.quick else arguments.rounds
    small = 10 if arguments.quick else 1
    names = arguments.cases or ALL
    if arguments.quick:
        _say(QUICK)
    with tempfile.TemporaryDirectory() as directory:
        for name in (name for name in LOADS if name in names):
            measured = []
            for case in LOADS[name](rounds, small, Path(directory)):
                measured.append(case)
                _say(str(case))
            if name == "postgres" and not arguments.quick:
                _draw_loads([case for case in measured if isinstance(case, postgres.Case)])
        if alone := [name for name in CASES if name in names]:
            _measure_the_tap(alone, rounds, small, Path(directory))
    _say(report.where(dict.fromkeys([*postgres.versions(), *_versions(names)]), rounds))


def _measure_the_tap(names: Sequence[str], rounds: int, small: int, directory: Path) -> None:
    with Server(World()) as tiny:
        bench = Bench(
            tools.ours(),
            tools.naive(),
            tools.dlt(),
            tools.airbyte(),
            tools.limit(),
            rounds,
            small,
            directory,
            tiny,
        )
        bench.warm_up()
        found: dict[str, Section] = {}
        for name in names:
            found[name] = CASES[name](bench)
            _say(str(found[name]))
    if {"long", "many"} <= found.keys() and small == 1:
        _draw(bench, found)


def _versions(names: Sequence[str]) -> list[str]:
    if not set(CASES) & set(names):
        return []
    others = [tools.naive(), *tools.dlt(), *tools.airbyte(), *tools.limit()]
    return [tool.version for tool in (tools.ours(), *others)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(ALL)}; all if none is given")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, once")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, 3 by default")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.cases) - set(ALL)):
        parser.error(f"no such case: {', '.join(unknown)}")
    return arguments


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 it is there to print


def _draw(bench: Bench, found: dict[str, Section]) -> None:
    # Imported late: the memory of this process counts as memory of the processes it starts.
    from tests.benchmarks.figure import Panel, draw  # noqa: PLC0415

    long, many = found["long"].runs, found["many"].runs
    names = [tool.name for tool in bench.everyone]
    rates = [(name, long[name].commits / long[name].seconds) for name in names]
    panels = [
        Panel("One repository, 100,000 commits: commits per second, more is better", rates, ",.0f")
    ]
    for size in ("1,000", "10,000"):
        labels = [(name, f"{size} repositories: {name}") for name in names]
        times = [(name, many[label].seconds) for name, label in labels if label in many]
        title = f"{size} repositories, 10 commits each: seconds, less is better"
        panels.append(Panel(title, times, ".1f"))
    draw(panels, FIGURES / "speed.svg")


def _draw_loads(cases: list[postgres.Case]) -> None:
    # Imported late, as in _draw.
    from tests.benchmarks.figure import Panel, draw  # noqa: PLC0415

    panels = []
    for case in cases:
        for what in ("first", "idle"):
            bars = [(name, median(getattr(times, what))) for name, times in case.times.items()]
            title = f"{case.title} into PostgreSQL, {what} load: seconds, less is better"
            panels.append(Panel(title, bars, ".1f"))
    draw(panels, FIGURES / "postgres.svg")


if __name__ == "__main__":
    main()
