"""The state: its format and the bookmarks in it.

::

    {"bookmarks": {"commits": {"partitions": [
      {"context": {"repository_id": 12}, "replication_key": "committer_timestamp",
       "replication_key_value": "2026-11-20T08:00:00Z", "head": "76c728b9…",
       "reading": {"until": "9f2c…", "start": 4000, "next": "5a…"}, "repository": "PAY/api"}]}}}

Decisions use ``head``: all commits reachable from it have been written. ``reading`` is present
while the commits up to ``until`` are being read. It enters the state **before** the first of them
is written; otherwise the next run could not tell which of them a rewrite has removed since.
``replication_key_value``, the newest committer date seen, is informational.
"""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from tap_bitbucket_dc.bitbucket.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_bitbucket_dc.bitbucket import Repository

logger = logging.getLogger("tap-bitbucket-dc")

STREAM = "commits"
REPLICATION_KEY = "committer_timestamp"
LONGEST_NAME = 102  # bytes of `repository` as JSON, so that a partition stays small
MELTANO = "singer_state"  # the key under which Meltano keeps a state
WRAPPERS = (MELTANO, "completed", "completed_state")  # Meltano's exports and backends
RESTORE = "Restore the state of the last run; without a state, everything is read again."
EMPTIED = ""  # the `until` of a bookmark whose default branch is gone

Json = dict[str, Any]


class Bookmark(NamedTuple):
    """How far a repository was read. All commits up to ``head`` have been written.

    The commits from ``head`` to ``until`` are being read. A first read has no ``head``; its
    pages before ``start`` have been written. If everything else is reachable from one commit, that
    is ``next``. Otherwise ``checksum`` is the checksum of the ids on those pages.
    """

    head: str | None = None
    until: str | None = None
    start: int = 0
    checksum: int = 0
    next: str = ""


class _Reading(msgspec.Struct):
    until: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{40})?\Z")]
    start: Annotated[int, msgspec.Meta(ge=0)]
    checksum: Annotated[int, msgspec.Meta(ge=0)] = 0
    next: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{40})?\Z")] = ""


class _Place(msgspec.Struct):
    """The keys of a partition that decide where reading continues; unknown keys are kept."""

    head: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{40}\Z")] | None = None
    reading: _Reading | None = None


class _Stream(msgspec.Struct):
    partitions: list[Any] = []


class _Shape(msgspec.Struct):
    """The parts of a state that lead to its partitions."""

    bookmarks: dict[str, _Stream] = {}


class _Marked(msgspec.Struct):
    progress_markers: Json = {}


class _Other(_Marked):
    """What the SDK expects of the bookmark of another stream."""

    partitions: list[_Marked] = []


def unwrapped(state: Any) -> Any:  # noqa: ANN401 whatever a file contains
    """Return the Singer state without the objects that Meltano wraps around it."""
    while isinstance(state, dict) and "bookmarks" not in state:
        inner = next((state[name] for name in WRAPPERS if name in state), None)
        if inner is None:
            break
        state = inner
    return state


def validate(state: object) -> None:
    """Raise ConfigError for a state that has another shape, or cannot be written again."""
    if state and isinstance(state, dict) and "bookmarks" not in state:
        logger.warning("The state has no bookmarks: everything will be read from the beginning")
    try:
        msgspec.convert(state, _Shape)
        bookmarks = msgspec.convert(state, Json).get("bookmarks", {})
        others = {name: value for name, value in bookmarks.items() if name != STREAM}
        msgspec.convert(others, dict[str, _Other])
    except msgspec.ValidationError as error:
        what = f"The state is not a valid Singer state: {error}."
        raise ConfigError(what, remedy=RESTORE) from None
    try:
        msgspec.json.encode(state)
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        what = f"The state cannot be written as JSON: {error}."
        raise ConfigError(what, remedy=RESTORE) from None


class State:
    """A Singer state whose partitions are found by repository id.

    ``begin`` puts a range into the state before its commits are written. ``done`` notes that they
    were passed to the writer, and ``settle`` that they have left the process.
    """

    def __init__(self) -> None:
        self.value: Json = {}
        """The Singer state, as it may be written now."""
        self.changed = False
        """Whether it differs from what was last written."""
        self._partitions: dict[int, Json] = {}
        self._done: dict[int, tuple[Bookmark, str]] = {}

    def load(self, value: Json, ours: Callable[[int], bool] = lambda _: True) -> None:
        """Take over a state, which is modified from now on.

        Args:
            ours: Returns whether this shard reads a repository, by its id. Partitions of others are
                removed, so that no outdated copy is mistaken for that of their own shard.
        """
        stream = value.setdefault("bookmarks", {}).setdefault(STREAM, {})
        others = 0
        for partition in stream.get("partitions", []):
            try:
                repository_id = msgspec.convert(partition["context"]["repository_id"], int)
            except (LookupError, TypeError, msgspec.ValidationError):
                logger.warning("Ignoring a state partition without a repository id")
                continue
            if ours(repository_id):
                self._load(repository_id, partition)
            else:
                others += 1
        if others:
            logger.warning(
                "Ignoring state partitions that belong to other shards: %s in all", others
            )
        stream.clear()  # a replication key of the whole stream was written by another tap
        stream["partitions"] = list(self._partitions.values())
        self.value = value

    def _load(self, repository_id: int, partition: Json) -> None:
        if known := self._partitions.get(repository_id):
            logger.warning(
                "Repository %s is in the state twice: it will be read in full", repository_id
            )
            _write(known, Bookmark())
            return
        if not isinstance(partition.get("progress_markers", {}), dict):  # the SDK looks into it
            del partition["progress_markers"]
        for name in ("replication_key_value", "repository"):
            if not isinstance(partition.get(name), str):
                partition[name] = None
        self._partitions[repository_id] = partition
        with contextlib.suppress(msgspec.ValidationError):
            if _bookmark(partition) != Bookmark():
                return
        _write(partition, Bookmark())
        logger.warning(
            "The state of repository %s has no usable head: it will be read in full", repository_id
        )

    def bookmark(self, repository_id: int) -> Bookmark:
        """Return how far a repository was read. Any thread may call it."""
        return _bookmark(self._partitions.get(repository_id, {}))

    def begin(self, repository: Repository, resume_at: Bookmark, flush: Callable[[], None]) -> None:
        """Put the range of the commits that are about to be written into the state.

        The state's ``start`` may lag behind that of ``resume_at``. ``flush`` is called if commits
        for which ``done`` was called must be written first.
        """
        if self.bookmark(repository.id)[:2] == resume_at[:2]:
            return
        if repository.id in self._done:
            flush()
        _write(self._partition(repository), resume_at)
        self.changed = True

    def done(self, repository: Repository, then: Bookmark, newest: str = "") -> None:
        """Note the bookmark and the newest committer date for ``settle`` to put into the state."""
        if before := self._done.get(repository.id):
            newest = max(newest, before[1])
        else:
            self._partition(repository)
        self._done[repository.id] = then, newest

    def settle(self) -> None:
        """Move everything that is ``done`` into the state: it has left the process."""
        for repository_id, (then, newest) in self._done.items():
            partition = self._partitions[repository_id]
            _write(partition, then)
            if newest > (partition["replication_key_value"] or ""):
                partition["replication_key_value"] = newest
            self.changed = True
        emptied = [id_ for id_, (then, _) in self._done.items() if then == Bookmark()]
        self._done.clear()
        self.drop(emptied)

    def names(self) -> dict[int, str | None]:
        """Return the last known ``KEY/slug`` by repository id, None if unknown or too long."""
        return {id_: partition["repository"] for id_, partition in self._partitions.items()}

    def drop(self, repository_ids: Iterable[int]) -> None:
        """Forget repositories that are deleted, or have no commits any more."""
        for repository_id in repository_ids:
            del self._partitions[repository_id]
            self.changed = True
        self.value["bookmarks"][STREAM]["partitions"] = [*self._partitions.values()]

    def _partition(self, repository: Repository) -> Json:
        partition = self._partitions.get(repository.id)
        if partition is None:
            partition = {
                "context": {"repository_id": repository.id},
                "replication_key": REPLICATION_KEY,
                "replication_key_value": None,
            }
            self._partitions[repository.id] = partition
            self.value["bookmarks"][STREAM]["partitions"].append(partition)
        name = str(repository)
        partition["repository"] = name if len(json.dumps(name)) <= LONGEST_NAME else None
        return partition


def _bookmark(partition: Json) -> Bookmark:
    place = msgspec.convert(partition, _Place)
    reading = msgspec.structs.astuple(place.reading) if place.reading else ()
    return Bookmark(place.head, *reading)


def _write(partition: Json, bookmark: Bookmark) -> None:
    head, until, start, checksum, following = bookmark
    reading = {"until": until, "start": start}
    if start:
        reading |= {"next": following} if following else {"checksum": checksum}
    for name, value in (("head", head), ("reading", None if until is None else reading)):
        if value is None:
            partition.pop(name, None)
        else:
            partition[name] = value
