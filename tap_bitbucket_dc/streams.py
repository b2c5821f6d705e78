"""The streams: Projects > Repositories > DefaultBranches, Commits.

A row of a parent is the context of its children. ``preprocess_context`` removes everything except
ids from it, so that nothing else reaches the state or the log.
"""

from __future__ import annotations

import functools
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from singer_sdk import Stream
from singer_sdk.exceptions import AbortedSyncFailedException, AbortedSyncPausedException
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_bitbucket_dc import records, schemas, state
from tap_bitbucket_dc.bitbucket.errors import BitbucketError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_bitbucket_dc.records import Record
    from tap_bitbucket_dc.sync import Sync

    Row = dict[str, Any]
    """A parent's row: what its children need, and what ``post_process`` turns into its record."""

QUIET = (BitbucketError, OSError, AbortedSyncFailedException, AbortedSyncPausedException)


class BitbucketStream(Stream):
    """Changes the SDK's behaviour in a few places.

    The SDK writes STATE after each child sync and SCHEMA for each parent, and searches all
    partitions for each record: cost would grow with the square of the number of repositories.
    """

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # `records` already makes values conform
    state_partitioning_keys: Sequence[str] = ()
    run: Sync
    given: Context
    """The whole row of the parent stream."""
    _schema_is_written = False

    def preprocess_context(self, context: Context) -> Context:
        """Keep the whole context for this sync, and return only its ids."""
        self.given, self.run = context, context["run"]
        return {name: value for name, value in context.items() if name.endswith("_id")}

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:  # noqa: ANN401
        """Log a message of the SDK, but at DEBUG what it would log for each context."""
        # A BitbucketError is reported once, with its code, when the run ends.
        if level == logging.INFO or isinstance(sys.exc_info()[1], QUIET):
            level = logging.DEBUG
        super().log(message, *args, level=level, **kwargs)

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: the bookmark is a commit, so there is no latest date to limit it to."""

    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        """Return None: the message writer makes the files, because they span contexts."""

    @property
    def partitions(self) -> None:
        """None: ``state`` keeps the partitions, so the SDK need not iterate over them."""

    # Private methods of the SDK, overridden only here; test_sdk fails when the SDK changes them.

    def _write_schema_message(self) -> None:
        if not self._schema_is_written:
            super()._write_schema_message()
            self._schema_is_written = True

    def _write_state_message(self) -> None:
        """Write nothing: the message writer decides when to write STATE."""

    def _sync_records(
        self,
        context: Context | None = None,
        *,
        write_messages: bool = True,  # noqa: ARG002 only the SDK's own BATCH messages want False
    ) -> Generator[Record, Any, Any]:
        """Write the record of each row, then sync its children."""
        write = self._record_writer() if self.selected else None
        is_limited = self.ABORT_AT_RECORD_COUNT is not None
        is_parent = bool(self.child_streams)
        rows = cast("Iterator[Row]", self.get_records(context))
        with self.run.metrics[self.name] as meter:
            for index, row in enumerate(rows):
                if is_limited:
                    self._check_max_record_limit(index)
                record = cast("Record", self.post_process(row, context)) if is_parent else row
                # Before writing, which removes deselected properties from the record.
                passes = is_parent and self._map(self.stream_maps[0].get_filter_result, record)
                if write is not None:
                    write(record)
                meter.records += 1
                if passes:
                    self._sync_children(row)
                yield record

    def _record_writer(self) -> Callable[[Record], None]:
        """Return the SDK's way to write a record, or a faster one with equal output."""
        if self._is_plain():
            return self.run.writer.record_writer(self.name, datetime.now(UTC).isoformat())
        return functools.partial(self._map, self._write_record_message)

    def _map(self, apply: Callable[[Record], Any], record: Record) -> Any:  # noqa: ANN401
        """Apply a stream map; raises ConfigError for an expression that cannot be evaluated."""
        try:
            return apply(record)
        except QUIET:
            raise
        except Exception as error:  # noqa: BLE001 whatever an expression raises
            why = f"{type(error).__name__}: {str(error).rstrip('.')}"
            raise ConfigError(f"`stream_maps`, {self.name}: {why}.") from None

    def _is_plain(self) -> bool:
        """Return whether records are written unchanged: all columns selected, nothing mapped."""
        only, *others = self.stream_maps
        flattening = only.flattening_options
        return (
            all(self.mask.values())
            and not others
            and type(only) is SameRecordTransform
            and not (flattening and flattening.enabled)
            and only.stream_alias == self.name
        )


class Projects(BitbucketStream):
    """Projects: the top-level stream, so its sync is the whole run."""

    name = "projects"
    schema = schemas.PROJECT
    primary_keys = ("id",)

    def __init__(self, tap: Tap, open_run: Callable[[], AbstractContextManager[Sync]]) -> None:
        super().__init__(tap)
        self._open_run = open_run

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002
        """Yield each project with the turns of its repositories."""
        for project, turns in self.run.crawl.projects():
            yield {"project_id": project.id, "project": project, "turns": turns, "run": self.run}
            self.run.checkpoint()

    def post_process(self, row: Row, context: Context | None = None) -> Record:  # noqa: ARG002
        """Return the record of a project."""
        return records.project(row["project"])

    def _record_writer(self) -> Callable[[Record], None]:
        """Return a function that writes only this shard's projects; a shard reads all projects."""
        write, ours = super()._record_writer(), self.run.filters.shard
        return lambda record: write(record) if ours(record["id"]) else None

    def _sync_records(self, *args: Any, **options: Any) -> Generator[Record, Any, Any]:  # noqa: ANN401 as there
        with self._open_run() as self.run:
            yield from super()._sync_records(*args, **options)


class Repositories(BitbucketStream):
    """Repositories of the projects."""

    name = "repositories"
    parent_stream_type = Projects
    schema = schemas.REPOSITORY
    primary_keys = ("id",)

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002
        """Yield the turn of each repository of the project."""
        for turn in self.given["turns"]:
            yield {**self.given, "repository_id": turn.repository.id, "turn": turn}
            self.run.checkpoint()

    def post_process(self, row: Row, context: Context | None = None) -> Record:  # noqa: ARG002
        """Return the record of a repository."""
        return records.repository(row["turn"].repository, row["project"])


class DefaultBranches(BitbucketStream):
    """The default branch of each repository; one row even if there is none."""

    name = "default_branches"
    parent_stream_type = Repositories
    schema = schemas.DEFAULT_BRANCH
    primary_keys = ("repository_id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the record of the repository's default branch; none if it could not be read."""
        turn, project = self.given["turn"], self.given["project"]
        for found in turn.default_branches():
            yield records.default_branch(turn.repository, project.key, found)


class Commits(BitbucketStream):
    """The commits of each default branch."""

    name = state.STREAM
    parent_stream_type = Repositories
    schema = schemas.COMMIT
    primary_keys = ("repository_id", "id")
    replication_key = state.REPLICATION_KEY
    state_partitioning_keys = ("repository_id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the records of new and removed commits.

        The state names a range before its records; the head moves after them.
        """
        run, turn, project = self.run, self.given["turn"], self.given["project"]
        for page in turn.commits():
            newest = ""
            run.state.begin(turn.repository, page.resume_at, run.writer.flush)
            for record in records.commits(
                page, turn.repository, project.key, turn.branch, run.start_date
            ):
                date = record["committer_timestamp"]
                if date is not None and date > newest:
                    newest = date
                yield record
            run.progress.commits += len(page.values)
            run.state.done(turn.repository, page.then, newest)
            run.checkpoint()
