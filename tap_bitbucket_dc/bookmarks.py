"""The state's format, read and written in one place.

::

    {"bookmarks": {"commits": {"partitions": [
      {"context": {"repository_id": 12}, "replication_key": "committer_timestamp",
       "replication_key_value": "2026-11-20T08:00:00Z", "head": "76c728b9…",
       "reading": {"until": "9f2c…", "start": 4000}, "repository": "PAY/ledger"}]}}}

``replication_key_value`` (newest committer date seen) is for people. Decisions use
``head``: all commits up to it are out. ``reading`` is there while those up to
``until`` are being read, and is in the state **before** the first of them is out:
only so the next run can tell which of them a rewrite has removed meanwhile.
"""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

from tap_bitbucket_dc.visit import EMPTIED, Bookmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_bitbucket_dc.visit import Repository

logger = logging.getLogger("tap-bitbucket-dc")

STREAM = "commits"
REPLICATION_KEY = "committer_timestamp"
LONGEST_NAME = 102  # bytes of `repository` as JSON, so that a partition stays small
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")

Partition = dict[str, Any]


class Bookmarks:
    """The partitions of the state, found by repository id.

    What was read is said in two steps: ``begin`` before it is written, ``done``
    after; ``settle`` when what was written is really out.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.state: dict[str, Any] = {}
        """The Singer state, as it may be written now."""
        self.changed = False
        """Whether it differs from what was last written."""
        self._partitions: dict[int, Partition] = {}
        self._done: dict[int, tuple[Bookmark, str | None]] = {}

    def load(self, state: dict[str, Any], ours: Callable[[int], bool] = lambda _: True) -> None:
        """Take a state over, and go on writing into it.

        Args:
            state: A Singer state.
            ours: Whether a repository is read by this shard. Others are left out: a copy
                that only grows old must not be taken for their shard's own.

        Raises:
            ConfigError: Its partitions are no list of objects.
        """
        bookmarks = state.setdefault("bookmarks", {})
        stream = bookmarks.setdefault(STREAM, {})
        partitions = stream.get("partitions", [])
        self._partitions = {}
        for partition in partitions:
            self._load(partition)
        others = [id_ for id_ in self._partitions if not ours(id_)]
        for repository_id in others:
            del self._partitions[repository_id]
        if others:
            logger.warning("%s repositories of the state are other shards': left out", len(others))
        stream.clear()  # a replication key of the whole stream is another tap's
        stream["partitions"] = list(self._partitions.values())
        self.state = state

    def _load(self, partition: Partition) -> None:
        repository_id = _repository_id(partition)
        if repository_id is None:
            logger.warning("A partition of the state names no repository: ignored")
        elif repository_id in self._partitions:
            logger.warning("Repository %s is twice in the state", repository_id)
            _forget(self._partitions[repository_id])
        else:
            self._partitions[repository_id] = partition
            for name in ("replication_key_value", "repository"):
                if not isinstance(partition.get(name), str):
                    partition[name] = None
            if not _is_sound(partition):
                logger.warning(
                    "The state of repository %s has no head: it is read in full",
                    repository_id,
                )
                _forget(partition)

    def of(self, repository_id: int) -> Bookmark:
        """Return how far a repository was read. For any thread."""
        partition = self._partitions.get(repository_id)
        return _bookmark(partition) if partition else Bookmark()

    def begin(self, repository: Repository, before: Bookmark, flush: Callable[[], None]) -> None:
        """Have the state say, before commits go out, up to where they reach.

        Args:
            repository: Whose commits.
            before: What the state must say; a later start may be left out.
            flush: Called if what was ``done`` before must be out first.
        """
        if _range(self.of(repository.id)) == _range(before):
            return
        if repository.id in self._done:
            flush()
        self._set(repository, before)

    def done(self, repository: Repository, after: Bookmark, newest: str | None) -> None:
        """Note what the state may say once all that was written is out.

        Args:
            repository: Whose commits.
            after: What the state may say.
            newest: The newest committer date among them, None if there is none.
        """
        _, before = self._done.get(repository.id, (None, None))
        self._done[repository.id] = after, max(newest or "", before or "") or None
        self._partition(repository)

    def settle(self) -> None:
        """Let the state say all that is done: everything written is out."""
        for repository_id, (after, newest) in self._done.items():
            partition = self._partitions[repository_id]
            _write(partition, after)
            if newest and newest > (partition.get("replication_key_value") or ""):
                partition["replication_key_value"] = newest
        self.changed |= bool(self._done)
        emptied = [id_ for id_, (after, _) in self._done.items() if after == Bookmark()]
        self._done.clear()
        if emptied:
            self.drop(emptied)

    def names(self) -> dict[int, str | None]:
        """Return the ``KEY/slug`` last known, None if too long, by repository id."""
        return {id_: p.get("repository") for id_, p in self._partitions.items()}

    def drop(self, repository_ids: Iterable[int]) -> None:
        """Forget repositories that are deleted, or have no commits any more."""
        for repository_id in repository_ids:
            del self._partitions[repository_id]
            self.changed = True
        self.state["bookmarks"][STREAM]["partitions"] = [*self._partitions.values()]

    def _set(self, repository: Repository, bookmark: Bookmark) -> None:
        _write(self._partition(repository), bookmark)
        self.changed = True

    def _partition(self, repository: Repository) -> Partition:
        partition = self._partitions.get(repository.id)
        if partition is None:
            partition = {
                "context": {"repository_id": repository.id},
                "replication_key": REPLICATION_KEY,
                "replication_key_value": None,
            }
            self._partitions[repository.id] = partition
            self.state["bookmarks"][STREAM]["partitions"].append(partition)
        name = str(repository)
        partition["repository"] = name if len(json.dumps(name)) <= LONGEST_NAME else None
        return partition


def _repository_id(partition: object) -> int | None:
    if not isinstance(partition, dict) or not isinstance(partition.get("context"), dict):
        return None
    repository_id = partition["context"].get("repository_id")
    return repository_id if type(repository_id) is int else None


def _is_sound(partition: Partition) -> bool:
    head, reading = partition.get("head"), partition.get("reading")
    if head is not None and not _is_commit_id(head):
        return False
    if reading is None:
        return head is not None
    return (
        isinstance(reading, dict)
        and (_is_commit_id(reading.get("until")) or reading.get("until") == EMPTIED)
        and type(reading.get("start")) is int
        and reading["start"] >= 0
    )


def _is_commit_id(value: object) -> bool:
    return isinstance(value, str) and bool(_COMMIT_ID.fullmatch(value))


def _bookmark(partition: Partition) -> Bookmark:
    reading = partition.get("reading") or {}
    return Bookmark(partition.get("head"), reading.get("until"), reading.get("start", 0))


def _range(bookmark: Bookmark) -> tuple[str | None, str | None]:
    return bookmark.head, bookmark.until


def _write(partition: Partition, bookmark: Bookmark) -> None:
    _forget(partition)
    if bookmark.head is not None:
        partition["head"] = bookmark.head
    if bookmark.until is not None:
        partition["reading"] = {"until": bookmark.until, "start": bookmark.start}


def _forget(partition: Partition) -> None:
    partition.pop("head", None)
    partition.pop("reading", None)
