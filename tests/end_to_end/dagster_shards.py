"""Bitbucket to PostgreSQL by several runs at once, on Dagster: an example to copy.

    cd where/meltano.yml/is
    dagster job execute -f dagster_shards.py -j bitbucket

Each shard is a ``meltano run`` with a directory and a state id of its own, and is tried again if
it fails. Meltano keeps the states where ``MELTANO_STATE_BACKEND_URI`` says, else in the directory.
The state id has the number of shards in it: another number starts from states that were merged.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dagster import (
    Backoff,
    Config,
    DynamicOut,
    DynamicOutput,
    In,
    Nothing,
    RetryPolicy,
    job,
    multiprocess_executor,
    op,
)

TAP, TARGET = "tap-bitbucket-dc", "target-postgres"
AGAIN = RetryPolicy(max_retries=3, delay=5, backoff=Backoff.EXPONENTIAL)  # seconds


class Shards(Config):
    """How many runs share the work."""

    count: int = 4


@op(retry_policy=AGAIN)
def tables() -> None:
    """Make the tables: shards that do so at the same time get in each other's way."""
    environment = _environment("tables")
    schemas = subprocess.run(
        ("meltano", "invoke", TAP, "--test=schema"),
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    subprocess.run(("meltano", "invoke", TARGET), env=environment, input=schemas.stdout, check=True)


@op(ins={"tables": In(Nothing)}, out=DynamicOut())
def shards(config: Shards) -> Iterator[DynamicOutput[dict[str, str]]]:
    """Yield the settings in which one run differs from the others."""
    for index in range(config.count):
        settings = {
            "TAP_BITBUCKET_DC_SHARD_COUNT": str(config.count),
            "TAP_BITBUCKET_DC_SHARD_INDEX": str(index),
        }
        yield DynamicOutput(settings, mapping_key=f"{index}_of_{config.count}")


@op(retry_policy=AGAIN)
def load(settings: dict[str, str]) -> None:
    """Load the repositories of one shard."""
    count = settings["TAP_BITBUCKET_DC_SHARD_COUNT"]
    name = f"shard-{settings['TAP_BITBUCKET_DC_SHARD_INDEX']}-of-{count}"
    # --force: Dagster sees to it that a shard runs once at a time, and a run that was killed
    # would keep the next one waiting.
    subprocess.run(
        ("meltano", "run", "--force", f"--state-id-suffix={name}", TAP, TARGET),
        env=_environment(name) | settings,
        check=True,
    )


@job(
    executor_def=multiprocess_executor.configured(
        {"max_concurrent": 4, "start_method": {"forkserver": {}}}  # Dagster is imported once
    )
)
def bitbucket() -> None:
    """Make the tables, then load all shards, four at a time."""
    shards(tables()).map(load)


def _environment(name: str) -> dict[str, str]:
    """Return the environment with a directory of its own: Meltano's runs must not share one."""
    root = Path(os.environ.get("MELTANO_SYS_DIR_ROOT", ".meltano"))
    return {**os.environ, "MELTANO_SYS_DIR_ROOT": str(root.resolve() / name)}
