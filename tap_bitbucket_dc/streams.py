"""The streams: Projects > Repositories > DefaultBranches, Commits.

Knows Singer, and asks the crawl for what to write. Sends no requests.
"""

from __future__ import annotations

import abc
import logging
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.exceptions import AbortedSyncFailedException, AbortedSyncPausedException
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_bitbucket_dc import bookmarks, errors, records, schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from singer_sdk.helpers.types import Context

    from tap_bitbucket_dc.records import Record
    from tap_bitbucket_dc.tap import TapBitbucketDC

QUIET = (errors.BitbucketError, OSError, AbortedSyncFailedException, AbortedSyncPausedException)


class BitbucketStream(Stream):
    """What the four streams share: the few places where the SDK is bent.

    The SDK writes STATE with all partitions after each child sync, SCHEMA once for
    each parent, and looks through all partitions for each record: time and size grow
    with the square of the repositories. Selection, stream maps, flattening, contexts
    and the order of parents and children stay the SDK's.
    """

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # `records` makes them fit
    state_partitioning_keys: Sequence[str] = ()
    _tap: TapBitbucketDC
    _schema_is_written = False

    @abc.abstractmethod
    def get_records(self, context: Context | None) -> Iterator[Record]:
        """Yield the records of the context, in the order of the crawl."""

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:  # noqa: ANN401
        """Log what the SDK says; what it says for each context only for debugging."""
        # An error of ours is reported once, with its code, when the run ends.
        if level == logging.INFO or isinstance(sys.exc_info()[1], QUIET):
            level = logging.DEBUG
        super().log(message, *args, level=level, **kwargs)

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: the bookmark is a commit, and no clock limits it."""

    @property
    def partitions(self) -> None:
        """None: the SDK need not go through them; ``bookmarks`` keeps them."""

    # Private to the SDK, overridden here alone; test_sdk fails when it changes them.

    def _write_schema_message(self) -> None:
        if not self._schema_is_written:
            super()._write_schema_message()
            self._schema_is_written = True

    def _write_state_message(self) -> None:
        """Write nothing: the message writer writes STATE now and then."""

    def _sync_records(
        self,
        context: Context | None = None,
        *,
        write_messages: bool = True,  # noqa: ARG002 only BATCH messages want False
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write each record, then sync its children."""
        write = self._record_writer() if self.selected else None
        for index, record in enumerate(self.get_records(context)):
            self._check_max_record_limit(index)
            # Asked first: writing takes deselected properties out of the record.
            passes = self._passes_filter(record) if self.child_streams else False
            if write is not None:
                write(record)
            if passes:
                for child_context in self.generate_child_contexts(record, context):
                    self._sync_children(child_context)
            yield record

    def _passes_filter(self, record: Record) -> bool:
        return bool(self.stream_maps[0].get_filter_result(record))

    def _record_writer(self) -> Callable[[Record], None]:
        """Return the SDK's way to write a record, or a short cut of equal output."""
        if not self._is_plain():
            return self._write_record_message
        writer = self._tap.message_writer
        now = datetime.now(timezone.utc).isoformat()
        prefix = writer.record_prefix(self.name, now)
        return lambda record: writer.write_record(prefix, record)

    def _is_plain(self) -> bool:
        """Whether records go out as they are: all selected, nothing mapped."""
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
    """Projects: the top of all, so its sync is the whole run."""

    name = "projects"
    schema = schemas.PROJECT
    primary_keys = ("id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the projects, each before its repositories."""
        for project in self._tap.crawl.projects():
            yield records.project(project)
            self._tap.checkpoint()

    def get_child_context(
        self,
        record: Record,
        context: Context | None,  # noqa: ARG002
    ) -> Context:
        """Return the id of the project; all else is the crawl's."""
        return {"project_id": record["id"]}

    def _record_writer(self) -> Callable[[Record], None]:
        """Return a way to write the projects of this shard; it reads from all."""
        write, ours = super()._record_writer(), self._tap.filters.shard
        return lambda record: write(record) if ours(record["id"]) else None

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        with self._tap.run():
            yield from super()._sync_records(context, write_messages=write_messages)


class Repositories(BitbucketStream):
    """Repositories of the projects."""

    name = "repositories"
    parent_stream_type = Projects
    schema = schemas.REPOSITORY
    primary_keys = ("id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the repositories of the project whose turn it is."""
        crawl = self._tap.crawl
        for repository in crawl.repositories():
            yield records.repository(repository, crawl.reading.project)
            self._tap.checkpoint()

    def get_child_context(
        self,
        record: Record,
        context: Context | None,  # noqa: ARG002
    ) -> Context:
        """Return the id of the repository; all else is the crawl's."""
        return {"repository_id": record["id"]}


class DefaultBranches(BitbucketStream):
    """The default branch of each repository, also where there is none."""

    name = "default_branches"
    parent_stream_type = Repositories
    schema = schemas.DEFAULT_BRANCH
    primary_keys = ("repository_id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the row of the repository whose turn it is; none if it failed."""
        reading = self._tap.crawl.reading
        if branch := reading.read_branch():
            key = reading.project["key"]
            yield records.default_branch(reading.name, key, branch)


class Commits(BitbucketStream):
    """The commits of each default branch."""

    name = bookmarks.STREAM
    parent_stream_type = Repositories
    schema = schemas.COMMIT
    primary_keys = ("repository_id", "id")
    replication_key = bookmarks.REPLICATION_KEY
    state_partitioning_keys = ("repository_id",)

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002
        """Yield the new and the removed commits of the repository whose turn it is.

        The state follows: what it must say before each page, what it may say after.
        """
        tap, reading = self._tap, self._tap.crawl.reading
        flat = None
        for page in reading.commits():
            if flat is None:
                flat = records.Commit(
                    reading.repository,
                    reading.project["key"],
                    reading.branch and reading.branch.display_id,
                    tap.start_date,
                )
            newest = ""
            if self.is_incremental:
                tap.bookmarks.begin(reading.name, page.before, tap.message_writer.flush)
            for commit in page.values:
                record = flat.record(commit, on_default_branch=page.on_default_branch)
                if record is not None:
                    newest = max(newest, record["committer_timestamp"] or "")
                    yield record
            tap.progress.commits += len(page.values)
            if self.is_incremental:
                tap.bookmarks.done(reading.name, page.after, newest or None)
            tap.checkpoint()

    @property
    def is_incremental(self) -> bool:
        """Whether heads decide what is new; FULL_TABLE ignores them."""
        return self.replication_method == "INCREMENTAL"
