"""The shards of a Meltano project: parallel runs that share the repositories, and their states.

Runs the command ``meltano`` in the current directory, or in ``MELTANO_PROJECT_ROOT``. When a
shard runs is decided elsewhere, for example by ``dagster.py``; see ``dagster.md``.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from tap_bitbucket_dc import meltano
from tap_bitbucket_dc.extract.filters import shard_of
from tap_bitbucket_dc.meltano import MeltanoError
from tap_bitbucket_dc.state import MELTANO, STREAM, State, validate
from tap_bitbucket_dc.state.merging import StateError, merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PLUGINS = ("extractors", "loaders")  # Meltano's directories of what it has installed

Json = dict[str, Any]


@dataclass(frozen=True)
class MeltanoProject:
    """A pipeline of a Meltano project, and where the project keeps its files."""

    environment: str
    tap: str
    loader: str
    root: str
    """Meltano's directory, usually ``.meltano``."""
    states: str | None
    """URI for the states of shards. None if Meltano's own settings suit all shards."""

    @property
    def pipeline(self) -> str:
        """The state id of a run without a suffix."""
        return f"{self.environment}:{self.tap}-to-{self.loader}"

    def shards(self, count: int) -> list[Shard]:
        """Return all of ``count`` shards."""
        return [Shard(index, count, self) for index in range(count)]


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parallel runs. A single one is an ordinary ``meltano run``."""

    index: int
    count: int
    project: MeltanoProject

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"

    @property
    def suffix(self) -> str:
        """The suffix of the state id, empty for a single run."""
        return f"shard-{self.index}-of-{self.count}" if self.count > 1 else ""

    @property
    def state_id(self) -> str:
        """The state id that Meltano forms."""
        return ":".join(filter(None, [self.project.pipeline, self.suffix]))

    @property
    def directory(self) -> Path:
        """Meltano's directory; parallel runs must not share one."""
        root = Path(self.project.root)
        return root / "shards" / self.suffix if self.suffix else root

    def create_tables(self) -> None:
        """Create the tables in advance: shards that created them at the same time would fail.

        Raises:
            MeltanoError: The tap or the loader failed, or another job runs this shard.
        """
        with self.alone() as lock:
            schemas = self.meltano("invoke", self.project.tap, "--test=schema", lock=lock)
            self.meltano("invoke", self.project.loader, stdin=schemas, lock=lock)

    def run(self) -> None:
        """Load the repositories of this shard.

        Raises:
            MeltanoError: The run failed, or another job runs this shard.
        """
        suffix = [f"--state-id-suffix={self.suffix}"] if self.suffix else []
        # --force: after a run that was killed, Meltano would refuse to run for five minutes.
        command = ("run", "--force", *suffix, self.project.tap, self.project.loader)
        with self.alone() as lock:
            self.meltano(*command, lock=lock)

    def state(self) -> Json | None:
        """Return the state, with the repositories of this shard only. None before the first run.

        Raises:
            ConfigError: It is malformed.
            MeltanoError: Meltano failed.
        """
        value = json.loads(self.meltano("state", "get", self.state_id)).get(MELTANO)
        if not value:
            return None
        validate(value)
        state = State()
        state.load(value, self._reads)
        return state.value

    def set_state(self, merged: Json) -> None:
        """Take over those repositories of a merged state that belong to this shard.

        Raises:
            MeltanoError: Meltano failed.
        """
        partitions = [part for id_, part in _partitions(merged).items() if self._reads(id_)]
        state = json.dumps({MELTANO: {"bookmarks": {STREAM: {"partitions": partitions}}}})
        command = ("state", "set", "--force", "--input-file=/dev/stdin", self.state_id)
        self.meltano(*command, stdin=state)

    def meltano(self, *arguments: str, stdin: str = "", lock: int | None = None) -> str:
        """Run Meltano for this shard, and return what it prints.

        Raises:
            MeltanoError: It did not end with 0.
        """
        prefix = self.project.tap.upper().replace("-", "_")
        variables = {
            "MELTANO_ENVIRONMENT": self.project.environment,
            "MELTANO_SYS_DIR_ROOT": str(self.directory),
            f"{prefix}_SHARD_COUNT": str(self.count),
            f"{prefix}_SHARD_INDEX": str(self.index),
        }
        if self.suffix and self.project.states:
            variables["MELTANO_STATE_BACKEND_URI"] = self.project.states
        return meltano.run(*arguments, variables=variables, stdin=stdin, lock=lock)

    def _reads(self, repository_id: int) -> bool:
        return shard_of(repository_id, self.count) == self.index

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Lock out other jobs until no process has the file of the yielded descriptor open."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for plugins in PLUGINS:  # installed once for all shards
            installed, link = Path(self.project.root, plugins), self.directory / plugins
            installed.mkdir(exist_ok=True)
            if not link.exists():
                link.symlink_to(installed)
        with (self.directory / "shard.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MeltanoError(
                    f"another job is running {self}: wait until it has finished"
                ) from None
            yield lock.fileno()


def project(tap: str, loader: str, environment: str | None = None) -> MeltanoProject:
    """Return the Meltano project of this directory.

    Args:
        tap: The extractor's name.
        loader: The loader's name.
        environment: None for the one that Meltano chooses.

    Raises:
        MeltanoError: There is no project here, or no environment.
    """
    directory = _directory()
    variables = {**dotenv_values(directory / ".env"), **os.environ}
    environment = environment or variables.get("MELTANO_ENVIRONMENT")
    environment = environment or meltano.settings({}).get("default_environment")
    if not isinstance(environment, str):  # Meltano prints {} for what is not set
        raise MeltanoError("Meltano keeps states only in an environment: set `environment`")
    settings = meltano.settings({"MELTANO_ENVIRONMENT": environment})
    root = Path(os.environ.get("MELTANO_SYS_DIR_ROOT", directory / ".meltano")).resolve()
    states = settings["state_backend"]["uri"]
    if (states, settings["database_uri"]) == ("systemdb", f"sqlite:///{root / 'meltano.db'}"):
        states = f"file://{root / 'state'}"  # not Path.as_uri: Meltano does not decode it
    elif not states.startswith("file:"):  # that one may depend on Meltano's directory
        states = None
    return MeltanoProject(environment, tap, loader, str(root), states)


def _directory() -> Path:
    """Return the directory of the project, as Meltano finds it."""
    if root := os.environ.get("MELTANO_PROJECT_ROOT"):
        return Path(root)
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / "meltano.yml").exists():
            return directory
    raise MeltanoError(f"{here} is not in a Meltano project: there is no meltano.yml")


def check_no_other_states(shards: Sequence[Shard]) -> None:
    """Raise an error if there are states that belong to a different number of shards.

    Raises:
        MeltanoError: Meltano failed.
        StateError: There is such a state.
    """
    project = shards[0].project
    counts = (1, max(2, len(shards))) if project.states else (1,)
    places = [Shard(0, count, project) for count in counts]
    pattern = f"--pattern={project.pipeline}*"
    found = {id_ for place in places for id_ in place.meltano("state", "list", pattern).split()}
    others = sorted(
        id_
        for id_ in found - {shard.state_id for shard in shards}
        if id_ == project.pipeline or id_.startswith(f"{project.pipeline}:shard-")
    )
    if others:
        raise StateError(
            f"there is a state for a different number of shards: {', '.join(others)}. To keep "
            "it, run the job `reshape_shards`; to read everything again, clear it with `meltano "
            "state clear`"
        )


def reshape(old: Sequence[Shard], new: Sequence[Shard]) -> None:
    """Move the states of the old shards to the new ones.

    No state is cleared before all new states are written, so this can be repeated after a crash.

    Raises:
        ConfigError: A state is malformed.
        MeltanoError: Meltano failed, or a shard is running.
        StateError: An old shard has not run yet.
    """
    with ExitStack() as stack:
        for shard in (*old, *new):
            stack.enter_context(shard.alone())
        states = _states(old)
        if len(states) == len(old):
            for shard in new:
                shard.set_state(merge(states))
        else:
            _check_handed_over(old, states, new)
        for shard in old:
            if shard.state_id in states:
                shard.meltano("state", "clear", "--force", shard.state_id)


def _states(shards: Sequence[Shard]) -> dict[str, Json]:
    """Return the states by state id, without shards that have none."""
    states = {shard.state_id: shard.state() for shard in shards}
    return {state_id: state for state_id, state in states.items() if state is not None}


def _check_handed_over(
    old: Sequence[Shard], states: Mapping[str, Json], new: Sequence[Shard]
) -> None:
    """Check that a job that was interrupted while it cleared states had written all new ones.

    Raises:
        StateError: There is no sign of that: some old shards have not run yet.
    """
    found = _states(new)
    held, left = _partitions(merge(found)), _partitions(merge(states))
    if len(found) == len(new) and all(held.get(id_) == left[id_] for id_ in left):
        return
    missing = [shard for shard in old if shard.state_id not in states]
    raise StateError(
        f"There is no state for {', '.join(map(str, missing))} "
        f"({', '.join(shard.state_id for shard in missing)}). Nothing was changed. Run the job "
        f"`load_shards` with `count: {len(old)}` first."
    )


def _partitions(state: Json) -> dict[int, Json]:
    partitions = state["bookmarks"][STREAM]["partitions"]
    return {partition["context"]["repository_id"]: partition for partition in partitions}
