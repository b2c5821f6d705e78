"""Runs the shards of a Meltano project on Dagster.

::

    dagster job execute -m tap_bitbucket_dc.dagster -j load_shards --config shards.yml

``load_shards`` creates the tables, then loads all shards. ``reshape_shards`` changes their number.
``dagster.md`` describes both.
"""

# Without `from __future__ import annotations`: Dagster evaluates the annotations of ops.

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tap_bitbucket_dc.bitbucket.errors import ConfigError
from tap_bitbucket_dc.meltano import MeltanoError
from tap_bitbucket_dc.shards import MeltanoProject, Shard, check_no_other_states, project
from tap_bitbucket_dc.shards import reshape as hand_over
from tap_bitbucket_dc.state.merging import StateError

try:
    from dagster import (
        Config,
        ConfigurableResource,
        Definitions,
        DynamicOut,
        DynamicOutput,
        Failure,
        OpExecutionContext,
        RetryRequested,
        job,
        op,
    )
    from pydantic import Field
except ModuleNotFoundError as missing:
    advice = f"{missing}: install tap-bitbucket-dc[dagster]"
    if __name__ == "__main__":
        sys.exit(advice)
    raise ModuleNotFoundError(advice, name=missing.name) from None


class Pipeline(ConfigurableResource[None]):
    """What each shard runs, and how many times it is retried."""

    tap: str = Field(default="tap-bitbucket-dc")
    loader: str = Field(default="target-postgres")
    environment: str | None = Field(default=None, description="chosen by Meltano if not set")
    retries: int = Field(default=3, description="how many times a failed step is retried")
    retry_delay: float = Field(default=5.0, description="seconds, doubled with every retry")

    def project(self) -> MeltanoProject:
        """Return the Meltano project of the current directory."""
        return project(self.tap, self.loader, self.environment)

    @contextmanager
    def retried(self, context: OpExecutionContext, what: object) -> Iterator[None]:
        """Have Dagster retry a step that fails; the final failure names ``what``."""
        try:
            yield
        except MeltanoError as error:
            if context.retry_number < self.retries:
                context.log.warning("%s: %s", what, error)
                delay = self.retry_delay * 2**context.retry_number
                raise RetryRequested(self.retries, delay) from None
            raise Failure(f"{what}: {error}", allow_retries=False) from None
        except StateError as error:
            raise Failure(f"{what}: {error}", allow_retries=False) from None


class Load(Config):
    """How many shards share the work."""

    count: int = Field(default=2, ge=1)


class Reshape(Config):
    """The old and the new number of shards; 1 is an ordinary ``meltano run``."""

    from_count: int = Field(ge=1)
    to_count: int = Field(ge=1)


@op(out=DynamicOut())
def shards(
    context: OpExecutionContext, config: Load, pipeline: Pipeline
) -> Iterator[DynamicOutput[Shard]]:
    """Create the tables and yield the shards."""
    with pipeline.retried(context, "tables"):
        found = pipeline.project().shards(config.count)
        check_no_other_states(found)
        found[0].create_tables()
    for shard in found:
        yield DynamicOutput(shard, mapping_key=f"{shard.index}_of_{shard.count}")


@op
def load(context: OpExecutionContext, shard: Shard, pipeline: Pipeline) -> None:
    """Load the repositories of one shard."""
    with pipeline.retried(context, shard):
        shard.run()


@op
def reshape(config: Reshape, pipeline: Pipeline) -> None:
    """Hand the states of the old shards to the new ones; can be repeated after a crash."""
    if config.from_count == config.to_count:
        raise Failure("`from_count` and `to_count` are equal", allow_retries=False)
    try:
        found = pipeline.project()
        hand_over(found.shards(config.from_count), found.shards(config.to_count))
    except (ConfigError, MeltanoError, StateError) as error:
        raise Failure(str(error), allow_retries=False) from None


@job
def load_shards() -> None:
    """Create the tables, then load all shards."""
    shards().map(load)


@job
def reshape_shards() -> None:
    """Change the number of shards; nothing is read again."""
    reshape()


definitions = Definitions(jobs=[load_shards, reshape_shards], resources={"pipeline": Pipeline()})
