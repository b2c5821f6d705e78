"""Settings do what they say."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import BUSY, TOO_MANY, Bitbucket
from tests import singer
from tests.contract.meeting import meeting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Sync
    from tests.git_repository import GitRepository


@pytest.fixture(autouse=True)
def ledger(repository: Callable[[str], GitRepository]) -> GitRepository:
    ledger = repository("PAY/ledger")
    ledger.commits(25)
    return ledger


@pytest.mark.parametrize(
    "ending", ["", "/", "//", "/rest", "/rest/", "/rest/api/1.0", "/rest/api/latest/", "/rest/api"]
)
@pytest.mark.parametrize("context_path", ["", "/bitbucket", "/a/b"])
def test_the_base_url_may_be_given_with_what_people_copy(
    root: Path, context_path: str, ending: str
) -> None:
    with Bitbucket(root, context_path=context_path) as bitbucket:
        output = singer.sync({"base_url": bitbucket.url + ending, "token": "token"})
        assert len(output.records("commits")) == 25
        start = f"{context_path}/rest/api/1.0/"
        assert all(request.path.startswith(start) for request in bitbucket.requests)


def test_a_password_does_as_well_as_a_token(bitbucket: Bitbucket) -> None:
    config = {"base_url": bitbucket.url, "username": "admin", "password": "password"}
    assert len(singer.sync(config).records("commits")) == 25
    assert {request.user for request in bitbucket.requests} == {"admin"}


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({}, "Set either `token`, or `username` and `password`."),
        ({"token": "t", "username": "u", "password": "p"}, "Set either `token`"),
        ({"token": "t", "password": "p"}, "Set either `token`"),
        ({"username": "u"}, "Set both"),
        ({"password": "p"}, "Set both"),
        ({"token": ""}, "Set either"),
        ({"token": "to ken"}, "`token` contains characters"),
        ({"token": "token\n"}, "`token` contains characters"),
        ({"username": "a:b", "password": "p"}, "`username` contains a colon"),
    ],
)
def test_exactly_one_login_is_needed(
    bitbucket: Bitbucket, login: dict[str, str], words: str
) -> None:
    output = singer.sync({"base_url": bitbucket.url, **login})
    assert output.code == "invalid_config"
    assert words in output.last_line
    assert bitbucket.requests == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("concurrency", 0),
        ("concurrency", 33),
        ("concurrency", "8"),
        ("page_size", 0),
        ("request_timeout", 0),
        ("requests_per_second", 0),
        ("max_retries", -1),
        ("max_wait", -1),
        ("projects", "PAY"),
        ("projects", [1]),
        ("projects", ["PAY/ledger"]),
        ("repositories", ["ledger"]),
        ("start_date", "yesterday"),
        ("personal_projects", "yes"),
        ("base_url", 7),
        ("ca_bundle", "/no/such/file.pem"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_sent(
    sync: Sync, bitbucket: Bitbucket, setting: str, value: Any
) -> None:
    output = sync(**{setting: value})
    assert output.code == "invalid_config"
    assert setting in output.last_line
    assert bitbucket.requests == []


def test_page_size_is_asked_and_the_servers_cap_wins(sync: Sync, bitbucket: Bitbucket) -> None:
    bitbucket.page_caps["commits"] = 10
    assert len(sync(page_size=4).records("commits")) == 25
    commits = [r.query for r in bitbucket.requests if r.path.endswith("/commits")]
    assert [query["limit"] for query in commits] == ["4"] * len(commits)
    assert {query["start"] for query in commits} >= {"0", "4", "8", "12", "16", "20", "24"}
    bitbucket.requests.clear()
    assert len(sync().records("commits")) == 25
    commits = [r.query for r in bitbucket.requests if r.path.endswith("/commits")]
    assert {query["start"] for query in commits} >= {"0", "10", "20"}


@pytest.mark.parametrize("concurrency", [1, 2, 32])
def test_concurrency_is_kept(
    sync: Sync,
    bitbucket: Bitbucket,
    repository: Callable[[str], GitRepository],
    concurrency: int,
) -> None:
    for n in range(40):
        repository(f"P{n % 7}/r{n}").commit()
    bitbucket.faults.append(meeting(concurrency))
    sync(concurrency=concurrency)
    assert bitbucket.most_at_once == concurrency


def test_requests_per_second_is_kept(sync: Sync, bitbucket: Bitbucket) -> None:
    bitbucket.page_caps["commits"] = 5
    sync(requests_per_second=50)
    started = sorted(request.started for request in bitbucket.requests)
    assert len(started) >= 8
    assert (started[-1] - started[0]) >= (len(started) - 1) / 50 * 0.8


def test_max_retries_is_kept(sync: Sync, bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(BUSY.on("/commits", times=None))
    output = sync(max_retries=1)
    assert output.code == "unavailable"
    assert len([r for r in bitbucket.requests if r.path.endswith("/commits")]) == 2


def test_max_wait_is_kept(sync: Sync, bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(TOO_MANY.on("/commits", times=None))
    output = sync(max_wait=0.5)
    assert output.code == "rate_limited"
    assert len([r for r in bitbucket.requests if r.path.endswith("/commits")]) == 1


def test_settings_may_come_from_the_environment(bitbucket: Bitbucket) -> None:
    environment = {
        **os.environ,
        "TAP_BITBUCKET_DC_BASE_URL": bitbucket.url,
        "TAP_BITBUCKET_DC_TOKEN": "token",
        "TAP_BITBUCKET_DC_PROJECTS": '["pay"]',
        "TAP_BITBUCKET_DC_CONCURRENCY": "2",
        "TAP_BITBUCKET_DC_START_DATE": "2023-11-14T22:20:00Z",
        "TAP_BITBUCKET_DC_FORKS": "false",
    }
    done = singer.command("--config", "ENV", env=environment)
    assert done.returncode == 0, done.stderr
    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert types.count("RECORD") == 3 + 18  # the first commits are of 22:13 to 22:19
    assert bitbucket.most_at_once <= 2


@pytest.mark.parametrize(("name", "value"), [("CONCURRENCY", "eight"), ("STREAM_MAPS", "{")])
def test_a_variable_that_cannot_be_parsed_is_named(name: str, value: str) -> None:
    variable = f"TAP_BITBUCKET_DC_{name}"
    done = singer.command("--config", "ENV", env={**os.environ, variable: value})
    assert done.returncode == 1
    assert f"invalid_config: `{variable}` cannot be used: " in done.stderr.splitlines()[-1]


def test_a_run_without_its_variables_says_how_to_read_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    environment = {**os.environ, "TAP_BITBUCKET_DC_BASE_URL": "https://bitbucket.example.com"}
    done = singer.command("--config", str(tmp_path / "config.json"), env=environment)
    assert done.returncode == 1
    last_line = done.stderr.splitlines()[-1]
    assert "`base_url` did not reach the tap" in last_line
    assert last_line.endswith("add `--config ENV`; otherwise use the configuration file.")


@pytest.mark.parametrize("value", [None, []])
def test_an_empty_filter_is_none(sync: Sync, value: Any) -> None:
    settings = dict.fromkeys(
        ("projects", "exclude_projects", "repositories", "exclude_repositories"), value
    )
    output = sync(**{name: found for name, found in settings.items() if found is not None})
    assert len(output.records("commits")) == 25


def test_a_setting_that_does_not_exist_is_named_and_the_sync_goes_on(sync: Sync) -> None:
    output = sync(project=["geheim"])
    assert len(output.records("commits")) == 25
    assert "WARNING | `project` is not a setting. Did you mean `projects`?" in output.log
    assert "geheim" not in output.log


def test_a_misspelt_setting_that_is_required_is_named(bitbucket: Bitbucket) -> None:
    output = singer.sync({"base_ur": bitbucket.url, "token": "token"})
    assert output.code == "invalid_config"
    assert "'base_url' is a required property" in output.last_line
    assert "Did you mean `base_url`?" in output.last_line


def test_the_settings_of_the_sdk_exist(sync: Sync) -> None:
    output = sync(stream_maps={}, stream_map_config={}, flattening_enabled=False, faker_config={})
    assert "WARNING" not in output.log


@pytest.fixture
def with_variables(config: singer.Json, tmp_path: Path) -> Callable[..., singer.Output]:
    """Runs the command with a configuration file and with environment variables."""

    def run(*options: str, **variables: str) -> singer.Output:
        named = {f"TAP_BITBUCKET_DC_{name.upper()}": value for name, value in variables.items()}
        return singer.run(config, tmp_path, None, *options, env={**os.environ, **named})

    return run


def test_a_variable_that_did_not_reach_the_tap_is_named_and_the_sync_goes_on(
    with_variables: Callable[..., singer.Output],
) -> None:
    output = with_variables(exclude_projects='["geheim"]')
    assert len(output.records("commits")) == 25
    assert "although `TAP_BITBUCKET_DC_EXCLUDE_PROJECTS` is set" in output.log
    assert "--config ENV" in output.log
    assert "geheim" not in output.log
    output = with_variables("--config", "ENV", exclude_projects='["PAY"]')
    assert output.code == "no_resources"
    assert "did not reach" not in output.log


@pytest.mark.parametrize("name", ["shard_count", "shard_index", "shards"])
def test_a_shard_whose_number_did_not_reach_the_tap_reads_nothing(
    with_variables: Callable[..., singer.Output], bitbucket: Bitbucket, name: str
) -> None:
    output = with_variables(**{name: "2"})
    assert output.code == "invalid_config"
    assert f"`TAP_BITBUCKET_DC_{name.upper()}`" in output.last_line
    assert bitbucket.requests == []
