"""A real ``kill -9`` at any byte, with force pushes in between: in the end, no commit is wrong."""

from __future__ import annotations

import json
import subprocess
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import singer
from tests.contract.target import Target, partitions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.git_repository import GitRepository

COMMITS = 150  # in each of three repositories
LONG = "x" * 1500  # characters of a message, so that the tap writes several times


class Process:
    """Runs the tap's command with the target's state, and kills it."""

    def __init__(self, directory: Path, config: singer.Json, target: Target) -> None:
        self._directory = directory
        self._target = target
        (directory / "config.json").write_text(json.dumps(config))

    def killed_after(self, size: int) -> bool:
        """Run the tap, kill it after it has written ``size`` bytes, and take what it wrote.

        Returns:
            Whether it wrote that many, and so had not ended by itself.
        """
        (self._directory / "state.json").write_text(json.dumps(self._target.state or {}))
        files = [f"{self._directory}/{name}.json" for name in ("config", "state")]
        tap = subprocess.Popen(
            [singer.TAP, "--config", files[0], "--state", files[1]],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with tap:
            assert tap.stdout
            output = tap.stdout.read(size)
            alive = len(output) == size
            tap.kill()
            output += tap.stdout.read()  # what was in the pipe reaches the target, too
        self._target.take(whole_lines(output))
        return alive


class Stopped(NamedTuple):
    """What a run wrote before its target stopped reading, and how it ended."""

    output: bytes
    log: str
    exit_code: int


def whole_lines(output: bytes) -> list[singer.Json]:
    """Return the messages in complete lines."""
    whole = output[: output.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()]


@pytest.fixture
def process(tmp_path: Path, config: singer.Json, target: Target) -> Process:
    settings = {**config, "concurrency": 4, "page_size": 20}
    return Process(tmp_path, settings, target)


@pytest.fixture
def repositories(repository: Callable[[str], GitRepository]) -> list[GitRepository]:
    made = [repository(f"PAY/r{n}").facts(id=n) for n in (1, 2, 3)]
    for each in made:
        for n in range(COMMITS):
            each.commit(f"Commit {n} {LONG}")
    return made


def rewrite(random: Random, repository: GitRepository) -> None:
    """Push, or force push, up to a few pages of commits."""
    history = repository.rev_list()
    repository.point("main", random.choice(history[: len(history) // 2]))
    for n in range(random.randint(1, 60)):
        repository.commit(f"Amended {n} {LONG}")


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_with_force_pushes_in_between_the_end_is_exact(
    process: Process, target: Target, repositories: list[GitRepository], seed: int
) -> None:
    random = Random(seed)  # noqa: S311 nothing secret
    alive = 0
    for _ in range(5):
        alive += process.killed_after(random.randint(1, 400_000))
        rewrite(random, random.choice(repositories))
    assert alive > 2, "else nothing was killed"
    target.read()
    for id_, repository in enumerate(repositories, start=1):
        assert target.holds(repository, id_)


def test_killed_while_it_writes_files_the_end_is_exact(
    tmp_path: Path,
    config: singer.Json,
    target: Target,
    repositories: list[GitRepository],
) -> None:
    random = Random(3)  # noqa: S311 nothing secret
    files = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": str(tmp_path / "files")},
        "batch_size": 10,
    }
    settings = {**config, "concurrency": 4, "page_size": 20, "batch_config": files}
    process = Process(tmp_path, settings, target)
    alive = 0
    for _ in range(5):
        alive += process.killed_after(random.randint(1, 25_000))  # of messages, not of records
        rewrite(random, random.choice(repositories))
    assert alive > 2, "else nothing was killed"
    target.read(batch_config=files)
    for id_, repository in enumerate(repositories, start=1):
        assert target.holds(repository, id_)


@pytest.mark.usefixtures("repositories")
def test_kills_do_not_keep_a_first_read_from_coming_to_its_end(
    process: Process, target: Target, bitbucket: Bitbucket
) -> None:
    bitbucket.latency = 0.005
    read: list[int] = []
    for _ in range(6):
        alive = process.killed_after(350_000)
        read.append(len(target.commits))
        if not alive:
            break
    assert not alive
    assert len(read) > 2, "else nothing was killed"
    killed = read[:-1]  # the last run may have had only the last STATE left to write
    assert killed == sorted(set(killed)), "each run gets further"
    assert all("head" in partition for partition in partitions(target.state).values())


@pytest.fixture
def stopped_reading(
    config: singer.Json, tmp_path: Path, repositories: list[GitRepository]
) -> Stopped:
    """A run whose target reads some bytes and then closes the pipe."""
    assert repositories
    (tmp_path / "config.json").write_text(json.dumps(config))
    tap = subprocess.Popen(
        [singer.TAP, "--config", tmp_path / "config.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with tap:
        assert tap.stdout
        assert tap.stderr
        output = tap.stdout.read(300_000)
        tap.stdout.close()
        log = tap.stderr.read().decode()
    return Stopped(output, log, tap.returncode)


def test_what_a_target_that_stops_reading_got_is_enough_to_go_on(
    target: Target, stopped_reading: Stopped
) -> None:
    assert stopped_reading.exit_code == 1
    assert "Traceback" not in stopped_reading.log
    target.take(whole_lines(stopped_reading.output))
    assert 0 < len(target.commits) < 3 * COMMITS
    target.read()
    assert [len(target.on_default_branch(id_)) for id_ in (1, 2, 3)] == [COMMITS] * 3


def test_the_log_says_that_the_target_has_stopped_reading(stopped_reading: Stopped) -> None:
    assert "The target has stopped reading" in stopped_reading.log.strip().splitlines()[-1]
