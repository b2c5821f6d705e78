"""The streams: Projects > Repositories > DefaultBranches, Commits.

Knows Singer, and gets its rows from the run that ``Projects`` opens. Sends no requests itself. A
child stream receives what it needs in its context; ``preprocess_context`` removes everything except
ids, so that nothing else reaches the state or the log.
"""

from __future__ import annotations

import abc
import contextlib
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

    from tap_bitbucket_dc.bitbucket import Project
    from tap_bitbucket_dc.extract.crawl import Turn
    from tap_bitbucket_dc.records import Record
    from tap_bitbucket_dc.sync import Sync

    Row = dict[str, Any]
    """What ``post_process`` turns into a record, and ``get_child_context`` into a context."""

QUIET = (BitbucketError, OSError, AbortedSyncFailedException, AbortedSyncPausedException)


class BitbucketStream(Stream):
    """What the four streams share: the few places where the SDK's behaviour is changed.

    The SDK writes a STATE of all partitions after each child sync and a SCHEMA for each parent,
    and searches all partitions for each record. Time and size would grow with the square of the
    number of repositories. Selection, stream maps, flattening, contexts and the order of parents
    and children are left to the SDK.
    """

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # `records` makes them conform
    state_partitioning_keys: Sequence[str] = ()
    ids: Sequence[str] = ()
    """The keys of a context that ``preprocess_context`` leaves in it."""
    given: Context
    """The whole context that the parent stream passed."""
    _schema_is_written = False

    @abc.abstractmethod
    def get_records(self, context: Context | None) -> Iterator[Row]:
        """Yield the rows of the context, in the order of the crawl."""

    def preprocess_context(self, context: Context) -> Context:
        """Keep the whole context for this sync, and return only its ids."""
        self.given = context
        return {name: context[name] for name in self.ids}

    @property
    def run(self) -> Sync:
        """The run that is under way."""
        return cast("Sync", self.given["run"])

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:  # noqa: ANN401
        """Log a message of the SDK; those that it logs for each context only at DEBUG."""
        # A BitbucketError is reported once, with its code, when the run ends.
        if level == logging.INFO or isinstance(sys.exc_info()[1], QUIET):
            level = logging.DEBUG
        super().log(message, *args, level=level, **kwargs)

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: the bookmark is a commit, which no date limits."""

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
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write the record of each row, then sync its children."""
        write = self._record_writer() if self.selected else None
        is_limited = self.ABORT_AT_RECORD_COUNT is not None
        with self.run.metrics[self.name] as meter:
            for index, row in enumerate(self.get_records(context)):
                if is_limited:
                    self._check_max_record_limit(index)
                record = row
                if self.child_streams:  # the row contains more than its record
                    record = cast("Record", self.post_process(row, context))
                # Before writing, which removes deselected properties from the record.
                passes = self.child_streams and self._passes_filter(record)
                if write is not None:
                    write(record)
                meter.records += 1
                if passes:
                    for child_context in self.generate_child_contexts(row, context):
                        self._sync_children(child_context)
                yield record

    def _passes_filter(self, record: Record) -> bool:
        with self._mapping():
            return bool(self.stream_maps[0].get_filter_result(record))

    def _record_writer(self) -> Callable[[Record], None]:
        """Return the SDK's way to write a record, or a faster one with equal output."""
        if not self._is_plain():
            return self._write_mapped
        return self.run.writer.record_writer(self.name, datetime.now(UTC).isoformat())

    def _write_mapped(self, record: Record) -> None:
        with self._mapping():
            self._write_record_message(record)

    @contextlib.contextmanager
    def _mapping(self) -> Iterator[None]:
        """Raise ConfigError for an expression of a stream map that cannot be evaluated."""
        try:
            yield
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
        """Keep the function that opens a run."""
        super().__init__(tap)
        self._open_run = open_run

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002
        """Yield each project with the turns of its repositories."""
        for project, turns in self.run.crawl.projects():
            yield {"project": project, "turns": turns}
            self.run.checkpoint()

    def post_process(self, row: Row, context: Context | None = None) -> Record:  # noqa: ARG002
        """Return the record of a project."""
        return records.project(row["project"])

    def get_child_context(self, record: Row, context: Context | None) -> Context:  # noqa: ARG002
        """Return what the repositories of a project need."""
        return {"project_id": record["project"].id, **record, "run": self.run}

    def _record_writer(self) -> Callable[[Record], None]:
        """Return a way to write the projects of this shard; it reads from all."""
        write, ours = super()._record_writer(), self.run.filters.shard
        return lambda record: write(record) if ours(record["id"]) else None

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        with self._open_run() as run:
            self.preprocess_context({"run": run})
            yield from super()._sync_records(context, write_messages=write_messages)


class Repositories(BitbucketStream):
    """Repositories of the projects."""

    name = "repositories"
    parent_stream_type = Projects
    schema = schemas.REPOSITORY
    primary_keys = ("id",)
    ids = ("project_id",)

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002
        """Yield the turn of each repository of the project."""
        project: Project = self.given["project"]
        for turn in self.given["turns"]:
            yield {"project": project, "turn": turn}
            self.run.checkpoint()

    def post_process(self, row: Row, context: Context | None = None) -> Record:  # noqa: ARG002
        """Return the record of a repository."""
        return records.repository(row["turn"].repository, row["project"])

    def get_child_context(self, record: Row, context: Context | None) -> Context:  # noqa: ARG002
        """Return what the default branch and the commits of a repository need."""
        return {"repository_id": record["turn"].repository.id, **record, "run": self.run}


class DefaultBranches(BitbucketStream):
    """The default branch of each repository; one row even if there is none."""

    name = "default_branches"
    parent_stream_type = Repositories
    schema = schemas.DEFAULT_BRANCH
    primary_keys = ("repository_id",)
    ids = ("repository_id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the record of the repository's default branch; none if it could not be read."""
        turn: Turn = self.given["turn"]
        for found in turn.default_branches():
            yield records.default_branch(turn.repository, self.given["project"].key, found)


class Commits(BitbucketStream):
    """The commits of each default branch."""

    name = state.STREAM
    parent_stream_type = Repositories
    schema = schemas.COMMIT
    primary_keys = ("repository_id", "id")
    replication_key = state.REPLICATION_KEY
    state_partitioning_keys = ("repository_id",)
    ids = ("repository_id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the records of the repository's new and removed commits.

        The state names a range before its records; the head moves after them.
        """
        run, turn = self.run, cast("Turn", self.given["turn"])
        for page in turn.commits():
            commits = records.CommitRecords(
                turn.repository, self.given["project"].key, turn.branch, run.start_date
            )
            newest = ""
            run.state.begin(turn.repository, page.resume_at, run.writer.flush)
            for commit in page.values:
                record = commits.record(commit, on_default_branch=page.on_default_branch)
                if record is not None:
                    date = record["committer_timestamp"]
                    if date is not None and date > newest:
                        newest = date
                    yield record
            run.progress.commits += len(page.values)
            run.state.done(turn.repository, page.then, newest or None)
            run.checkpoint()
