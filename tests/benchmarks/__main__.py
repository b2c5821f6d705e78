"""Measures the tap beside what one would use instead, on this machine; prints Markdown.

dlt and airbyte-cdk get environments of their own in the cache directory. A whole run takes
about ten minutes and draws ``figures/speed.svg``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import report, tools
from tests.benchmarks.cases import CASES, Bench
from tests.benchmarks.server import Server
from tests.benchmarks.world import World

if TYPE_CHECKING:
    from tests.benchmarks.report import Section

FIGURE = Path(__file__).parent / "figures" / "speed.svg"
QUICK = (
    "**Quick: a tenth of the data, once. Starting takes most of the time: no figures to quote.**\n"
)


def main() -> None:
    """Measure the cases asked for."""
    arguments = _arguments()
    rounds = 1 if arguments.quick else arguments.rounds
    small = 10 if arguments.quick else 1
    with tempfile.TemporaryDirectory() as directory, Server(World()) as tiny:
        bench = Bench(
            tools.ours(),
            tools.naive(),
            tools.dlt(),
            tools.airbyte(),
            tools.limit(),
            rounds,
            small,
            Path(directory),
            tiny,
        )
        bench.warm_up()
        if arguments.quick:
            _say(QUICK)
        found: dict[str, Section] = {}
        for name in arguments.cases or CASES:
            found[name] = CASES[name](bench)
            _say(str(found[name]))
    _say(report.where(dict.fromkeys(tool.version for tool in bench.everyone), rounds))
    if {"long", "many"} <= found.keys() and not arguments.quick:
        _draw(bench, found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all if none is given")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, once")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, 3 by default")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.cases) - set(CASES)):
        parser.error(f"no such case: {', '.join(unknown)}")
    return arguments


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 it is there to print


def _draw(bench: Bench, found: dict[str, Section]) -> None:
    # Late, for what this process holds is counted as held by those that it starts.
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
    draw(panels, FIGURE)


if __name__ == "__main__":
    main()
