"""The state: its format, what it says before and after records, what it forgives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_bitbucket_dc.bookmarks import Bookmarks
from tap_bitbucket_dc.visit import EMPTIED, Bookmark, Repository

LEDGER = Repository(12, "PAY", "ledger")
OTHER = Repository(13, "PAY", "other")
A, B, C = "a" * 40, "b" * 40, "c" * 40
DATE = "2026-11-20T08:00:00Z"


def partition(**changes: Any) -> dict[str, Any]:
    """Return a partition as documented, with changes; a value of ... takes a key out."""
    documented = {
        "context": {"repository_id": 12},
        "replication_key": "committer_timestamp",
        "replication_key_value": DATE,
        "head": A,
        "repository": "PAY/ledger",
    }
    return {name: value for name, value in {**documented, **changes}.items() if value is not ...}


def loaded(*partitions: object) -> Bookmarks:
    """Return the bookmarks of a state with these partitions."""
    bookmarks = Bookmarks()
    bookmarks.load({"bookmarks": {"commits": {"partitions": list(partitions)}}})
    return bookmarks


def partitions(bookmarks: Bookmarks) -> list[dict[str, Any]]:
    """Return the partitions as they would be written now."""
    found: list[dict[str, Any]] = bookmarks.state["bookmarks"]["commits"]["partitions"]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def no_flush() -> None:
    """Fail: nothing needs to be out before."""
    pytest.fail("flushed")


def read(
    bookmarks: Bookmarks, repository: Repository, head: str, newest: str | None = DATE
) -> None:
    """Read a repository up to a head, on one page."""
    before = bookmarks.of(repository.id)
    bookmarks.begin(repository, Bookmark(before.head, head), no_flush)
    bookmarks.done(repository, Bookmark(head), newest)
    bookmarks.settle()


# The format.


def test_a_repository_that_was_read_has_the_documented_partition() -> None:
    bookmarks = loaded()
    read(bookmarks, LEDGER, A)
    assert partitions(bookmarks) == [partition()]


def test_the_documented_partition_is_understood() -> None:
    assert loaded(partition()).of(12) == Bookmark(A)


def test_a_state_with_less_than_the_sdk_writes_is_understood() -> None:
    assert loaded({"context": {"repository_id": 12}, "head": A}).of(12) == Bookmark(A)


def test_how_far_a_range_was_read_is_understood() -> None:
    found = partition(reading={"until": B, "start": 4000})
    assert loaded(found).of(12) == Bookmark(A, B, 4000)
    first = partition(head=..., reading={"until": B, "start": 4000})
    assert loaded(first).of(12) == Bookmark(None, B, 4000)


def test_that_everything_was_being_removed_is_understood() -> None:
    found = partition(reading={"until": EMPTIED, "start": 0})
    assert loaded(found).of(12) == Bookmark(A, EMPTIED, 0)


def test_of_an_unknown_repository_nothing_is_known() -> None:
    assert loaded(partition()).of(99) == Bookmark()


def test_without_a_state_there_are_no_partitions() -> None:
    bookmarks = Bookmarks()
    state: dict[str, Any] = {}
    bookmarks.load(state)
    assert bookmarks.state is state
    assert partitions(bookmarks) == []


def test_what_other_streams_have_in_the_state_stays() -> None:
    bookmarks = Bookmarks()
    bookmarks.load({"bookmarks": {"projects": {"x": 1}}, "other": 2})
    assert bookmarks.state["bookmarks"]["projects"] == {"x": 1}
    assert bookmarks.state["other"] == 2


def test_a_replication_key_of_the_whole_stream_is_dropped() -> None:
    bookmarks = Bookmarks()
    bookmarks.load(
        {
            "bookmarks": {
                "commits": {
                    "replication_key": "committer_timestamp",
                    "replication_key_value": DATE,
                    "progress_markers": {},
                    "partitions": [partition()],
                }
            }
        }
    )
    assert bookmarks.state == {"bookmarks": {"commits": {"partitions": [partition()]}}}


# Before and after.


def test_the_state_says_what_is_being_read_before_records_and_the_head_moves_after() -> None:
    bookmarks = loaded(partition())
    bookmarks.begin(LEDGER, Bookmark(A, B), no_flush)
    assert bookmarks.changed
    assert partitions(bookmarks) == [partition(reading={"until": B, "start": 0})]
    bookmarks.done(LEDGER, Bookmark(B), None)
    assert partitions(bookmarks) == [partition(reading={"until": B, "start": 0})]
    bookmarks.changed = False
    bookmarks.settle()
    assert bookmarks.changed
    assert partitions(bookmarks) == [partition(head=B)]


def test_pages_of_one_range_need_no_state_between_them() -> None:
    bookmarks = loaded(partition())
    bookmarks.begin(LEDGER, Bookmark(A, B), no_flush)
    bookmarks.changed = False
    bookmarks.done(LEDGER, Bookmark(A, B, 100), None)
    bookmarks.begin(LEDGER, Bookmark(A, B, 100), no_flush)
    assert not bookmarks.changed
    bookmarks.settle()
    assert bookmarks.of(12) == Bookmark(A, B, 100)


def test_another_range_waits_until_the_one_before_is_out() -> None:
    bookmarks = loaded(partition())
    bookmarks.begin(LEDGER, Bookmark(A, B), no_flush)
    bookmarks.done(LEDGER, Bookmark(B), None)
    order: list[Bookmark] = []

    def flush() -> None:
        order.append(bookmarks.of(12))
        bookmarks.settle()
        order.append(bookmarks.of(12))

    bookmarks.begin(LEDGER, Bookmark(B, C), flush)
    order.append(bookmarks.of(12))
    assert order == [Bookmark(A, B), Bookmark(B), Bookmark(B, C)]


def test_another_repository_waits_for_nobody() -> None:
    bookmarks = loaded(partition())
    bookmarks.begin(LEDGER, Bookmark(A, B), no_flush)
    bookmarks.done(LEDGER, Bookmark(B), None)
    bookmarks.begin(OTHER, Bookmark(None, C), no_flush)


def test_of_several_pages_the_last_is_what_counts() -> None:
    bookmarks = loaded()
    bookmarks.begin(LEDGER, Bookmark(None, B), no_flush)
    bookmarks.done(LEDGER, Bookmark(None, B, 100), "2026-01-01T00:00:00Z")
    bookmarks.done(LEDGER, Bookmark(B), "2025-01-01T00:00:00Z")
    bookmarks.settle()
    assert bookmarks.of(12) == Bookmark(B)
    assert partitions(bookmarks)[0]["replication_key_value"] == "2026-01-01T00:00:00Z"


def test_the_newest_date_never_goes_back() -> None:
    bookmarks = loaded(partition())
    read(bookmarks, LEDGER, B, "2001-01-01T00:00:00Z")
    assert partitions(bookmarks) == [partition(head=B)]


def test_commits_without_a_date_leave_the_newest_date() -> None:
    bookmarks = loaded(partition())
    read(bookmarks, LEDGER, B, None)
    assert partitions(bookmarks) == [partition(head=B)]


def test_settling_twice_changes_nothing() -> None:
    bookmarks = loaded()
    read(bookmarks, LEDGER, A)
    bookmarks.changed = False
    bookmarks.settle()
    assert not bookmarks.changed


def test_a_repository_whose_commits_are_all_gone_is_forgotten() -> None:
    bookmarks = loaded(partition())
    bookmarks.begin(LEDGER, Bookmark(A, EMPTIED), no_flush)
    bookmarks.done(LEDGER, Bookmark(), None)
    bookmarks.settle()
    assert partitions(bookmarks) == []
    read(bookmarks, LEDGER, B)
    assert [found["head"] for found in partitions(bookmarks)] == [B]


def test_a_repository_that_was_renamed_keeps_its_partition() -> None:
    bookmarks = loaded(partition())
    read(bookmarks, Repository(12, "OPS", "book"), B)
    assert partitions(bookmarks) == [partition(head=B, repository="OPS/book")]
    assert bookmarks.names() == {12: "OPS/book"}


def test_repositories_that_are_dropped_are_not_in_the_state_any_more() -> None:
    bookmarks = loaded(partition(), partition(context={"repository_id": 13}))
    bookmarks.drop([12])
    assert bookmarks.changed
    assert [found["context"] for found in partitions(bookmarks)] == [{"repository_id": 13}]
    assert bookmarks.of(12) == Bookmark()


# What other hands did to it.


@pytest.mark.parametrize(
    "changes",
    [
        {"head": ...},
        {"head": None},
        {"head": "main"},
        {"head": A.upper()},
        {"head": A + "\n"},
        {"head": 7},
        {"head": ["a"]},
        {"reading": 7},
        {"reading": {}},
        {"reading": {"until": "main", "start": 0}},
        {"reading": {"until": B}},
        {"reading": {"until": B, "start": -1}},
        {"reading": {"until": B, "start": "7"}},
        {"reading": {"until": B, "start": True}},
    ],
)
def test_a_partition_that_makes_no_sense_is_read_in_full_with_a_warning(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    bookmarks = loaded(partition(**changes))
    assert bookmarks.of(12) == Bookmark()
    assert "repository 12" in caplog.text
    read(bookmarks, LEDGER, B)
    assert partitions(bookmarks) == [partition(head=B)]


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        7,
        "x",
        [],
        {},
        {"context": None},
        {"context": {}},
        {"context": {"repository_id": "12"}, "head": A},
        {"context": {"repository_id": True}, "head": A},
        {"context": {"repo": "ledger"}, "head": A},
    ],
)
def test_a_partition_of_no_repository_is_left_out_with_a_warning(
    foreign: object, caplog: pytest.LogCaptureFixture
) -> None:
    bookmarks = loaded(foreign, partition())
    assert partitions(bookmarks) == [partition()]
    assert "names no repository" in caplog.text


@pytest.mark.parametrize(
    "changes", [{"replication_key_value": 7}, {"repository": 7}, {"repository": []}]
)
def test_what_is_for_people_may_have_any_type(changes: dict[str, Any]) -> None:
    bookmarks = loaded(partition(**changes))
    assert bookmarks.of(12) == Bookmark(A)
    assert bookmarks.names() == {12: "PAY/ledger" if "repository" not in changes else None}
    read(bookmarks, LEDGER, B)
    assert partitions(bookmarks) == [partition(head=B)]


def test_of_two_partitions_of_a_repository_none_is_believed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bookmarks = loaded(partition(), partition(head=B))
    assert bookmarks.of(12) == Bookmark()
    assert len(partitions(bookmarks)) == 1
    assert "twice" in caplog.text


def test_what_belongs_to_other_shards_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    bookmarks = Bookmarks()
    both = [partition(), partition(context={"repository_id": 13})]
    bookmarks.load({"bookmarks": {"commits": {"partitions": both}}}, lambda id_: id_ == 12)
    assert partitions(bookmarks) == [partition()]
    assert "other shards'" in caplog.text


# Its size.


def test_a_repository_takes_at_most_400_bytes() -> None:
    bookmarks = loaded()
    for id_ in range(2**31 - 50, 2**31):
        longest = Repository(id_, "K" * 50, "s" * 128)
        bookmarks.begin(longest, Bookmark(A, B, 10**9), no_flush)
        bookmarks.done(longest, Bookmark(A, B, 10**9), "2026-11-20T08:00:00.123Z")
    bookmarks.settle()
    assert len(json.dumps(bookmarks.state)) <= 50 * 400


def test_a_name_that_would_be_too_long_is_left_out() -> None:
    bookmarks = loaded()
    read(bookmarks, Repository(12, "K" * 50, "s" * 49), A)
    read(bookmarks, Repository(13, "K" * 50, "s" * 50), A)
    assert bookmarks.names() == {12: f"{'K' * 50}/{'s' * 49}", 13: None}
