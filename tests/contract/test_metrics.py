"""The METRIC lines: those of the SDK, once for each stream and run."""

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import BUSY
from tests import singer
from tests.contract.catalogs import STREAMS, catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

KINDS = {"sync_duration", "record_count", "http_request_count", "http_request_duration"}


@pytest.fixture(autouse=True)
def repositories(repository: Callable[[str], GitRepository]) -> None:
    """Five repositories in two projects, one of them empty."""
    for name in ("PAY/ledger", "PAY/api", "OPS/tools", "OPS/runbooks"):
        repository(name).commits(3)
    repository("OPS/empty")


def metrics(log: str) -> dict[tuple[str, str], singer.Json]:
    """Return the METRIC lines by stream and kind."""
    lines = [line.partition("METRIC: ")[2] for line in log.splitlines()]
    found = [json.loads(line) for line in lines if line]
    by_kind = {(each["tags"]["stream"], each["metric"]): each for each in found}
    assert len(by_kind) == len(found), "a line is there twice"
    return by_kind


def test_each_stream_has_one_line_of_each_kind(sync: Sync) -> None:
    found = metrics(sync().log)
    kinds = collections.Counter(stream for stream, _ in found)
    assert set(found) == {(stream, kind) for stream in STREAMS for kind in KINDS}
    assert set(kinds.values()) == {len(KINDS)}


def test_records_are_counted(sync: Sync) -> None:
    output = sync()
    found = metrics(output.log)
    for stream in STREAMS:
        point = found[stream, "record_count"]
        assert point["type"] == "counter"
        assert point["value"] == len(output.records(stream))


def test_requests_are_counted_by_endpoint_without_names(sync: Sync, bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(BUSY)
    found = metrics(sync().log)
    counted = {stream: found[stream, "http_request_count"] for stream in STREAMS}
    assert sum(point["value"] for point in counted.values()) == len(bitbucket.requests)
    repository = "/projects/{project_key}/repos/{repository_slug}"
    assert {stream: point["tags"]["endpoint"] for stream, point in counted.items()} == {
        "projects": "/projects",
        "repositories": "/projects/{project_key}/repos",
        "default_branches": f"{repository}/branches/default",
        "commits": f"{repository}/commits",
    }
    assert not any(name in json.dumps([*found.values()]) for name in ("PAY", "ledger", "OPS"))


def test_times_are_those_of_the_sdk(sync: Sync) -> None:
    found = metrics(sync().log)
    for stream in STREAMS:
        for kind in ("sync_duration", "http_request_duration"):
            point = found[stream, kind]
            assert point["type"] == "timer"
            assert point["value"] > 0
            assert point["tags"]["status"] == "succeeded"
    assert found["projects", "sync_duration"]["value"] == max(
        found[stream, "sync_duration"]["value"] for stream in STREAMS
    )


def test_a_run_that_fails_says_so(sync: Sync, bitbucket: Bitbucket) -> None:
    bitbucket.denied["PAY"] = bitbucket.denied["OPS"] = 403
    output = sync()
    assert output.exit_code == 1
    assert metrics(output.log)["projects", "sync_duration"]["tags"]["status"] == "failed"


def test_only_selected_streams_have_records(sync: Sync) -> None:
    found = metrics(sync(catalog=catalog(["commits"])).log)
    assert {stream for stream, kind in found if kind == "record_count"} == {"commits"}


def test_readers_of_the_log_find_the_sdks_line(config: singer.Json, tmp_path: Path) -> None:
    output = singer.run(config, tmp_path)
    lines = [line for line in output.log.splitlines() if "METRIC" in line]
    assert len(lines) == len(STREAMS) * len(KINDS)
    assert all("| singer_sdk.metrics " in line and "| INFO " in line for line in lines)
