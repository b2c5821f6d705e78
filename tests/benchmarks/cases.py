"""What is measured, and what must hold."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.measure import Entrant, Runs, race
from tests.benchmarks.report import Promise, Section
from tests.benchmarks.server import Server
from tests.benchmarks.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks.tools import Tool

START_UP = "start-up: next to nothing to read"


class Bench(NamedTuple):
    """What the cases have in common."""

    ours: Tool
    naive: Tool
    dlt: list[Tool]
    airbyte: list[Tool]
    limit: list[Tool]
    rounds: int
    small: int
    """Divisor of the amount to read: 1, or more for a quick run."""
    directory: Path
    tiny: Server
    """A server with next to nothing to read."""

    @property
    def everyone(self) -> list[Tool]:
        """All tools, ours first, the limit last."""
        return [self.ours, self.naive, *self.dlt, *self.airbyte, *self.limit]

    def race(self, entrants: Sequence[Entrant]) -> dict[str, Runs]:
        """Measure the entrants in turn, and with them the time the tap takes to start."""
        start_up = Entrant(self.ours, self.tiny, START_UP)
        return race([start_up, *entrants], self.rounds, self.directory)

    def warm_up(self) -> None:
        """Run each tool once, because Python compiles its modules in the first run."""
        race([Entrant(tool, self.tiny) for tool in self.everyone], 1, self.directory)


def long(bench: Bench) -> Section:
    """One long history: commits per second compared with all other tools, and memory."""
    worlds = [World(commits=length // bench.small) for length in (100_000, 10_000, 400_000)]
    usual, ours = worlds[0], bench.ours.name
    with Server(usual) as server:
        runs = bench.race([Entrant(tool, server) for tool in bench.everyone])
    for world in worlds[1:]:
        label = f"{ours}: {world.commits:,} commits"
        with Server(world) as server:
            runs |= race([Entrant(bench.ours, server, label)], bench.rounds, bench.directory)
    promises = [
        _times_as_fast(runs, ours, bench.naive.name, 5),
        *(_times_as_fast(runs, ours, tool.name, 1.5) for tool in bench.dlt[:1]),
        *(_times_as_fast(runs, ours, tool.name, 3.5) for tool in bench.airbyte),
        Promise("memory, MB:", runs[ours].megabytes, 150),
        Promise("memory with four times the commits, MB:", runs[label].megabytes, 150),
    ]
    remarks = tuple(
        f"{runs[ours].seconds / runs[tool.name].seconds:.2f} times as long as {tool.name}."
        for tool in bench.limit
    )
    return Section(f"One repository, {usual.commits:,} commits", runs, promises, remarks)


def many(bench: Bench) -> Section:
    """Many small repositories: does each take as little time as when there are few?"""
    worlds = [World(projects // bench.small, 20) for projects in (50, 500)]
    few, lots = (f"{world.projects * world.repositories:,} repositories" for world in worlds)
    with Server(worlds[0]) as few_server, Server(worlds[1]) as lots_server:
        entrants = [Entrant(tool, few_server, f"{few}: {tool.name}") for tool in bench.everyone]
        entrants += [
            Entrant(tool, lots_server, f"{lots}: {tool.name}")
            for tool in (bench.ours, *bench.limit)
        ]
        runs = bench.race(entrants)
    ours, small = (runs[f"{size}: {bench.ours.name}"] for size in (lots, few))
    start_up = runs[START_UP].seconds
    growth = (ours.seconds - start_up) / (small.seconds - start_up)
    each = growth * worlds[0].projects / worlds[1].projects
    promises = [
        *(_times_as_long(ours, runs[f"{lots}: {t.name}"], t.name, 1.6) for t in bench.limit),
        Promise(f"time over start-up for each repository, {lots} / {few}:", each, 1.2),
        Promise("STATE in all, MB:", ours.state_bytes / 1e6, 10),
        Promise("memory, MB:", ours.megabytes, 200),
    ]
    return Section(f"{few} and {lots}, 10 commits each", runs, promises)


def idle(bench: Bench) -> Section:
    """A second run when nothing is new: the listings, and one request for each repository."""
    world = World(500 // bench.small, 20)
    with Server(world) as server:
        race([Entrant(bench.ours, server, "first run")], 1, bench.directory)
        state = bench.directory / "state.json"
        state.write_bytes(_last_state(bench.directory / "output"))
        runs = bench.race([Entrant(bench.ours, server, state=state)])
    requests = runs[bench.ours.name].requests
    promises = [Promise("requests:", requests, world.requests(idle=True))]
    title = f"Nothing new in {world.projects * world.repositories:,} repositories"
    return Section(title, runs, promises)


def latency(bench: Bench) -> Section:
    """Small projects on a slow server: are the threads kept busy?"""
    world = World(200 // bench.small, 2, latency=0.02)
    with Server(world) as server:
        runs = bench.race([Entrant(bench.ours, server, concurrency=8)])
    ours = runs[bench.ours.name]
    ideal = world.requests() * world.latency / 8
    promises = [
        Promise("time over start-up / ideal:", _over_start_up(runs, bench.ours.name) / ideal, 1.2),
        Promise("requests at once:", ours.at_once, 8),
    ]
    title = f"{world.projects} projects of 2 repositories, 20 ms, 8 requests at once"
    remarks = (f"Ideal: {world.requests():,} * 20 ms / 8 = {ideal:.2f} s.",)
    return Section(title, runs, promises, remarks)


def pages(bench: Bench) -> Section:
    """One long history on a slow server: are its pages requested ahead, in parallel?"""
    world = World(commits=10_000, cap=100, latency=0.1)
    fast, slow = (f"{n} at once" for n in (8, 1))
    with Server(world) as server:
        runs = bench.race(
            [
                Entrant(bench.ours, server, fast, concurrency=8),
                Entrant(bench.ours, server, slow, concurrency=1),
            ]
        )
    ratio = _over_start_up(runs, fast) / _over_start_up(runs, slow)
    with_start_up = f"{runs[fast].seconds / runs[slow].seconds:.2f} with start-up"
    promises = [
        Promise(f"time over start-up, {fast} / {slow}:", ratio, 0.2, remark=with_start_up),
        Promise("requests at once:", runs[fast].at_once, 8),
    ]
    return Section("One repository, 100 pages of 100 commits, 100 ms", runs, promises)


def rate(bench: Bench) -> Section:
    """A server that lets 5 requests a second through after the first 60."""
    world = World(10, 3 if bench.small > 1 else 5, per_second=5)
    with Server(world) as server:
        runs = bench.race([Entrant(bench.ours, server)])
    ideal = (world.requests() - world.bucket) / world.per_second
    took = _over_start_up(runs, bench.ours.name)
    refused = runs[bench.ours.name].refused
    remark = (
        f"Ideal: ({world.requests()} - 60) / 5 = {ideal:.1f} s; over start-up it took "
        f"{took:.1f} s, {took / ideal:.2f} times that, with {refused} answers 429."
    )
    return Section("Rate limit of 5 requests a second, bucket 60", runs, [], (remark,))


CASES = {case.__name__: case for case in (long, many, idle, latency, pages, rate)}


def _over_start_up(runs: dict[str, Runs], label: str) -> float:
    return runs[label].seconds - runs[START_UP].seconds


def _times_as_fast(runs: dict[str, Runs], ours: str, other: str, bound: float) -> Promise:
    times = runs[other].seconds / runs[ours].seconds
    processor = runs[other].processor / runs[ours].processor
    remark = f"{processor:.1f} by the processor's time"
    return Promise(f"times as fast as {other}:", times, bound, at_least=True, remark=remark)


def _times_as_long(ours: Runs, limit: Runs, name: str, bound: float) -> Promise:
    remark = f"{ours.processor / limit.processor:.2f} by the processor's time"
    times = ours.seconds / limit.seconds
    return Promise(f"times as long as {name}:", times, bound, remark=remark)


def _last_state(output: Path) -> bytes:
    """Return the value of the last STATE message."""
    with output.open("rb") as lines:
        last = collections.deque(lines, maxlen=1)[0].rstrip()
    return last.removeprefix(b'{"type":"STATE","value":').removesuffix(b"}")
