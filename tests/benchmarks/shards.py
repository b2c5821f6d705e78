"""Four shards into one PostgreSQL, compared with one run; each answer takes the server 100 ms."""

from __future__ import annotations

import concurrent.futures
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import tools
from tests.benchmarks.report import cells
from tests.benchmarks.server import Server
from tests.benchmarks.world import World
from tests.end_to_end.project import MeltanoProject
from tests.end_to_end.warehouse import warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.end_to_end.warehouse import Warehouse

LATENCY = 0.1  # seconds
TABLES = ("projects", "repositories", "default_branches", "commits")


class Way(NamedTuple):
    """How the work is shared."""

    shards: int
    concurrency: int
    """The setting ``concurrency`` of each run."""

    def __str__(self) -> str:
        runs = "1 run" if self.shards == 1 else f"{self.shards} shards"
        return f"{runs}, concurrency {self.concurrency}"


WAYS = (Way(1, 8), Way(1, 32), Way(4, 8))


class Case(NamedTuple):
    """What was measured in one world."""

    world: World
    seconds: dict[Way, list[float]]

    def __str__(self) -> str:
        one = median(self.seconds[WAYS[0]])
        rows = [("", "first load, s", "of the first line"), ("---",) * 3]
        for way, seconds in self.seconds.items():
            rows.append((str(way), f"{median(seconds):.1f}", f"{median(seconds) / one:.2f}"))
        table = "\n".join(map(cells, rows))
        repositories = self.world.projects * self.world.repositories
        title = f"{repositories:,} repositories of {self.world.commits:,} commits, 100 ms"
        return f"### Shards into PostgreSQL: {title}\n\n{table}\n"


def measure(rounds: int, small: int, directory: Path) -> Iterator[Case]:
    """Yield what was measured with many small repositories, and with long histories."""
    for projects, commits in ((50 // small, 10), (2, 2500 // small)):
        world = World(projects, 20, commits, latency=LATENCY)
        with Server(world) as server, warehouse() as database:
            times: dict[Way, list[float]] = {way: [] for way in WAYS}
            where = directory / f"shards-{commits}"
            # One run creates the tables first: shards that create the same table clash.
            _load(Way(1, 32), server, database, where / "tables")
            for number in range(rounds):
                for way in WAYS:
                    database.execute(f"truncate {', '.join(f'bitbucket.{t}' for t in TABLES)}")
                    start = time.perf_counter()
                    _load(way, server, database, where / f"{number}-{way.shards}-{way.concurrency}")
                    times[way].append(time.perf_counter() - start)
                    _check(database, world)
                    text = f"round {number + 1}: {way}: {times[way][-1]:.1f} s"
                    print(text, file=sys.stderr, flush=True)  # noqa: T201 progress
        yield Case(world, times)


def _load(way: Way, server: Server, database: Warehouse, directory: Path) -> None:
    def run(shard: int) -> None:
        settings = {
            "TAP_BITBUCKET_DC_BASE_URL": server.url,
            "TAP_BITBUCKET_DC_TOKEN": tools.TOKEN,
            "TAP_BITBUCKET_DC_CONCURRENCY": str(way.concurrency),
            "TAP_BITBUCKET_DC_SHARD_COUNT": str(way.shards),
            "TAP_BITBUCKET_DC_SHARD_INDEX": str(shard),
            "TARGET_POSTGRES_SQLALCHEMY_URL": database.url,
        }
        project = MeltanoProject(directory / str(shard), settings)
        project.run("tap-bitbucket-dc", "target-postgres")

    with concurrent.futures.ThreadPoolExecutor(way.shards) as pool:
        list(pool.map(run, range(way.shards)))


def _check(database: Warehouse, world: World) -> None:
    [(rows,)] = database.query("select count(*) from bitbucket.commits")
    if rows != world.all_commits:
        raise RuntimeError(f"{rows} of {world.all_commits} commits")
