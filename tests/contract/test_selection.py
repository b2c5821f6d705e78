"""Streams and columns are those that the user selected, and the SDK's transformations work."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft7Validator, FormatChecker

from tests.contract.catalogs import STREAMS, catalog, metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests import singer
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

SUBSETS = [subset for n in range(1, 5) for subset in itertools.combinations(STREAMS, n)]


@pytest.fixture(autouse=True)
def world(repository: Callable[[str], GitRepository], bitbucket: Bitbucket) -> None:
    """Two projects, four repositories; some pages."""
    for name in ("PAY/ledger", "PAY/api", "OPS/tools"):
        one = repository(name)
        first = one.commits(7)
        one.merge(first[-1], one.commit("PAY-7 \u2028", parents=first[:1], branch="side"))
    repository("OPS/empty")
    bitbucket.page_caps["commits"] = 3


def rows(output: singer.Output) -> dict[str, list[singer.Json]]:
    """Return the records of each stream."""
    assert output.exit_code == 0, output.log
    return {stream: output.records(stream) for stream in STREAMS}


def schema(output: singer.Output, stream: str) -> singer.Json:
    """Return the one schema of a stream."""
    [found] = [m for m in output.messages if m["type"] == "SCHEMA" and m["stream"] == stream]
    properties: singer.Json = found["schema"]
    return properties


# Streams.


@pytest.mark.parametrize("selected", SUBSETS, ids="+".join)
def test_any_subset_of_streams_is_what_all_of_them_have(
    sync: Sync, selected: tuple[str, ...]
) -> None:
    everything, some = rows(sync()), sync(catalog=catalog(selected))
    assert rows(some) == {
        stream: everything[stream] if stream in selected else [] for stream in STREAMS
    }
    assert {m["stream"] for m in some.messages if m["type"] == "SCHEMA"} == set(selected)
    heads = some.state["bookmarks"]["commits"]["partitions"]
    assert len(heads) == (3 if "commits" in selected else 0)


def asked(bitbucket: Bitbucket) -> set[str]:
    """Return the last segments of the paths that were requested."""
    return {request.path.rpartition("/")[2] for request in bitbucket.requests}


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        (["projects"], {"projects"}),
        (["repositories"], {"projects", "repos"}),
        (["projects", "repositories"], {"projects", "repos"}),
        (["default_branches"], {"projects", "repos", "default"}),
        (["commits"], {"projects", "repos", "default", "commits"}),
    ],
)
def test_what_no_selected_stream_needs_is_not_asked_for(
    sync: Sync, bitbucket: Bitbucket, selected: list[str], expected: set[str]
) -> None:
    assert sync(catalog=catalog(selected)).exit_code == 0
    assert asked(bitbucket) == expected


def test_without_commits_their_state_stays_as_it_is(sync: Sync, bitbucket: Bitbucket) -> None:
    state = sync().state
    bitbucket.requests.clear()
    for selected in (["projects"], ["repositories"], ["default_branches"]):
        assert sync(state, catalog(selected)).state == state
    assert "commits" not in asked(bitbucket)


def test_with_projects_alone_nothing_is_asked_about_repositories_of_the_state(
    sync: Sync, bitbucket: Bitbucket
) -> None:
    state = sync().state
    bitbucket.requests.clear()
    sync(state, catalog(["projects"]))
    assert asked(bitbucket) == {"projects"}


@pytest.mark.parametrize(
    "nothing", [catalog([]), {"streams": [{"tap_stream_id": "comits", "schema": {}}]}]
)
def test_a_selection_of_nothing_is_an_error_that_names_the_streams(
    sync: Sync, bitbucket: Bitbucket, nothing: singer.Json
) -> None:
    output = sync(catalog=nothing)
    assert output.code == "invalid_config"
    assert "The streams are commits, default_branches, projects, repositories." in output.last_line
    assert "meltano select" in output.last_line
    assert bitbucket.requests == []
    assert output.messages == []


# Columns.


@pytest.mark.parametrize("stream", STREAMS)
def test_a_column_that_is_not_selected_is_left_out(sync: Sync, stream: str) -> None:
    everything = rows(sync())
    optional = [
        breadcrumb[-1]
        for breadcrumb, found in metadata(stream).items()
        if breadcrumb and found["inclusion"] == "available"
    ]
    without = optional[::2]
    output = sync(catalog=catalog(without=[(stream, column) for column in without]))
    expected = [
        {k: v for k, v in record.items() if k not in without} for record in everything[stream]
    ]
    assert rows(output) == {**everything, stream: expected}
    assert not set(schema(output, stream)["properties"]) & set(without)


def test_keys_are_sent_whatever_is_selected(sync: Sync) -> None:
    unwanted = [
        (stream, column)
        for stream in STREAMS
        for column in ("id", "repository_id", "committer_timestamp")
        if ("properties", column) in metadata(stream)
    ]
    found = rows(sync(catalog=catalog(without=unwanted)))
    assert all("id" in record for record in found["projects"] + found["repositories"])
    assert all("repository_id" in record for record in found["default_branches"])
    for record in found["commits"]:
        assert {"repository_id", "id", "committer_timestamp"} <= set(record)


def test_columns_that_are_not_selected_do_not_keep_children_from_being_read(sync: Sync) -> None:
    # The context of child streams is made from the parent's row.
    unwanted = [(stream, column) for stream in STREAMS[:2] for column in ("key", "slug", "name")]
    assert rows(sync(catalog=catalog(without=unwanted)))["commits"] == rows(sync())["commits"]


# The SDK's way of writing records, and the tap's faster one.


def as_the_sdk(output: singer.Output) -> list[singer.Json]:
    """Return the RECORD messages without ``time_extracted``, to compare the two ways."""
    return [
        {k: v for k, v in message.items() if k != "time_extracted"}
        for message in output.messages
        if message["type"] == "RECORD"
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"stream_maps": {"other": {"__source__": "projects"}}},
        {"stream_maps": {stream: {"is_new": "True"} for stream in STREAMS}},
    ],
    ids=["another stream's map", "a column more"],
)
def test_the_sdks_way_gives_the_records_of_the_short_cut(sync: Sync, settings: singer.Json) -> None:
    short_cut = as_the_sdk(sync())
    found = [each for each in as_the_sdk(sync(**settings)) if each["stream"] in STREAMS]
    for message in found:
        message["record"].pop("is_new", None)
    assert found == short_cut


def test_flattening_changes_lists_alone_to_text(sync: Sync) -> None:
    plain, flat = (
        as_the_sdk(sync()),
        as_the_sdk(sync(flattening_enabled=True, flattening_max_depth=3)),
    )
    for message in flat:
        for column in {"parent_ids", "issue_keys", "co_authors"} & set(message["record"]):
            message["record"][column] = json.loads(message["record"][column])
    assert flat == plain


def test_a_stream_map_hides_and_changes_columns(sync: Sync) -> None:
    maps = {"commits": {"author_email": "md5(author_email or '')", "committer_email": "__NULL__"}}
    output = sync(stream_maps=maps)
    assert output.exit_code == 0, output.log
    records = output.records("commits")
    assert len(records) == 27
    assert {len(record["author_email"]) for record in records} == {32}
    assert not any("committer_email" in record for record in records)
    assert "committer_email" not in schema(output, "commits")["properties"]


def test_a_stream_map_renames_a_stream(sync: Sync) -> None:
    output = sync(stream_maps={"commits": {"__alias__": "bitbucket_commits"}})
    assert len(output.records("bitbucket_commits")) == 27
    assert output.records("commits") == []
    assert len(output.state["bookmarks"]["commits"]["partitions"]) == 3


def test_a_filter_on_commits_leaves_out_rows_and_moves_the_heads(sync: Sync) -> None:
    maps = {"commits": {"__filter__": "not is_merge"}}
    output = sync(stream_maps=maps)
    assert len(output.records("commits")) == 24
    assert sync(output.state).records("commits") == []


def test_a_filter_on_a_parent_leaves_out_its_children(sync: Sync) -> None:
    output = sync(stream_maps={"repositories": {"__filter__": "slug != 'api'"}})
    assert output.exit_code == 0, output.log
    found = rows(output)
    assert {record["slug"] for record in found["repositories"]} == {"ledger", "tools", "empty"}
    for stream in ("default_branches", "commits"):
        assert {record["repository_slug"] for record in found[stream]} <= {
            "ledger",
            "tools",
            "empty",
        }
    names = [p["repository"] for p in output.state["bookmarks"]["commits"]["partitions"]]
    assert sorted(names) == ["OPS/tools", "PAY/ledger"]


# Every record is valid.


@pytest.mark.parametrize("settings", [{}, {"flattening_enabled": True, "flattening_max_depth": 2}])
def test_every_record_is_valid_by_the_schema_before_it(
    sync: Sync, settings: singer.Json, bitbucket: Bitbucket
) -> None:
    bitbucket.denied = {"PAY/api": 401}
    validators: dict[str, Draft7Validator] = {}
    columns: dict[str, set[str]] = {}
    counted = 0
    for message in sync(**settings).messages:
        stream = message.get("stream", "")
        if message["type"] == "SCHEMA":
            schema = message["schema"]
            Draft7Validator.check_schema(schema)
            validators[stream] = Draft7Validator(schema, format_checker=FormatChecker())
            columns[stream] = set(schema["properties"])
        elif message["type"] == "RECORD":
            validators[stream].validate(message["record"])
            assert set(message["record"]) == columns[stream]
            counted += 1
    assert counted == 2 + 4 + 4 + 18


def test_a_schema_is_written_once(sync: Sync) -> None:
    written = [m["stream"] for m in sync().messages if m["type"] == "SCHEMA"]
    assert sorted(written) == sorted(STREAMS)


def test_no_version_is_activated(sync: Sync) -> None:
    # A target would delete what an interrupted run has not sent.
    output = sync(catalog=catalog(full_table=STREAMS))
    assert {m["type"] for m in output.messages} == {"SCHEMA", "RECORD", "STATE"}
    assert not any("version" in m for m in output.messages)
