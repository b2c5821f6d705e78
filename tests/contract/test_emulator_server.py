"""The emulator accepts, refuses and fails requests as Bitbucket and the network do."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_bitbucket_dc.emulator import (
    BUSY,
    CUT,
    HTML_502,
    LOGIN_PAGE,
    RESET,
    TOO_MANY,
    Bitbucket,
    Fault,
    RateLimit,
    Request,
    User,
    redirect,
)
from tests.contract.api import API, TOKEN, body, error, get, rows
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER = "/projects/PAY/repos/ledger"
NOT_PERMITTED = (401, "AuthorisationException", "You are not permitted to access this resource")
WRONG = (
    401,
    "IncorrectPasswordAuthenticationException",
    "Authentication failed. Please check your credentials and try again.",
)


@pytest.fixture
def bitbucket(tmp_path: Path) -> Iterator[Bitbucket]:
    GitRepository(tmp_path / "PAY" / "ledger").commits(3)
    GitRepository(tmp_path / "PAY" / "wages").commit()
    GitRepository(tmp_path / "WEB" / "site").facts(public=True).commit()
    with Bitbucket(tmp_path) as bitbucket:
        yield bitbucket


def basic(bitbucket: Bitbucket, name: str, password: str) -> requests.Response:
    return requests.get(f"{bitbucket.url}{API}/projects", auth=(name, password), timeout=10)


def keys(bitbucket: Bitbucket, token: str | None = TOKEN) -> list[str]:
    return [row["key"] for row in rows(bitbucket, "/projects", token=token)]


# Login


def test_a_token_a_password_and_a_token_as_password_are_accepted(bitbucket: Bitbucket) -> None:
    bitbucket.users.append(User(7, "Ada L", slug="ada_l"))
    bitbucket.tokens["secret"] = "ada_l"
    for response in (
        get(bitbucket, "/projects", token="secret"),
        basic(bitbucket, "Ada L", "secret"),
        basic(bitbucket, "ada_l", "secret"),
    ):
        assert response.status_code == 200
        assert (response.headers["X-AUSERNAME"], response.headers["X-AUSERID"]) == ("Ada%20L", "7")
    assert basic(bitbucket, "admin", "password").headers["X-AUSERNAME"] == "admin"
    assert {request.user for request in bitbucket.requests} == {"Ada L", "admin"}


def test_wrong_credentials_are_refused(bitbucket: Bitbucket) -> None:
    bitbucket.tokens["orphan"] = "nobody"
    for response in (
        get(bitbucket, "/projects", token="wrong"),
        get(bitbucket, "/projects", token="orphan"),
        basic(bitbucket, "admin", "wrong"),
        basic(bitbucket, "admin", ""),
        basic(bitbucket, "nobody", "password"),
    ):
        assert error(response) == WRONG
        assert "X-AUSERNAME" not in response.headers
    assert error(get(bitbucket, "/projects", token=None)) == NOT_PERMITTED


def test_an_account_that_is_switched_off_is_refused(bitbucket: Bitbucket) -> None:
    bitbucket.users[:] = [User(1, "admin", active=False)]
    assert error(get(bitbucket, "/projects")) == WRONG


def test_with_public_access_a_bad_token_sees_what_is_public_and_no_error(
    bitbucket: Bitbucket,
) -> None:
    bitbucket.public_access = True
    for token in (None, "expired"):
        assert keys(bitbucket, token=token) == ["WEB"]
        assert [row["slug"] for row in rows(bitbucket, "/repos", token=token)] == ["site"]
        assert rows(bitbucket, "/repos", token=token, permission="REPO_READ") == []
        assert "X-AUSERNAME" not in get(bitbucket, "/projects", token=token).headers
        assert error(get(bitbucket, LEDGER, token=token)) == NOT_PERMITTED
        assert get(bitbucket, "/projects/WEB/repos/site/commits", token=token).status_code == 200
        recent = error(get(bitbucket, "/profile/recent/repos", token=token))
        assert recent[::2] == (401, "Only authenticated users may call this resource")
    assert error(basic(bitbucket, "admin", "wrong")) == WRONG
    assert len(rows(bitbucket, "/profile/recent/repos")) == 3


def test_basic_authentication_can_be_switched_off(bitbucket: Bitbucket) -> None:
    bitbucket.basic_auth = False
    status, _, message = error(basic(bitbucket, "admin", "password"))
    assert (status, "Basic Authentication has been disabled" in message) == (403, True)
    assert get(bitbucket, "/projects").status_code == 200


def test_a_captcha_is_demanded_with_the_reason_in_a_header(bitbucket: Bitbucket) -> None:
    bitbucket.captcha = True
    response = basic(bitbucket, "admin", "password")
    assert error(response)[:2] == (403, "CaptchaRequiredAuthenticationException")
    reason = response.headers["X-Authentication-Denied-Reason"]
    assert reason == f"CAPTCHA_CHALLENGE; login-url={bitbucket.url}/login"


def test_a_rate_limit_applies_to_each_user_and_refills(bitbucket: Bitbucket) -> None:
    bitbucket.users.append(User(7, "ada"))
    bitbucket.tokens["secret"] = "ada"
    bitbucket.rate_limit = RateLimit(capacity=2, per_second=0.01)
    for token in ("token", "secret"):
        answers = [get(bitbucket, "/projects", token=token) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 90 <= int(answers[-1].headers["Retry-After"]) <= 100
    bitbucket.rate_limit.per_second = 1000
    time.sleep(0.01)
    assert [get(bitbucket, "/projects").status_code for _ in range(2)] == [200, 200]


def test_retry_after_can_be_a_date(bitbucket: Bitbucket) -> None:
    bitbucket.rate_limit = RateLimit(capacity=0, per_second=0.1, as_date=True)
    retry_after = get(bitbucket, "/projects").headers["Retry-After"]
    assert 5 < parsedate_to_datetime(retry_after).timestamp() - time.time() <= 12
    bitbucket.rate_limit.as_date = False
    assert get(bitbucket, "/projects").headers["Retry-After"] == "10"


# Permissions


def test_what_is_hidden_is_not_listed_and_not_answered(bitbucket: Bitbucket) -> None:
    bitbucket.hidden = {"web", "PAY/wages"}
    assert keys(bitbucket) == ["PAY"]
    assert [row["slug"] for row in rows(bitbucket, "/repos")] == ["ledger"]
    for path in ("/projects/WEB", "/projects/WEB/repos/site", "/projects/PAY/repos/wages/commits"):
        assert error(get(bitbucket, path)) == NOT_PERMITTED


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (401, "AuthorisationException"),
        (403, "AuthorisationException"),
        (404, "NoSuchRepositoryException"),
    ],
)
def test_what_is_denied_is_listed_but_not_answered(
    bitbucket: Bitbucket, status: int, exception: str
) -> None:
    bitbucket.denied = {"pay/ledger": status, "WEB": status}
    assert [row["slug"] for row in rows(bitbucket, "/repos")] == ["ledger", "wages", "site"]
    for resource in ("", "/branches/default", "/commits"):
        assert error(get(bitbucket, f"{LEDGER}{resource}"))[:2] == (status, exception)
    assert get(bitbucket, "/projects/PAY/repos/wages/commits").status_code == 200
    assert get(bitbucket, "/projects/WEB/repos").status_code == status


# The web application around the API


def test_the_version_is_shown_to_anyone(bitbucket: Bitbucket) -> None:
    bitbucket.version = "7.11.2"
    for token in (None, "wrong", "token"):
        response = get(bitbucket, "/application-properties", token=token)
        assert ("X-AUSERNAME" in response.headers) == (token == "token")
        assert response.json()["version"] == "7.11.2"
        assert response.json()["buildNumber"] == "7011002"


def test_the_api_answers_as_1_0_and_as_latest_with_a_slash_or_without(
    bitbucket: Bitbucket,
) -> None:
    headers = {"Authorization": "Bearer token"}
    for path in ("1.0/projects", "latest/projects", "1.0/projects/"):
        response = requests.get(f"{bitbucket.url}/rest/api/{path}", headers=headers, timeout=10)
        assert response.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert response.json()["size"] == 2


@pytest.mark.parametrize("context_path", ["", "/", "/bitbucket/", "a/b"])
def test_the_context_path_may_be_any_path(tmp_path: Path, context_path: str) -> None:
    GitRepository(tmp_path / "PAY" / "ledger")
    with Bitbucket(tmp_path, context_path=context_path) as bitbucket:
        assert not bitbucket.url.endswith("/")
        (project,) = rows(bitbucket, "/projects")
        assert project["links"]["self"] == [{"href": f"{bitbucket.url}/projects/PAY"}]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/rest/api/1.0/projects", 404, "text/html;charset=UTF-8"),
        ("/bitbucketeer/rest/api/1.0/projects", 404, "text/html;charset=UTF-8"),
        ("/bitbucket/projects/rest/api/1.0/projects", 404, "text/html;charset=UTF-8"),
        ("/bitbucket/rest/api/1.0/nothing", 404, "application/json;charset=UTF-8"),
        ("/bitbucket/rest/api/2.0/projects", 404, "application/json;charset=UTF-8"),
        ("/bitbucket/login", 200, "text/html;charset=UTF-8"),
        ("/bitbucket/", 302, None),
    ],
)
def test_what_is_not_the_api_is_answered_by_the_web_application(
    bitbucket: Bitbucket, path: str, status: int, kind: str | None
) -> None:
    url = bitbucket.url.removesuffix("/bitbucket") + path
    headers = {"Authorization": "Basic YWRtaW46cGFzc3dvcmQ="}
    response = requests.get(url, headers=headers, timeout=10, allow_redirects=False)
    assert (response.status_code, response.headers.get("Content-Type")) == (status, kind)
    assert "exceptionName" not in response.text


@pytest.mark.parametrize(
    ("version", "status"),
    [("7.21.0", 200), ("8.9.21", 200), ("8.9.22", 302), ("9.3.1", 200), ("9.4.0", 302)],
)
def test_status_is_shown_to_anyone_but_redirects_a_token_to_the_login_page(
    bitbucket: Bitbucket, version: str, status: int
) -> None:
    bitbucket.version = version
    url = f"{bitbucket.url}/status"
    assert requests.get(url, timeout=10).json() == {"state": "RUNNING"}
    headers = {"Authorization": "Bearer token"}
    response = requests.get(url, headers=headers, timeout=10, allow_redirects=False)
    assert response.status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_only_get_is_answered(bitbucket: Bitbucket, method: str) -> None:
    headers = {"Authorization": "Bearer token"}
    url = f"{bitbucket.url}{API}/projects"
    with requests.Session() as session:
        for _ in range(2):
            response = session.request(method, url, headers=headers, json={}, timeout=10)
            assert response.status_code == 405
    assert [request.method for request in bitbucket.requests] == [method] * 2


# The log


def test_every_request_is_logged(bitbucket: Bitbucket) -> None:
    before = time.monotonic()
    get(bitbucket, "/repos", name="é b", limit=3)
    get(bitbucket, "/nothing", token="wrong")
    first, second = bitbucket.requests
    assert (first.method, first.path) == ("GET", "/bitbucket/rest/api/1.0/repos")
    assert first.target == f"{first.path}?name=%C3%A9+b&limit=3"
    assert first.query == {"name": "é b", "limit": "3"}
    assert first.headers["authorization"] == "Bearer token"
    assert [(request.status, request.user) for request in (first, second)] == [
        (200, "admin"),
        (401, None),
    ]
    assert first.finished is not None
    assert before < first.started < first.finished < second.started


def test_a_request_is_logged_before_it_is_answered(bitbucket: Bitbucket) -> None:
    seen: list[tuple[int, int | None]] = []
    bitbucket.on_request.append(
        lambda request: seen.append((len(bitbucket.requests), request.status))
    )
    get(bitbucket, "/projects")
    assert seen == [(1, None)]


def test_calls_before_an_answer_never_overlap(bitbucket: Bitbucket) -> None:
    inside: list[Request] = []
    seen: list[int] = []

    def push(request: Request) -> None:
        inside.append(request)
        time.sleep(0.02)
        seen.append(len(inside))
        inside.remove(request)

    bitbucket.on_request.append(push)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: get(bitbucket, "/projects"), range(8)))
    assert seen == [1] * 8


@pytest.mark.parametrize("clients", [1, 4])
def test_it_knows_how_many_were_under_way_at_once(bitbucket: Bitbucket, clients: int) -> None:
    together = threading.Barrier(clients, timeout=10)

    def met(true: dict[str, Any]) -> dict[str, Any]:
        together.wait()
        return true

    bitbucket.faults.append(Fault(kind="replace", replace=met, times=None))
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda _: get(bitbucket, "/projects"), range(2 * clients)))
    assert bitbucket.most_at_once == clients


def test_every_answer_can_come_late(bitbucket: Bitbucket) -> None:
    bitbucket.latency = 0.1
    for _ in range(2):
        get(bitbucket, "/projects")
    for request in bitbucket.requests:
        assert request.finished is not None
        assert request.finished - request.started >= 0.1


def test_a_connection_is_kept_for_the_next_request(bitbucket: Bitbucket) -> None:
    threads = threading.active_count()
    with requests.Session() as session:
        session.headers["Authorization"] = "Bearer token"
        for path in ("/projects", "/nothing", LEDGER, "/projects"):
            session.get(f"{bitbucket.url}{API}{path}", timeout=10)
            assert threading.active_count() == threads + 1


# Faults


def test_faults_are_used_up_in_order_and_only_by_what_they_match(bitbucket: Bitbucket) -> None:
    bitbucket.faults += [BUSY.on("/commits"), *[HTML_502] * 2, TOO_MANY.on("start=7", times=None)]
    statuses = [get(bitbucket, "/projects").status_code for _ in range(3)]
    assert statuses == [502, 502, 200]
    assert [get(bitbucket, f"{LEDGER}/commits").status_code for _ in range(2)] == [503, 200]
    assert [get(bitbucket, "/repos", start=7).status_code for _ in range(3)] == [429] * 3
    assert bitbucket.faults == [TOO_MANY.on("start=7", times=None)]
    assert [request.status for request in bitbucket.requests] == (
        [502, 502, 200] + [503, 200] + [429] * 3
    )


def test_a_fault_may_be_chosen_by_a_function_and_counts_down(bitbucket: Bitbucket) -> None:
    def second(request: Request) -> bool:
        return bitbucket.requests.index(request) == 1

    bitbucket.faults += [Fault(second, status=500), BUSY.on("repos", times=2)]
    assert [get(bitbucket, "/projects").status_code for _ in range(3)] == [200, 500, 200]
    assert get(bitbucket, "/repos").status_code == 503
    assert bitbucket.faults == [BUSY.on("repos", times=1)]


def test_ready_made_answers_are_what_they_say(bitbucket: Bitbucket) -> None:
    bitbucket.faults += [BUSY, HTML_502, TOO_MANY, LOGIN_PAGE]
    busy, gateway, too_many, login = (get(bitbucket, "/projects") for _ in range(4))
    assert error(busy)[:2] == (503, "ResourceBusyException")
    assert (gateway.status_code, gateway.headers["Content-Type"][:9]) == (502, "text/html")
    assert (too_many.status_code, too_many.headers["Retry-After"]) == (429, "1")
    assert (login.status_code, login.headers["Content-Type"][:9]) == (200, "text/html")


def test_a_connection_can_be_reset(bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(RESET)
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        get(bitbucket, "/projects")
    assert keys(bitbucket) == ["PAY", "WEB"]
    assert bitbucket.requests[0].status is None


def test_an_answer_can_be_cut_off(bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(CUT)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        get(bitbucket, "/projects")
    assert keys(bitbucket) == ["PAY", "WEB"]


def test_an_answer_can_come_late(bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(Fault(kind="delay", seconds=0.2))
    before = time.monotonic()
    assert keys(bitbucket) == ["PAY", "WEB"]
    assert time.monotonic() - before >= 0.2


def test_a_server_can_stay_silent_for_a_while(bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(Fault(kind="hang", seconds=0.2))
    before = time.monotonic()
    with pytest.raises(requests.ConnectionError, match="without response"):
        get(bitbucket, "/projects")
    assert time.monotonic() - before >= 0.2


def test_an_answer_can_drip(bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(Fault("/application-properties", kind="drip", seconds=0.002))
    before = time.monotonic()
    answer = get(bitbucket, "/application-properties")
    assert answer.json()["displayName"] == "Bitbucket"
    assert time.monotonic() - before >= 0.002 * (len(answer.content) - 1)


def test_a_request_can_be_sent_elsewhere(bitbucket: Bitbucket) -> None:
    bitbucket.faults.append(redirect(f"{bitbucket.url}/login"))
    answer = get(bitbucket, "/projects")
    assert (answer.url, answer.history[0].status_code) == (f"{bitbucket.url}/login", 302)


def test_the_json_of_an_answer_can_be_replaced(bitbucket: Bitbucket) -> None:
    bitbucket.faults += [
        Fault(kind="replace", replace=lambda true: {**true, "nextPageStart": 0}),
        Fault(kind="replace", replace=lambda _: b"{"),
    ]
    assert body(bitbucket, "/projects")["nextPageStart"] == 0
    assert get(bitbucket, "/projects").content == b"{"


# Start and end


def test_it_stops_at_once_even_if_requests_are_under_way(tmp_path: Path) -> None:
    GitRepository(tmp_path / "PAY" / "ledger")
    threads = threading.active_count()
    with ThreadPoolExecutor(3) as pool, requests.Session() as session:
        with Bitbucket(tmp_path) as bitbucket:
            session.get(bitbucket.url, timeout=10)  # stays connected
            arrived = threading.Semaphore(0)
            bitbucket.on_request.append(lambda _: arrived.release())
            bitbucket.faults += [
                Fault("hang", kind="hang", times=None),
                Fault("delay", kind="delay", seconds=60),
                Fault("drip", kind="drip", seconds=60),
            ]
            calls = [
                pool.submit(get, bitbucket, "/projects", name=name)
                for name in ("hang", "delay", "drip")
            ]
            for _ in calls:
                assert arrived.acquire(timeout=10)
            before = time.monotonic()
        assert time.monotonic() - before < 30, "it waits for its own faults"
        for call in calls:
            call.exception(timeout=10)
    assert threading.active_count() == threads
    with pytest.raises(requests.ConnectionError):
        get(bitbucket, "/projects")


def test_it_listens_on_this_machine_only(bitbucket: Bitbucket) -> None:
    assert bitbucket.url.startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", bitbucket.port), timeout=1)


def test_it_can_be_started_again_at_the_same_address(bitbucket: Bitbucket) -> None:
    url = bitbucket.url
    bitbucket.__exit__()
    with bitbucket:
        assert bitbucket.url == url
        assert keys(bitbucket) == ["PAY", "WEB"]


def test_it_can_speak_tls(tmp_path: Path) -> None:
    GitRepository(tmp_path / "PAY" / "ledger")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = subprocess.run(
        [*command, "-keyout", key, "-out", certificate], capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Bitbucket(tmp_path, ssl_context=context) as bitbucket:
        url = f"{bitbucket.url}{API}/repos"
        headers = {"Authorization": "Bearer token"}
        with socket.create_connection(("127.0.0.1", bitbucket.port)):  # sends nothing
            with pytest.raises(requests.exceptions.SSLError):
                requests.get(url, headers=headers, timeout=10)
            answer = requests.get(url, headers=headers, timeout=10, verify=str(certificate))
    assert url.startswith("https://")
    links = {link["name"]: link["href"] for link in answer.json()["values"][0]["links"]["clone"]}
    assert links["http"] == f"{bitbucket.url}/scm/pay/ledger.git"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
def test_the_command_prints_the_url_and_stops_when_told_or_after_its_time(
    tmp_path: Path, end: signal.Signals | None
) -> None:
    GitRepository(tmp_path / "PAY" / "ledger")
    command = [sys.executable, "-m", "tap_bitbucket_dc.emulator", str(tmp_path)]
    command += ["--context-path", "/git", "--token", "secret", "--version", "7.21.0"]
    seconds = "30" if end else "1"
    with subprocess.Popen([*command, "--seconds", seconds], stdout=subprocess.PIPE) as process:
        assert process.stdout
        url = process.stdout.readline().decode().strip()
        headers = {"Authorization": "Bearer secret"}
        answer = requests.get(f"{url}{API}/application-properties", headers=headers, timeout=10)
        assert url.endswith("/git")
        assert (answer.json()["version"], answer.headers["X-AUSERNAME"]) == ("7.21.0", "admin")
        if end:
            os.kill(process.pid, end)
        assert process.wait(timeout=10) == 0


def test_the_command_says_why_it_cannot_start(tmp_path: Path, bitbucket: Bitbucket) -> None:
    command = [sys.executable, "-m", "tap_bitbucket_dc.emulator", str(tmp_path)]
    command += ["--port", str(bitbucket.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "Address already in use" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("root", ["nowhere", "file"])
def test_the_command_says_that_its_root_is_not_there(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "tap_bitbucket_dc.emulator", str(tmp_path / root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: there is no directory {tmp_path / root}\n")


def test_the_command_names_its_token_in_its_help() -> None:
    command = [sys.executable, "-m", "tap_bitbucket_dc.emulator", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert "HTTP access token of the user admin; default: token" in " ".join(done.stdout.split())
