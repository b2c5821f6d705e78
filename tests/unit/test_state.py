"""The state: its format, what it says before and after records, what it forgives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_bitbucket_dc.bitbucket import Project, Repository
from tap_bitbucket_dc.state import EMPTIED, Bookmark, State

PAY = Project(id=1, key="PAY")
LEDGER = Repository(id=12, slug="ledger", project=PAY)
OTHER = Repository(id=13, slug="other", project=PAY)
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


def loaded(*partitions: object) -> State:
    """Return a state with these partitions."""
    state = State()
    state.load({"bookmarks": {"commits": {"partitions": list(partitions)}}})
    return state


def partitions(state: State) -> list[dict[str, Any]]:
    """Return the partitions as they would be written now."""
    found: list[dict[str, Any]] = state.value["bookmarks"]["commits"]["partitions"]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def no_flush() -> None:
    """Fail: nothing needs to be out before."""
    pytest.fail("flushed")


def read(state: State, repository: Repository, head: str, newest: str = DATE) -> None:
    """Read a repository up to a head, on one page."""
    before = state.bookmark(repository.id)
    state.begin(repository, Bookmark(before.head, head), no_flush)
    state.done(repository, Bookmark(head), newest)
    state.settle()


# The format.


def test_a_repository_that_was_read_has_the_documented_partition() -> None:
    state = loaded()
    read(state, LEDGER, A)
    assert partitions(state) == [partition()]


def test_the_documented_partition_is_understood() -> None:
    assert loaded(partition()).bookmark(12) == Bookmark(A)


def test_a_state_with_less_than_the_sdk_writes_is_understood() -> None:
    assert loaded({"context": {"repository_id": 12}, "head": A}).bookmark(12) == Bookmark(A)


def test_how_far_a_range_was_read_is_understood() -> None:
    found = partition(reading={"until": B, "start": 4000})
    assert loaded(found).bookmark(12) == Bookmark(A, B, 4000)
    first = partition(head=..., reading={"until": B, "start": 4000})
    assert loaded(first).bookmark(12) == Bookmark(None, B, 4000)


def test_the_bookmark_of_an_emptied_repository_is_understood() -> None:
    found = partition(reading={"until": EMPTIED, "start": 0})
    assert loaded(found).bookmark(12) == Bookmark(A, EMPTIED, 0)


def test_an_unknown_repository_has_an_empty_bookmark() -> None:
    assert loaded(partition()).bookmark(99) == Bookmark()


def test_without_a_state_there_are_no_partitions() -> None:
    state = State()
    value: dict[str, Any] = {}
    state.load(value)
    assert state.value is value
    assert partitions(state) == []


def test_what_other_streams_have_in_the_state_stays() -> None:
    state = State()
    state.load({"bookmarks": {"projects": {"x": 1}}, "other": 2})
    assert state.value["bookmarks"]["projects"] == {"x": 1}
    assert state.value["other"] == 2


def test_a_replication_key_of_the_whole_stream_is_dropped() -> None:
    state = State()
    state.load(
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
    assert state.value == {"bookmarks": {"commits": {"partitions": [partition()]}}}


def test_unknown_keys_of_a_partition_are_kept() -> None:
    state = loaded(partition(note="ours", progress_markers={"x": [1]}))
    read(state, LEDGER, B)
    assert partitions(state) == [partition(head=B, note="ours", progress_markers={"x": [1]})]


# Before and after.


def test_the_state_names_a_range_before_its_records_and_the_head_moves_after_them() -> None:
    state = loaded(partition())
    state.begin(LEDGER, Bookmark(A, B), no_flush)
    assert state.changed
    assert partitions(state) == [partition(reading={"until": B, "start": 0})]
    state.done(LEDGER, Bookmark(B))
    assert partitions(state) == [partition(reading={"until": B, "start": 0})]
    state.changed = False
    state.settle()
    assert state.changed
    assert partitions(state) == [partition(head=B)]


def test_pages_of_one_range_need_no_state_between_them() -> None:
    state = loaded(partition())
    state.begin(LEDGER, Bookmark(A, B), no_flush)
    state.changed = False
    state.done(LEDGER, Bookmark(A, B, 100))
    state.begin(LEDGER, Bookmark(A, B, 100), no_flush)
    assert not state.changed
    state.settle()
    assert state.bookmark(12) == Bookmark(A, B, 100)


def test_another_range_waits_until_the_one_before_is_out() -> None:
    state = loaded(partition())
    state.begin(LEDGER, Bookmark(A, B), no_flush)
    state.done(LEDGER, Bookmark(B))
    order: list[Bookmark] = []

    def flush() -> None:
        order.append(state.bookmark(12))
        state.settle()
        order.append(state.bookmark(12))

    state.begin(LEDGER, Bookmark(B, C), flush)
    order.append(state.bookmark(12))
    assert order == [Bookmark(A, B), Bookmark(B), Bookmark(B, C)]


def test_another_repository_waits_for_nobody() -> None:
    state = loaded(partition())
    state.begin(LEDGER, Bookmark(A, B), no_flush)
    state.done(LEDGER, Bookmark(B))
    state.begin(OTHER, Bookmark(None, C), no_flush)


def test_the_last_of_several_pages_counts() -> None:
    state = loaded()
    state.begin(LEDGER, Bookmark(None, B), no_flush)
    state.done(LEDGER, Bookmark(None, B, 100), "2026-01-01T00:00:00Z")
    state.done(LEDGER, Bookmark(B), "2025-01-01T00:00:00Z")
    state.settle()
    assert state.bookmark(12) == Bookmark(B)
    assert partitions(state)[0]["replication_key_value"] == "2026-01-01T00:00:00Z"


def test_the_newest_date_never_goes_back() -> None:
    state = loaded(partition())
    read(state, LEDGER, B, "2001-01-01T00:00:00Z")
    assert partitions(state) == [partition(head=B)]


def test_commits_without_a_date_leave_the_newest_date() -> None:
    state = loaded(partition())
    read(state, LEDGER, B, "")
    assert partitions(state) == [partition(head=B)]


def test_settling_twice_changes_nothing() -> None:
    state = loaded()
    read(state, LEDGER, A)
    state.changed = False
    state.settle()
    assert not state.changed


def test_a_repository_whose_commits_are_all_gone_is_forgotten() -> None:
    state = loaded(partition())
    state.begin(LEDGER, Bookmark(A, EMPTIED), no_flush)
    state.done(LEDGER, Bookmark())
    state.settle()
    assert partitions(state) == []
    read(state, LEDGER, B)
    assert [found["head"] for found in partitions(state)] == [B]


def test_a_repository_that_was_renamed_keeps_its_partition() -> None:
    state = loaded(partition())
    read(state, Repository(id=12, slug="book", project=Project(id=2, key="OPS")), B)
    assert partitions(state) == [partition(head=B, repository="OPS/book")]
    assert state.names() == {12: "OPS/book"}


def test_repositories_that_are_dropped_are_not_in_the_state_any_more() -> None:
    state = loaded(partition(), partition(context={"repository_id": 13}))
    state.drop([12])
    assert state.changed
    assert [found["context"] for found in partitions(state)] == [{"repository_id": 13}]
    assert state.bookmark(12) == Bookmark()


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
    state = loaded(partition(**changes))
    assert state.bookmark(12) == Bookmark()
    assert "repository 12" in caplog.text
    read(state, LEDGER, B)
    assert partitions(state) == [partition(head=B)]


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
    state = loaded(foreign, partition())
    assert partitions(state) == [partition()]
    assert "without a repository id" in caplog.text


@pytest.mark.parametrize(
    "changes", [{"replication_key_value": 7}, {"repository": 7}, {"repository": []}]
)
def test_what_is_for_people_may_have_any_type(changes: dict[str, Any]) -> None:
    state = loaded(partition(**changes))
    assert state.bookmark(12) == Bookmark(A)
    assert state.names() == {12: "PAY/ledger" if "repository" not in changes else None}
    read(state, LEDGER, B)
    assert partitions(state) == [partition(head=B)]


def test_two_partitions_of_one_repository_are_both_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = loaded(partition(), partition(head=B))
    assert state.bookmark(12) == Bookmark()
    assert len(partitions(state)) == 1
    assert "twice" in caplog.text


def test_what_belongs_to_other_shards_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    state = State()
    both = [partition(), partition(context={"repository_id": 13})]
    state.load({"bookmarks": {"commits": {"partitions": both}}}, lambda id_: id_ == 12)
    assert partitions(state) == [partition()]
    assert "Ignoring state partitions that belong to other shards: 1 in all" in caplog.text


# Its size.


@pytest.mark.parametrize(
    "place",
    [
        Bookmark(A),
        Bookmark(A, B),
        Bookmark(None, B, 10**9, 2**32 - 1),
        Bookmark(None, B, 10**9, next=A),
    ],
)
def test_a_repository_takes_at_most_400_bytes_and_440_while_it_is_read(place: Bookmark) -> None:
    state = loaded()
    project = Project(id=2**31 - 1, key="K" * 50)
    for id_ in range(2**31 - 50, 2**31):
        longest = Repository(id=id_, slug="s" * 128, project=project)
        state.begin(longest, place, no_flush)
        state.done(longest, place, "2026-11-20T08:00:00.123Z")
    state.settle()
    assert len(json.dumps(state.value)) <= 50 * (440 if place.until else 400)


@pytest.mark.parametrize("place", [Bookmark(A, B), Bookmark(None, B, 10**9, next=A)])
def test_the_longest_name_fits_as_well(place: Bookmark) -> None:
    state = loaded()
    project = Project(id=1, key="K" * 50)
    for id_ in range(2**31 - 50, 2**31):
        longest = Repository(id=id_, slug="s" * 49, project=project)
        state.begin(longest, place, no_flush)
        state.done(longest, place, "2026-11-20T08:00:00.123Z")
    state.settle()
    assert len(json.dumps(state.value)) <= 50 * 440


def test_a_name_that_would_be_too_long_is_left_out() -> None:
    state = loaded()
    project = Project(id=1, key="K" * 50)
    read(state, Repository(id=12, slug="s" * 49, project=project), A)
    read(state, Repository(id=13, slug="s" * 50, project=project), A)
    assert state.names() == {12: f"{'K' * 50}/{'s' * 49}", 13: None}


def test_a_partition_is_small_whatever_letters_a_name_has() -> None:
    state = loaded()
    project = Project(id=1, key="ПРОЕКТ")
    name = Repository(id=2_147_483_647, slug="репозиторий-" * 7, project=project)
    state.done(name, Bookmark(A, B, 12_345_678), "2026-11-20T08:00:00.123Z")
    state.settle()
    [written] = partitions(state)
    assert len(json.dumps(written)) <= 400
