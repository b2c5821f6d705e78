"""Secrets in settings, wherever they stand by mistake and however they are misread, stay secret."""

from __future__ import annotations

import base64
import json
import os
import socket
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import urllib3
import yaml  # type: ignore[import-untyped]

from tap_bitbucket_dc.bitbucket import Client, Options
from tap_bitbucket_dc.warehouse import charts
from tap_bitbucket_dc.warehouse.__main__ import main
from tests import singer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

BASE = {"base_url": "https://b.invalid", "token": "x" * 20, "max_retries": 0}
SEED = "Sehr-geheimes-Salz"
MELTANO = Path(__file__).parents[2] / "meltano.yml"


@pytest.fixture(scope="module")
def pem() -> str:
    key = trustme.CA().issue_cert("b.invalid").private_key_pem.bytes()
    return key.decode()


def pieces(pem: str) -> list[str]:
    """Return the lines of a key, without those that all keys have."""
    return [line for line in pem.splitlines() if line and "-----" not in line]


# Keys.


@pytest.mark.parametrize("setting", ["ca_bundle", "client_certificate", "client_key", "base_url"])
@pytest.mark.parametrize("form", ["lines", "one line", "escaped", "without its first line"])
def test_a_key_that_stands_where_a_path_should_is_not_shown(
    tmp_path: Path, pem: str, setting: str, form: str
) -> None:
    given = {
        "lines": pem,
        "one line": pem.replace("\n", " "),
        "escaped": pem.replace("\n", "\\n"),
        "without its first line": pem.partition("\n")[2],
    }[form]
    more = {"client_certificate": "/none.pem"} if setting == "client_key" else {}
    output = singer.run({**BASE, **more, setting: given}, tmp_path)
    assert output.code == "invalid_config", output.log
    assert not [piece for piece in pieces(pem) if piece[:12] in output.log]


# Wrong types, wrong places.


@pytest.mark.parametrize(
    "config",
    [
        {"stream_map_config": SEED},
        {"stream_map_config": [SEED]},
        {"stream_map_config": {"hash_seed": [SEED]}, "stream_maps": 5},
        {"stream_map_config": {"hash_seed": SEED}, "concurrency": {"hash_seed": SEED}},
        {"token": {"of": [SEED]}},
        {"projects": {"password": SEED}},
        {"base_url": f"https://ada:{SEED}@b.invalid"},
        {"base_url": {"url": f"ada:{SEED}@b.invalid"}},
        {
            "stream_map_config": {"hash_seed": SEED},
            "stream_maps": {"commits": {"id": f"1 + '{SEED}'"}, "x": 5},
        },
    ],
    ids=str,
)
def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path, config: singer.Json) -> None:
    output = singer.run({**BASE, **config}, tmp_path)
    assert output.exit_code == 1
    assert SEED.lower() not in output.log.lower()
    assert "Traceback" not in output.log


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", json.dumps({"token": SEED})],
        ["--config", f"{{'token': '{SEED}'"],
        ["--config", "none.json", json.dumps({"token": SEED})],
    ],
)
def test_a_configuration_given_as_an_argument_is_not_shown(arguments: list[str]) -> None:
    done = singer.command(*arguments)
    assert done.returncode != 0
    assert SEED not in done.stdout + done.stderr


def test_a_setting_of_the_environment_is_not_shown() -> None:
    environment = {**os.environ, "TAP_BITBUCKET_DC_STREAM_MAP_CONFIG": SEED}
    environment |= {"TAP_BITBUCKET_DC_BASE_URL": "https://b.invalid"}
    done = singer.command("--config", "ENV", env=environment)
    assert done.returncode == 1
    assert SEED not in done.stderr
    assert "Traceback" not in done.stderr


# Proxies.


@pytest.mark.parametrize(
    "password",
    [
        "ge#heim",
        "ge?heim",
        "ge\\heim",
        "ge/heim",
        "ge@heim",
        "ge%heim",
        "ge[heim",
        "ge]heim",
        "geHEIM",
    ],
)
@pytest.mark.parametrize("scheme", ["http://", "", "HTTP://", "socks5://"])
def test_the_password_of_a_proxy_is_not_shown(
    bitbucket: Bitbucket, monkeypatch: pytest.MonkeyPatch, password: str, scheme: str
) -> None:
    password = f"{password[::-1]}{password}"  # either half may be what a parser shows
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}ada:{password}@127.0.0.1:1")
    url = bitbucket.url.replace("http:", "https:")
    output = singer.sync({**BASE, "base_url": url})
    assert output.exit_code == 1
    assert "heim" not in output.log.lower()
    assert "mieh" not in output.log.lower()


# Databases.

DSNS = [
    "postgresql://ada:ge%heim@127.0.0.1:1/db",
    " postgresql://ada:geheim@127.0.0.1:1/db",
    "mysql://ada:geheim@127.0.0.1/db",
    "Postgresql://ada:geheim@127.0.0.1:1/db",
    "postgresql+psycopg://ada:geheim@127.0.0.1:1/db",
    "postgresql://ada:ge@heim@127.0.0.1:1/db",
    "postgresql://ada:geheim/x@127.0.0.1:port/db",
    "host=127.0.0.1 port=1 password=geheim",
    "host=127.0.0.1 port=1 password='geheim",
    "host=127.0.0.1 port=nix password='ge heim'",
    "postgresql://127.0.0.1:1/db?password=geheim&sslmode=nix",
]


@pytest.mark.parametrize("command", ["views", "report"])
@pytest.mark.parametrize("dsn", DSNS)
def test_the_password_of_a_database_is_not_shown(
    capsys: pytest.CaptureFixture[str], command: str, dsn: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--dsn", dsn])
    shown = f"{ended.value}{''.join(capsys.readouterr())}"
    assert "Error" in shown
    assert "heim" not in shown.lower()


# TLS.


def test_verify_tls_off_mutes_no_warnings_of_others() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        before = list(warnings.filters)
        Client(Options("https://127.0.0.1", token="x", verify_tls=False)).close()
        assert list(warnings.filters) == before
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            warnings.warn("Unverified", urllib3.exceptions.InsecureRequestWarning, stacklevel=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "b.invalid"])
def test_plain_http_by_a_proxy_has_to_be_allowed(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert singer.sync({**BASE, "base_url": f"http://{host}/"}).code == "insecure_url"
        proxy.settimeout(0)
        with pytest.raises(BlockingIOError):
            proxy.accept()


# Pseudonyms.


@pytest.fixture
def pseudonymous(repository: Callable[[str], GitRepository], sync: Sync) -> Callable[..., Any]:
    repository("PAY/ledger").commit("First\rSecond")
    repository("PAY/web").commit("First\u2028Second")
    plugins = yaml.safe_load(MELTANO.read_text("utf-8"))["plugins"]["extractors"]
    [maps] = [p["config"]["stream_maps"] for p in plugins if p["name"].endswith("-pseudonymous")]
    return lambda **settings: sync(stream_maps=maps, **settings)


@pytest.mark.parametrize("seed", [None, "", " ", 5])
def test_without_a_seed_no_record_is_written(pseudonymous: Callable[..., Any], seed: Any) -> None:
    output = pseudonymous(stream_map_config={} if seed is None else {"hash_seed": seed})
    assert output.code == "invalid_config"
    assert "hash_seed" in output.last_line
    assert not [m for m in output.messages if m["type"] == "RECORD"]


def test_a_first_line_ends_where_unicode_says_so(pseudonymous: Callable[..., Any]) -> None:
    output = pseudonymous(stream_map_config={"hash_seed": SEED})
    assert output.exit_code == 0, output.log
    assert {record["message"] for record in output.records("commits")} == {"First"}
    assert SEED not in json.dumps(output.messages) + output.log
    assert base64.b64encode(SEED.encode()).decode() not in output.log


# Names in charts.

NAMES = [
    "\ufffe",
    "\uffff",
    "\x00\x1b[2J",
    "\x85\u2028",
    "😀" * 60,
    "a" * 33 + "😀😀",
    "\ud83d",
    "名" * 60,
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_can_be_drawn(name: str) -> None:
    week = {"week": "2026-01-05", "commits": 3, "merges": 1, "people": 1}
    rows = [{**week, "name": name}, {**week, "name": f"{name}2"}, {**week, "name": "ada"}]
    for draw in (charts.busy_people, charts.busy_repositories):
        for page in (charts.WIDE, charts.PHONE):
            assert draw(rows, page).startswith("<svg")
