"""Servers that lie, output that cannot be written, signals during silence, and odd spellings."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import Fault, redirect
from tests import singer
from tests.contract.catalogs import catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

    MakeRepository = Callable[[str], GitRepository]

NOT_PERMITTED = Fault(
    status=401,
    content_type="application/json",
    headers={"X-AUSERNAME": "ada"},
    body=b'{"errors":[{"message":"You are not permitted to access this resource",'
    b'"exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}',
)
HANG = Fault(kind="hang", times=None)
PATIENCE = 15  # seconds that an orchestrator waits before it kills the tap


@pytest.fixture(autouse=True)
def three(repository: MakeRepository) -> list[GitRepository]:
    made = [repository(name) for name in ("OPS/alert", "PAY/ledger", "PAY/report")]
    for each in made:
        each.commits(3)
    return made


# Failures of one repository


def test_one_project_without_access_is_no_failure_where_only_listings_are_read(
    bitbucket: Bitbucket, sync: Sync
) -> None:
    bitbucket.faults.append(NOT_PERMITTED.on("OPS/repos", times=None))
    output = sync(catalog=catalog(selected=["projects", "repositories"]))
    assert output.exit_code == 0, output.log
    assert [r["slug"] for r in output.records("repositories")] == ["ledger", "report"]


def test_all_projects_without_access_are_a_failure_where_only_listings_are_read(
    bitbucket: Bitbucket, sync: Sync
) -> None:
    bitbucket.faults.append(NOT_PERMITTED.on("/repos\\?", times=None))
    assert sync(catalog=catalog(selected=["repositories"])).code == "invalid_permissions"


def test_a_repository_that_redirects_elsewhere_fails_alone(
    bitbucket: Bitbucket, sync: Sync
) -> None:
    bitbucket.faults.append(redirect(f"{bitbucket.url}/login", "ledger/branches", times=None))
    output = sync()
    assert output.code == "not_bitbucket"
    assert "PAY/ledger" in output.last_line
    read = {r["repository_slug"] for r in output.records("commits")}
    assert read == {"alert", "report"}


def test_a_redirected_probe_of_the_login_does_not_prove_it(
    bitbucket: Bitbucket, sync: Sync
) -> None:
    bitbucket.public_access = True
    bitbucket.faults.append(redirect(f"{bitbucket.url}/login", "/profile/", times=None))
    assert sync(token="unknown").code == "not_bitbucket"


@pytest.mark.parametrize("same", [False, True], ids=["empty", "same"])
def test_an_endless_listing_of_commits_fails_its_repository_alone(
    bitbucket: Bitbucket, sync: Sync, *, same: bool
) -> None:
    def endless(body: singer.Json) -> singer.Json:
        after = body["start"] + 1
        values = body["values"] if same else []
        return {**body, "values": values, "isLastPage": False, "nextPageStart": after}

    bitbucket.faults.append(Fault("ledger/commits", kind="replace", replace=endless, times=None))
    output = sync()
    assert output.code == "unexpected_answer"
    assert "does not end" in output.last_line
    assert len([r for r in output.records("commits") if r["repository_slug"] == "report"]) == 3


def test_invalid_headers_cause_no_traceback(config: singer.Json, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_with_odd_headers, args=[server], daemon=True).start()
        base_url = f"http://127.0.0.1:{server.getsockname()[1]}"
        output = singer.run({**config, "base_url": base_url, "max_retries": 0}, tmp_path)
    assert output.code == "not_bitbucket"
    assert "Traceback" not in output.log


def _answer_with_odd_headers(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nno header at all\r\n\r\n{}")


# Output that cannot be written


@pytest.mark.parametrize("option", [[], ["--discover"], ["--check"]], ids=str)
def test_a_full_disk_is_one_line_and_no_traceback(
    config: singer.Json, tmp_path: Path, option: list[str]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with open("/dev/full", "wb") as full:  # noqa: PTH123 a device
        done = subprocess.run(
            [singer.TAP, "--config", tmp_path / "config.json", *option],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("output", "words"), [(">&-", "Bad file descriptor"), ("| true", "stopped reading")]
)
def test_output_that_nobody_reads_is_one_line_and_no_traceback(
    config: singer.Json, tmp_path: Path, output: str, words: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    line = f"{singer.TAP} --config {tmp_path / 'config.json'} {output}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], stderr=subprocess.PIPE, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert words in done.stderr.strip().splitlines()[-1]


# Signals while the server sends nothing


@pytest.mark.parametrize("where", ["/projects\\?", "OPS/repos", "alert/branches", "report/commits"])
def test_a_signal_ends_the_run_though_a_request_hangs(
    bitbucket: Bitbucket, config: singer.Json, tmp_path: Path, where: str
) -> None:
    bitbucket.faults.append(HANG.on(where, times=None))
    (tmp_path / "config.json").write_text(json.dumps(config))
    tap = subprocess.Popen(
        [singer.TAP, "--config", tmp_path / "config.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with tap:
        while not any(HANG.on(where).matches(r) for r in list(bitbucket.requests)):
            time.sleep(0.05)
        tap.send_signal(signal.SIGTERM)
        output, _ = tap.communicate(timeout=PATIENCE)
    assert tap.returncode == 128 + signal.SIGTERM
    assert json.loads(output.splitlines()[-1])["type"] == "STATE"


# Spellings


def test_the_case_of_a_host_does_not_matter_to_a_redirect(bitbucket: Bitbucket, sync: Sync) -> None:
    base_url = bitbucket.url.replace("127.0.0.1", "LOCALHOST")
    here = bitbucket.url.replace("127.0.0.1", "localhost")
    bitbucket.faults.append(redirect(f"{here}/rest/api/latest/projects", "/1.0/projects\\?"))
    output = sync(base_url=base_url)
    assert output.exit_code == 0, output.log


# Threads


def test_no_thread_is_left_when_repositories_fail_while_the_server_refuses_the_probe(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository
) -> None:
    for n in range(12):
        repository(f"PAY/r{n}").commit()
    bitbucket.faults += [
        Fault("branches/default", status=503, times=None),
        Fault("application-properties", status=400, times=None),
    ]
    before = set(threading.enumerate())
    assert sync(max_retries=0).code == "unavailable"
    assert {thread for thread in threading.enumerate() if "Pool" in thread.name} <= before
