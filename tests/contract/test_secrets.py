"""What must never be in a log, message or state, or on screen: secrets, and terminal controls."""

from __future__ import annotations

import base64
import json
import os
import re
import traceback
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.emulator import (
    BUSY,
    CUT,
    HTML_502,
    LOGIN_PAGE,
    RESET,
    TOO_MANY,
    Fault,
    redirect,
)
from tap_bitbucket_dc.tap import TapBitbucketDC
from tests import singer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket, Request
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

TOKEN = "MDM0MjM5NDc2MDxxgeheim"
PASSWORD = "pass-geheim/ü"
ENCODED = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
SECRETS = (TOKEN, PASSWORD, "geheim", ENCODED, ENCODED[:20])
STEERING = "\x1b]0;title\x07\x1b[2J\x1b[31m\r\nERROR | fake: line\u202e\u2028\x9b\x00"
LOGINS: list[dict[str, str]] = [
    {"token": TOKEN},
    {"username": "admin", "password": PASSWORD},
]
JSON = "application/json;charset=UTF-8"
FAULTS = {
    "none": None,
    "429": TOO_MANY,
    "busy": BUSY,
    "proxy": HTML_502,
    "reset": RESET,
    "cut": CUT,
    "login page": LOGIN_PAGE,
    "redirect": redirect("https://sso.invalid/login"),
    "refused": Fault(status=401),
}


@pytest.fixture(autouse=True)
def ledger(bitbucket: Bitbucket, repository: Callable[[str], GitRepository]) -> GitRepository:
    bitbucket.tokens = {TOKEN: "admin"}
    bitbucket.passwords["admin"] = PASSWORD
    ledger = repository("PAY/ledger")
    ledger.commits(3)
    return ledger


def assert_no_secret(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text


@pytest.mark.parametrize("login", LOGINS, ids=["token", "password"])
@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_no_secret_is_in_log_messages_or_state(
    bitbucket: Bitbucket, tmp_path: Path, login: dict[str, str], level: str
) -> None:
    bitbucket.faults += [RESET.on("/branches"), CUT.on("/commits"), BUSY.on("/repos")]
    environment = {**os.environ, "TAP_BITBUCKET_DC_LOGLEVEL": level}
    output = singer.run({"base_url": bitbucket.url, **login}, tmp_path, env=environment)
    assert len(output.records("commits")) == 3
    assert ("urllib3" in output.log) == (level == "DEBUG")
    assert_no_secret(output.log + json.dumps(output.messages, ensure_ascii=False))


@pytest.mark.parametrize("login", LOGINS, ids=["token", "password"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_secret_is_in_an_error_or_its_causes(
    bitbucket: Bitbucket, capsys: pytest.CaptureFixture[str], login: dict[str, str], fault: str
) -> None:
    if found := FAULTS[fault]:
        bitbucket.faults.append(found.on("", times=None))
    config = {"base_url": bitbucket.url, "max_retries": 0, **login}
    tap = TapBitbucketDC(config=config)
    try:
        tap.sync_all()
    except errors.BitbucketError as error:
        assert found
        assert_no_secret("".join(traceback.format_exception(error)))
        assert_no_secret(repr(error.__dict__))
    else:
        assert not found
    assert_no_secret("".join(capsys.readouterr()))


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "http://b.invalid", "token": TOKEN},
        {"base_url": "https://u:geheim@b.invalid", "token": TOKEN},
        {"base_url": "https://b.invalid", "token": f"{TOKEN} "},
        {"base_url": "https://b.invalid", "token": [TOKEN]},
        {"base_url": "https://b.invalid", "token": TOKEN, "password": PASSWORD},
        {"base_url": "https://b.invalid", "username": "a", "password": {"x": PASSWORD}},
        {"token": TOKEN, "concurrency": 0},
    ],
    ids=str,
)
def test_no_secret_is_in_what_is_said_of_wrong_settings(config: dict[str, Any]) -> None:
    output = singer.sync(config)
    assert output.exit_code == 1
    assert_no_secret(output.log)


@pytest.mark.parametrize("option", ["--about", "--discover", "--check"])
def test_no_secret_is_in_what_an_option_prints(
    bitbucket: Bitbucket, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"base_url": bitbucket.url, "token": TOKEN}))
    done = singer.command("--config", path, option)
    assert done.returncode == 0
    assert_no_secret(done.stdout + done.stderr)


def test_no_secret_is_in_the_list_of_processes(bitbucket: Bitbucket, tmp_path: Path) -> None:
    seen: list[str] = []

    def look(_: Request) -> None:
        for process in psutil.Process().children(recursive=True):
            seen.extend(process.cmdline())

    bitbucket.on_request.append(look)
    singer.run({"base_url": bitbucket.url, "token": TOKEN}, tmp_path)
    assert any("tap-bitbucket-dc" in word for word in seen)
    assert_no_secret(" ".join(seen))


# A server's words on a terminal.


def clean(text: str) -> bool:
    return not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)


@pytest.mark.parametrize("status", [401, 404, 409, 429, 503])
@pytest.mark.parametrize("match", ["/projects\\?", "/branches"])
def test_a_server_s_words_do_not_steer_the_terminal(
    bitbucket: Bitbucket, sync: Sync, match: str, status: int
) -> None:
    body = {"errors": [{"message": STEERING * 3, "exceptionName": "x.NoSuch\x1b[1mException"}]}
    headers = {"Retry-After": "9999\x1b[2J"}
    lie = Fault(match, status, headers, json.dumps(body).encode(), JSON, None)
    bitbucket.faults.append(lie)
    output = sync(token=TOKEN, max_retries=0)
    assert clean(output.log), output.log
    assert not any(line.startswith("ERROR | fake") for line in output.log.splitlines())


def test_names_and_headers_of_a_server_do_not_steer_the_terminal(
    bitbucket: Bitbucket, sync: Sync
) -> None:
    def rename(body: singer.Json) -> singer.Json:
        for row in body["values"]:
            row["slug"] = row["key"] = STEERING
        return body

    bitbucket.faults += [
        Fault("/projects/PAY/repos", kind="replace", replace=rename, times=None),
        Fault("branches", 409, times=None),
    ]
    assert clean(sync(token=TOKEN, max_retries=0).log)
    bitbucket.faults[:] = [Fault(status=200, content_type="text/\x1b[2Jhtml", times=None)]
    output = sync(token=TOKEN, max_retries=0)
    assert output.code == "not_bitbucket"
    assert clean(output.log)
    bitbucket.faults[:] = [redirect("https://b.invalid/\x1b[2J\x9b", times=None)]
    assert clean(sync(token=TOKEN, max_retries=0).log)


def test_the_check_does_not_steer_the_terminal(bitbucket: Bitbucket, tmp_path: Path) -> None:
    def rename(body: singer.Json) -> singer.Json:
        return {**body, "displayName": STEERING, "version": STEERING, "displayId": STEERING}

    bitbucket.faults.append(Fault("app|bran", kind="replace", replace=rename, times=None))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"base_url": bitbucket.url, "token": TOKEN}))
    done = singer.command("--config", path, "--check")
    assert done.returncode == 0
    assert clean(done.stdout)
