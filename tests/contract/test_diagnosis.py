"""What a server says is understood correctly, and the message says where to look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import Fault, redirect
from tests import singer
from tests.contract.raw import HEAD, Raw, honest, page, send_json

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

JSON = "application/json;charset=UTF-8"
NO_ROUTE = {"message": "HTTP 404 Not Found", "status-code": 404, "sub-code": -1}


@pytest.fixture(autouse=True)
def ledger(repository: Callable[[str], GitRepository]) -> GitRepository:
    ledger = repository("PAY/ledger")
    ledger.commits(3)
    return ledger


def answering(status: int, body: Any, match: str = "") -> Fault:
    return Fault(match, status, {}, json.dumps(body).encode(), JSON, None)


# The server's own words.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "Busy just now"}, ["Busy just now"]),
        ({"errors": [{"message": "One"}, {"message": "Two"}]}, ["One", "Two"]),
        ({"errors": [None, {}, {"message": "Three"}]}, ["Three"]),
        ({"errors": [{"exceptionName": "x.OddException"}]}, ["x.OddException"]),
        ({"errors": "no list", "message": "Still told"}, ["Still told"]),
    ],
)
def test_the_servers_message_is_reported_wherever_it_is(
    bitbucket: Bitbucket, sync: Sync, body: Any, words: list[str]
) -> None:
    bitbucket.faults.append(answering(409, body))
    output = sync()
    assert all(word in output.last_line for word in words), output.log


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (401, "auth.NoAccessAuthenticationException", "invalid_permissions"),
        (401, "auth.IncorrectPasswordAuthenticationException", "invalid_credentials"),
        (403, "auth.CaptchaRequiredAuthenticationException", "captcha_required"),
    ],
)
def test_any_of_the_errors_may_contain_the_reason(
    bitbucket: Bitbucket, sync: Sync, status: int, name: str, code: str
) -> None:
    errors = [{"message": "No."}, {"exceptionName": f"com.atlassian.bitbucket.{name}"}]
    bitbucket.faults.append(answering(status, {"errors": errors}))
    assert sync().code == code


@pytest.mark.parametrize("key", ["message", "errors"])
def test_the_error_says_where_basic_can_be_switched_on(
    bitbucket: Bitbucket, sync: Sync, key: str
) -> None:
    text = "Basic Authentication has been disabled on this instance."
    body = {key: text if key == "message" else [{"message": text}]}
    bitbucket.faults.append(answering(403, body))
    output = sync(token=None, username="admin", password="password")
    assert output.code == "basic_auth_disabled"
    assert "Administration > Accounts > Authentication methods" in output.last_line


# Shapes.


@pytest.mark.parametrize(
    ("match", "changes"),
    [
        ("/projects\\?", {"values": 5}),
        ("/projects\\?", {"values": [{"id": 5}]}),
        ("/PAY/repos", {"values": [{"slug": "x"}]}),
        ("/branches/default", {"latestCommit": 5}),
        ("/branches/default", {"latestCommit": "main"}),
        ("/commits", {"values": [{"id": 5}]}),
        ("/commits", {"isLastPage": False}),
    ],
)
def test_a_message_about_a_shape_names_the_url(
    bitbucket: Bitbucket, sync: Sync, match: str, changes: singer.Json
) -> None:
    lie = Fault(match, kind="replace", replace=lambda body: {**body, **changes}, times=None)
    bitbucket.faults.append(lie)
    output = sync()
    assert output.code == "unexpected_answer", output.log
    assert f"{bitbucket.url}/rest/api/1.0/" in output.last_line


def test_a_user_without_a_display_name_keeps_the_login(bitbucket: Bitbucket, sync: Sync) -> None:
    user = {"name": "ada", "emailAddress": "ada@example.com", "id": 7, "displayName": None}

    def known(body: singer.Json) -> singer.Json:
        return {**body, "values": [{**row, "author": user} for row in body["values"]]}

    bitbucket.faults.append(Fault("/commits", kind="replace", replace=known))
    commit = sync().records("commits")[0]
    assert (commit["author_name"], commit["author_username"]) == ("ada", "ada")


# Resources that are gone.


def test_a_server_without_branches_default_is_read_by_what_replaces_it(
    bitbucket: Bitbucket, sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    for name in ("PAY/api", "PAY/web"):
        repository(name).commits(2)
    repository("PAY/empty")
    before = sync()
    bitbucket.default_branch_resource = False
    bitbucket.requests.clear()
    after = sync(concurrency=1)
    assert after.exit_code == 0, after.log
    for stream in ("default_branches", "commits"):
        assert after.records(stream) == before.records(stream)
    assert len([r for r in bitbucket.requests if r.path.endswith("/branches/default")]) == 1
    assert sync(after.state).records("commits") == []


def test_without_branches_default_a_branch_that_was_never_pushed_is_missing(
    bitbucket: Bitbucket, sync: Sync, ledger: GitRepository
) -> None:
    ledger.git("symbolic-ref", "HEAD", "refs/heads/never")
    bitbucket.default_branch_resource = False
    output = sync()
    assert output.exit_code == 0, output.log
    assert [r["status"] for r in output.records("default_branches")] == ["missing"]


def test_an_api_that_is_gone_is_named_with_the_version() -> None:
    def newer(connection: socket.socket, target: str) -> None:
        if "/rest/api/latest/" in target:
            send_json(connection, {"version": "12.0.0", "displayName": "Bitbucket"})
        else:
            send_json(connection, NO_ROUTE, HEAD.replace("200 OK", "404 Not Found"))

    with Raw(newer) as server:
        output = singer.sync({"base_url": server.url, "token": "x"})
    assert "Bitbucket 12.0.0 has no rest/api/1.0" in output.last_line
    assert output.code == "unexpected_answer"


# Redirects.


@pytest.mark.parametrize(
    "place",
    [
        "/bitbucket/rest/api/../../admin",
        "/bitbucket/rest/api/%2e%2e/%2e%2e/admin",
        "/bitbucket/rest/api/%252e%252e/admin",
        "/bitbucket/rest/api/%25252525252e%25252525252e/admin",
        "/bitbucket/rest/api/..;x/admin",
        "/bitbucket/rest/api/..%2fadmin",
        "/bitbucket/rest/api/..%5cadmin",
        "/bitbucket/rest/api/.%2e/admin",
        "/bitbucket/rest/auth/1/session",
        "/bitbucket/rest/apis/",
        "//127.0.0.1:1/bitbucket/rest/api/1.0/projects",
    ],
)
def test_a_redirect_that_leads_out_of_the_rest_api_is_not_followed(
    bitbucket: Bitbucket, sync: Sync, place: str
) -> None:
    bitbucket.faults.append(redirect(place, times=None))
    output = sync()
    assert output.code == "not_bitbucket", output.log
    assert len(bitbucket.requests) == 1


@pytest.mark.parametrize("text", ["/" * 60_000, "%25" * 20_000, "<" * 60_000, "//a@" * 15_000])
@pytest.mark.parametrize("place", ["Location", "Retry-After", "message", "Content-Type"])
def test_a_long_text_is_shortened(place: str, text: str) -> None:
    def answer(connection: socket.socket, target: str) -> None:
        status = {"Location": "302 Found", "Retry-After": "429 No", "message": "409 Conflict"}
        head = HEAD.replace("200 OK", status.get(place, "200 OK"))
        if place == "Content-Type":
            head = head.replace("application/json", text)
        elif place != "message":
            head += f"{place}: {text}\r\n"
        if "/projects?" in target:
            send_json(connection, {"errors": [{"message": text * 20}]}, head)
        else:
            honest(connection, target)

    with Raw(answer) as server:
        output = singer.sync({"base_url": server.url, "token": "x", "max_retries": 0})
    assert output.exit_code == 1
    assert len(output.last_line) < 1500


def test_only_the_listing_is_requested_from_a_server_without_projects() -> None:
    with Raw(lambda c, target: honest(c, target, projects=page())) as server:
        assert singer.sync({"base_url": server.url, "token": "x"}).code == "no_resources"
        assert len(server.targets) == 1
