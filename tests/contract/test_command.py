"""The command and its options, as users call it."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tap_bitbucket_dc.settings import SETTINGS
from tap_bitbucket_dc.tap import TapBitbucketDC
from tests import singer
from tests.contract.catalogs import STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.git_repository import GitRepository

NOWHERE = {"base_url": "http://127.0.0.1:9", "token": "not valid anywhere"}


def invoke(*arguments: str) -> str:
    """Return what the command prints; it runs in this process, which is faster."""
    done = CliRunner().invoke(TapBitbucketDC.cli, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., list[str]]:
    """Writes files and returns the options that name them: ``files(config={…})``."""

    def write(**contents: object) -> list[str]:
        options = []
        for option, content in contents.items():
            path = tmp_path / f"{option}.json"
            path.write_text(json.dumps(content))
            options += [f"--{option}", str(path)]
        return options

    return write


def test_version_is_that_of_the_package() -> None:
    assert metadata.version("tap-bitbucket-dc") in invoke("--version")


def test_help_says_what_it_is() -> None:
    printed = invoke("--help")
    assert "Bitbucket Data Center" in " ".join(printed.split())
    options = ("--config", "--state", "--catalog", "--discover", "--about", "--test", "--check")
    assert all(option in printed for option in options)


def test_about_needs_nothing_and_lists_every_setting() -> None:
    about = json.loads(invoke("--about", "--format=json"))
    assert about["name"] == "tap-bitbucket-dc"
    assert set(SETTINGS["properties"]) <= set(about["settings"]["properties"])
    listed = about["settings"]["properties"]
    assert listed["token"]["secret"] is True
    assert listed["concurrency"]["maximum"] == 32
    assert listed["concurrency"]["default"] == 8
    assert "catalog" in about["capabilities"]
    assert "batch" in about["capabilities"]


@pytest.mark.parametrize("config", [NOWHERE, {"base_url": "http://127.0.0.1:9"}])
def test_discover_needs_no_server_and_no_valid_login(
    files: Callable[..., list[str]], config: dict[str, str]
) -> None:
    streams = json.loads(invoke("--discover", *files(config=config)))["streams"]
    assert sorted(stream["tap_stream_id"] for stream in streams) == sorted(STREAMS)
    for stream in streams:
        assert stream["key_properties"]
        assert all(each["description"] for each in stream["schema"]["properties"].values())
    [commits] = [stream for stream in streams if stream["tap_stream_id"] == "commits"]
    assert commits["replication_method"] == "INCREMENTAL"
    assert commits["replication_key"] == "committer_timestamp"


def test_a_sync_with_what_discover_printed_reads_everything(
    files: Callable[..., list[str]],
    bitbucket: Bitbucket,
    repository: Callable[[str], GitRepository],
) -> None:
    repository("PAY/ledger").commits(3)
    config = {"base_url": bitbucket.url, "token": "token"}
    catalog = json.loads(invoke("--discover", *files(config=config)))
    done = singer.command(*files(config=config, catalog=catalog))
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert [m["type"] for m in messages].count("RECORD") == 6
    assert done.stderr.count("Traceback") == 0


def test_test_reads_a_little_and_writes_no_messages(
    files: Callable[..., list[str]],
    bitbucket: Bitbucket,
    repository: Callable[[str], GitRepository],
) -> None:
    for n in range(30):
        repository(f"P{n}/r").commits(2)
    config = {"base_url": bitbucket.url, "token": "token", "concurrency": 1}
    done = singer.command("--test", *files(config=config))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(bitbucket.requests) < 30


def test_test_fails_where_nothing_can_be_read(
    files: Callable[..., list[str]],
    bitbucket: Bitbucket,
    repository: Callable[[str], GitRepository],
) -> None:
    repository("PAY/ledger").commits(2)
    done = singer.command("--test", *files(config={"base_url": bitbucket.url, "token": "no"}))
    assert done.returncode != 0
    assert "invalid_credentials" in done.stderr.splitlines()[-1]


def test_test_schema_writes_the_schemas_alone(
    files: Callable[..., list[str]], bitbucket: Bitbucket
) -> None:
    printed = invoke("--test=schema", *files(config=NOWHERE))
    messages = [json.loads(line) for line in printed.splitlines()]
    assert {message["type"] for message in messages} == {"SCHEMA"}
    assert {message["stream"] for message in messages} == set(STREAMS)
    assert bitbucket.requests == []


def test_the_log_is_on_stderr_and_messages_alone_on_stdout(
    files: Callable[..., list[str]],
    bitbucket: Bitbucket,
    repository: Callable[[str], GitRepository],
) -> None:
    repository("PAY/ledger").commits(2)
    repository("PAY/hidden").commits(2)
    bitbucket.denied = {"PAY/hidden": 403}
    done = singer.command(*files(config={"base_url": bitbucket.url, "token": "token"}, state={}))
    assert done.returncode == 0
    assert {json.loads(line)["type"] for line in done.stdout.splitlines()} == {
        "SCHEMA",
        "RECORD",
        "STATE",
    }
    assert "PAY/hidden is inaccessible" in done.stderr
