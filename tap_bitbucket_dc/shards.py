"""The shards of a Meltano project: parallel runs that share the repositories, and their states.

Runs the command ``meltano`` in the current directory, or in ``MELTANO_PROJECT_ROOT``. Does not know
what decides when a shard runs; ``dagster.py`` is one such engine. ``dagster.md`` describes both.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from tap_bitbucket_dc.extract.filters import shard_of
from tap_bitbucket_dc.state import MELTANO, STREAM, State, validate
from tap_bitbucket_dc.state.__main__ import StateError, merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GRACE = 10.0  # seconds that Meltano has to end the tap and the loader
PLUGINS = ("extractors", "loaders")  # Meltano's directories of what it has installed

Json = dict[str, Any]


class MeltanoError(Exception):
    """Meltano cannot be run here, or failed."""


@dataclass(frozen=True)
class Project:
    """A pipeline of a Meltano project, and where the project keeps its files."""

    environment: str
    tap: str
    loader: str
    root: str
    """Meltano's directory, usually ``.meltano``."""
    states: str | None
    """URI for the states of shards. None if Meltano keeps all states in one place anyway."""

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
    project: Project

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
        """Create the tables: shards that did so at the same time would fail.

        Raises:
            MeltanoError: The tap or the loader failed, or another job runs this shard.
        """
        with self._alone() as lock:
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
        with self._alone() as lock:
            self.meltano(*command, lock=lock)

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
        return _meltano(*arguments, variables=variables, stdin=stdin, lock=lock)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Keep other jobs from this shard for as long as a process has the yielded file open."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for plugins in PLUGINS:  # installed once for all shards
            installed, link = Path(self.project.root, plugins), self.directory / plugins
            installed.mkdir(exist_ok=True)
            if not link.exists():
                link.symlink_to(installed)
        with (self.directory / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MeltanoError(f"another job is running {self}: let it end first") from None
            yield lock.fileno()


def project(tap: str, loader: str, environment: str | None = None) -> Project:
    """Return the Meltano project of this directory.

    Args:
        tap: The extractor's name.
        loader: The loader's name.
        environment: None for the one that Meltano chooses.

    Raises:
        MeltanoError: There is no project here, or no environment.
    """
    directory = Path(os.environ.get("MELTANO_PROJECT_ROOT", "."))
    variables = {**dotenv_values(directory / ".env"), **os.environ}
    environment = environment or variables.get("MELTANO_ENVIRONMENT")
    environment = environment or _settings({}).get("default_environment")
    if not isinstance(environment, str):  # Meltano prints {} for what is not set
        raise MeltanoError("Meltano keeps states only in an environment: set `environment`")
    settings = _settings({"MELTANO_ENVIRONMENT": environment})
    root = Path(os.environ.get("MELTANO_SYS_DIR_ROOT", directory / ".meltano")).resolve()
    default = ("systemdb", f"sqlite:///{root / 'meltano.db'}")
    users_own = (settings["state_backend"]["uri"], settings["database_uri"]) != default
    # Not Path.as_uri: Meltano does not decode it.
    states = None if users_own else f"file://{root / 'state'}"
    return Project(environment, tap, loader, str(root), states)


def check_no_other_states(shards: Sequence[Shard]) -> None:
    """Refuse shards whose repositories have their state under another number of shards.

    Raises:
        MeltanoError: There is such a state.
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
        raise MeltanoError(
            f"there is a state for another number of shards: {', '.join(others)}. Run the job "
            "`reshape_shards`, or clear it with `meltano state clear` to read everything again"
        )


def reshape(old: Sequence[Shard], new: Sequence[Shard]) -> None:
    """Give the merged states of all old shards to each of the new ones, then clear the old ones.

    Nothing is cleared before all of it is in the new states, so it can be called again after a
    crash.

    Raises:
        ConfigError: A state is malformed.
        MeltanoError: Meltano failed, or a shard is running.
        StateError: An old shard did not run yet.
    """
    with ExitStack() as stack:
        for shard in (*old, *new):
            stack.enter_context(shard._alone())  # noqa: SLF001
        states = _states(old)
        if len(states) == len(old):
            merged = json.dumps({MELTANO: merge(states)})
            command = ("state", "set", "--force", "--input-file=/dev/stdin")
            for shard in new:
                shard.meltano(*command, shard.state_id, stdin=merged)
        _check_handed_over(old, states, new)
        for shard in old:
            shard.meltano("state", "clear", "--force", shard.state_id)


def _states(shards: Sequence[Shard]) -> dict[str, Json]:
    """Return the states of those shards that have one, each with its own repositories only."""
    states = {}
    for shard in shards:
        value = json.loads(shard.meltano("state", "get", shard.state_id)).get(MELTANO)
        if value:
            states[shard.state_id] = _own(shard, value)
    return states


def _own(shard: Shard, value: Json) -> Json:
    validate(value)
    state = State()
    state.load(value, lambda id_: shard_of(id_, shard.count) == shard.index)
    return state.value


def _check_handed_over(
    old: Sequence[Shard], states: Mapping[str, Json], new: Sequence[Shard]
) -> None:
    """Check that the new shards hold all that the states of the old ones do.

    Raises:
        StateError: They do not.
    """
    found = _states(new)
    held, wanted = _partitions(merge(found)), _partitions(merge(states))
    if len(found) == len(new) and all(held.get(id_) == wanted[id_] for id_ in wanted):
        return
    missing = [shard for shard in old if shard.state_id not in states]
    if not missing:
        raise StateError(f"Meltano did not keep {', '.join(shard.state_id for shard in new)}")
    raise StateError(
        f"{' and '.join(map(str, missing))} did not run yet: there is no state "
        f"{', '.join(shard.state_id for shard in missing)}. Nothing was changed. Run the job "
        f"`load_shards` with `count: {len(old)}` first"
    )


def _partitions(state: Json) -> dict[int, Json]:
    partitions = state["bookmarks"][STREAM]["partitions"]
    return {partition["context"]["repository_id"]: partition for partition in partitions}


def _settings(variables: Mapping[str, str]) -> Json:
    settings: Json = json.loads(_meltano("config", "print", "meltano", variables=variables))
    return settings


def _meltano(
    *arguments: str, variables: Mapping[str, str], stdin: str = "", lock: int | None = None
) -> str:
    """Run Meltano with additional environment variables, and return what it prints."""
    try:
        process = subprocess.Popen(  # noqa: S603 the user's own settings
            ("meltano", *arguments),  # noqa: S607 the Meltano of the PATH
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )
    except FileNotFoundError:
        raise MeltanoError("`meltano` is not on the PATH") from None
    with process, _ended(process):
        output, _ = process.communicate(stdin)
    if process.returncode:
        command = f"`meltano {' '.join(arguments)}`"
        raise MeltanoError(f"{command} ended with exit code {process.returncode}")
    return output


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End Meltano and what it has started, whether we are interrupted or Meltano crashed."""
    try:
        yield
    finally:
        try:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
