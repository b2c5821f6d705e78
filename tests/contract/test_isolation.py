"""A defect in one row, catalog, state or setting affects nothing else, and is reported."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import Bitbucket, Fault
from tests import singer
from tests.contract.catalogs import STREAMS, catalog
from tests.contract.raw import Raw, honest

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Sync
    from tests.git_repository import GitRepository

SUBSETS = [subset for n in range(1, 4) for subset in itertools.combinations(STREAMS, n)]
LISTING = "/projects\\?"


@pytest.fixture(autouse=True)
def world(repository: Callable[[str], GitRepository]) -> None:
    """Two projects with two repositories each, and three commits in each of these."""
    for name in ("OPS/deploy", "OPS/tools", "PAY/api", "PAY/ledger"):
        repository(name).commits(3)


def spoiling(match: str, which: str, **changes: Any) -> Fault:
    """Return a fault that changes the row whose key or slug is ``which``; None removes a key."""

    def spoil(body: singer.Json) -> singer.Json:
        def changed(row: singer.Json) -> singer.Json:
            if which not in {row.get("key"), row.get("slug")}:
                return row
            return {k: v for k, v in {**row, **changes}.items() if v is not None}

        return {**body, "values": [changed(row) for row in body["values"]]}

    return Fault(match, kind="replace", replace=spoil, times=None)


def read(output: singer.Output) -> set[str]:
    return {record["repository_slug"] for record in output.records("commits")}


# Rows.


@pytest.mark.parametrize("missing", [{"id": None}, {"id": "5"}, {"key": None}, {"key": 5}], ids=str)
def test_a_project_without_id_or_key_fails_alone(
    bitbucket: Bitbucket, sync: Sync, missing: singer.Json
) -> None:
    bitbucket.faults.append(spoiling(LISTING, "PAY", **missing))
    output = sync()
    assert output.code == "unexpected_answer", output.log
    assert "1 project was not read: " in output.last_line
    assert bitbucket.url in output.last_line
    assert read(output) == {"deploy", "tools"}


@pytest.mark.parametrize("missing", [{"id": None}, {"slug": None}, {"slug": []}], ids=str)
def test_a_repository_without_id_or_slug_fails_alone(
    bitbucket: Bitbucket, sync: Sync, missing: singer.Json
) -> None:
    bitbucket.faults.append(spoiling("/PAY/repos\\?", "api", **missing))
    output = sync()
    assert output.code == "unexpected_answer", output.log
    assert "1 repository was not read: PAY/" in output.last_line
    assert read(output) == {"deploy", "tools", "ledger"}


@pytest.mark.parametrize("name", [".", "..", "..."])
def test_a_name_of_dots_is_never_sent_in_a_path(
    bitbucket: Bitbucket, sync: Sync, name: str
) -> None:
    bitbucket.faults += [
        spoiling(LISTING, "PAY", key=name),
        spoiling("/OPS/repos\\?", "tools", slug=name),
    ]
    output = sync()
    assert output.code == "unexpected_answer"
    assert "1 project and 1 repository were not read" in output.last_line
    assert read(output) == {"deploy"}
    assert not [r for r in bitbucket.requests if f"/{name}/" in r.target]


def test_two_projects_with_one_id_are_named_and_read(bitbucket: Bitbucket, sync: Sync) -> None:
    ids = {record["key"]: record["id"] for record in sync().records("projects")}
    bitbucket.faults.append(spoiling(LISTING, "PAY", id=ids["OPS"]))
    output = sync()
    assert output.code == "unexpected_answer"
    assert "OPS and PAY" in output.last_line
    assert len(output.records("commits")) == 12


def test_two_repositories_with_one_id_are_named_and_one_is_read(
    bitbucket: Bitbucket, sync: Sync
) -> None:
    ids = {record["slug"]: record["id"] for record in sync().records("repositories")}
    bitbucket.faults.append(spoiling("/PAY/repos\\?", "api", id=ids["tools"]))
    output = sync()
    assert output.code == "unexpected_answer"
    assert "OPS/tools and PAY/api" in output.last_line
    assert read(output) == {"deploy", "tools", "ledger"}


def test_a_repository_that_is_listed_twice_is_read_once(bitbucket: Bitbucket, sync: Sync) -> None:
    def twice(body: singer.Json) -> singer.Json:
        return {**body, "values": [*body["values"], *body["values"]]}

    bitbucket.faults.append(Fault("/repos\\?", kind="replace", replace=twice, times=None))
    output = sync()
    assert output.exit_code == 0, output.log
    assert len(output.records("commits")) == 12


@pytest.mark.parametrize("wrong", ["", "5", "A" * 40, "g" * 40, "a" * 64, " " * 40])
def test_a_commit_id_that_git_would_not_have_fails_its_repository(
    bitbucket: Bitbucket, sync: Sync, wrong: str
) -> None:
    def spoil(body: singer.Json) -> singer.Json:
        return {**body, "values": [{**body["values"][0], "id": wrong}, *body["values"][1:]]}

    bitbucket.faults.append(Fault("/api/commits", kind="replace", replace=spoil, times=None))
    output = sync()
    assert output.code == "unexpected_answer", output.log
    assert "/api/commits" in output.last_line
    assert read(output) == {"deploy", "tools", "ledger"}


def test_more_rows_than_were_asked_for_are_refused(bitbucket: Bitbucket, sync: Sync) -> None:
    def more(body: singer.Json) -> singer.Json:
        return {**body, "values": body["values"] * 2}

    bitbucket.faults.append(Fault("/api/commits", kind="replace", replace=more, times=None))
    output = sync(page_size=3)
    assert output.code == "unexpected_answer"
    assert "6 rows, but only 3 were requested" in output.last_line


def test_an_endless_listing_of_new_rows_is_abandoned() -> None:
    def endless(connection: socket.socket, target: str) -> None:
        start = int(target.partition("start=")[2].partition("&")[0] or 0)
        rows = [{"id": start + n, "key": f"P{start + n}"} for n in range(1000)]
        honest(connection, target, projects={"values": rows, "nextPageStart": start + 1000})

    with Raw(endless) as server:
        output = singer.sync({"base_url": server.url, "token": "x"})
    assert output.code == "unexpected_answer"
    assert "does not end" in output.last_line


# Catalogs.


@pytest.mark.parametrize("listed", SUBSETS, ids="+".join)
def test_a_catalog_selects_the_streams_that_it_lists(sync: Sync, listed: tuple[str, ...]) -> None:
    whole = catalog()
    part = {"streams": [s for s in whole["streams"] if s["tap_stream_id"] in listed]}
    everything, some = sync(), sync(catalog=part)
    assert some.exit_code == 0, some.log
    for stream in STREAMS:
        expected = everything.records(stream) if stream in listed else []
        assert some.records(stream) == expected


def test_keys_that_a_catalog_omits_or_deselects_are_written_anyway(sync: Sync) -> None:
    bare = catalog()
    for stream in bare["streams"]:
        for name in ("key_properties", "replication_key", "replication_method"):
            stream.pop(name, None)
        columns = stream["schema"]["properties"]
        stream["metadata"] = [{"breadcrumb": [], "metadata": {"selected": True}}] + [
            {"breadcrumb": ["properties", column], "metadata": {"selected": False}}
            for column in columns
        ]
    output = sync(catalog=bare)
    assert output.exit_code == 0, output.log
    schemas = {m["stream"]: m for m in output.messages if m["type"] == "SCHEMA"}
    for stream in STREAMS:
        keys = schemas[stream]["key_properties"]
        assert keys
        assert all(set(keys) <= set(record) for record in output.records(stream))
    assert sync(output.state, catalog=bare).records("commits") == []


# States and stream maps.

DEEP = "[" * 100_000
STATES = {
    '{"bookmarks": 5}': False,
    '{"bookmarks": null}': False,
    '{"bookmarks": {"projects": 5}}': False,
    '{"bookmarks": {"projects": {"partitions": [5]}}}': False,
    '{"bookmarks": {"other": {"progress_markers": 5}}}': False,
    '{"bookmarks": {"commits": {"partitions": 5}}}': False,
    '{"bookmarks": {"commits": {"partitions": [5, null, {"context": 5}]}}}': True,
    '{"bookmarks": {"other": {"replication_key_value": []}}}': True,
    '{"note": "\\ud800"}': False,
    '{"note": NaN, "other": Infinity}': True,
    f'{{"note": {DEEP}}}': False,
    '{"note": 1000000000000000000000000000000}': True,
    '{"singer_state": {}}': True,
}


@pytest.mark.parametrize(("state", "usable"), STATES.items(), ids=lambda found: str(found)[:60])
def test_any_json_object_is_a_usable_state_or_invalid_config(
    bitbucket: Bitbucket, config: singer.Json, tmp_path: Path, state: str, *, usable: bool
) -> None:
    path = tmp_path / "state.json"
    path.write_text(state)
    output = singer.run(config, tmp_path, None, "--state", str(path))
    assert output.code == ("" if usable else "invalid_config"), output.log
    assert "Traceback" not in output.log
    assert len(output.records("commits")) == (12 if usable else 0)
    assert not usable or all(r.status == HTTPStatus.OK for r in bitbucket.requests)


@pytest.mark.parametrize(
    "expression", ["1 +", "nope", "int(message)", "1 / 0", "''.nope()", "__import__('os')"]
)
@pytest.mark.parametrize("key", ["author_name", "__filter__"])
def test_an_expression_that_cannot_be_evaluated_is_an_invalid_setting(
    sync: Sync, config: singer.Json, key: str, expression: str
) -> None:
    maps = {"commits": {key: expression}}
    output = sync(stream_maps=maps)
    assert output.code == "invalid_config", output.log
    assert output.records("commits") == []
    assert config["base_url"] not in output.last_line


# Signals.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("option", ["", "--check"])
def test_a_signal_is_obeyed_the_first_time(
    tmp_path: Path, number: signal.Signals, option: str
) -> None:
    def silent(connection: socket.socket, _: str) -> None:
        connection.recv(1)  # until the tap is gone

    config = tmp_path / "config.json"
    with Raw(silent) as server:
        config.write_text(json.dumps({"base_url": server.url, "token": "x"}))
        arguments = [str(singer.TAP), "--config", str(config), *([option] if option else [])]
        with subprocess.Popen(arguments, stdout=-1, stderr=-1, text=True) as tap:
            while not server.targets:
                time.sleep(0.01)
            tap.send_signal(number)
            _, log = tap.communicate(timeout=30)
    assert tap.returncode == 128 + number
    assert "Traceback" not in log


def test_a_signal_is_obeyed_while_the_tap_is_being_imported(tmp_path: Path) -> None:
    # The SDK is replaced by a module that prints a line when it is imported, and waits.
    (tmp_path / "singer_sdk.py").write_text("print(flush=True); import time; time.sleep(60)")
    arguments = [str(singer.TAP), "--version"]
    environment = {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(arguments, stdout=-1, stderr=-1, text=True, env=environment) as tap:
        assert tap.stdout
        tap.stdout.readline()
        tap.send_signal(signal.SIGINT)
        _, log = tap.communicate(timeout=30)
    assert tap.returncode == 128 + signal.SIGINT
    assert log == ""
