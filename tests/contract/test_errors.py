"""Each error code, and a server that causes it; the log's last line says all a user needs."""

from __future__ import annotations

import dataclasses
import gzip
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.emulator import (
    BUSY,
    HTML_502,
    LOGIN_PAGE,
    RESET,
    TOO_MANY,
    Bitbucket,
    Fault,
    redirect,
)
from tests import singer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Sync
    from tests.git_repository import GitRepository

    Break = Callable[[Bitbucket], dict[str, Any]]
    """Breaks a working server with one repository; returns settings for the tap."""

JSON = "application/json;charset=UTF-8"
FOREVER: dict[str, Any] = {"match": "", "times": None}
LISTING = "/rest/api/1.0/projects?start=0&limit=1000"
AUTHORISATION = "com.atlassian.bitbucket.AuthorisationException"
WRONG_PASSWORD = "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException"


@pytest.fixture(autouse=True)
def ledger(repository: Callable[[str], GitRepository]) -> GitRepository:
    ledger = repository("PAY/ledger")
    ledger.commits(3)
    return ledger


def refusal(status: int, name: str | None, message: str = "No.", **headers: str) -> Fault:
    body = {"errors": [{"context": None, "message": message, "exceptionName": name}]}
    return Fault(status=status, body=json.dumps(body).encode(), content_type=JSON, headers=headers)


def lie(**changes: object) -> Fault:
    """Return the fault that changes values in answers; None removes a key."""

    def replace(body: singer.Json) -> singer.Json:
        return {k: v for k, v in {**body, **changes}.items() if v is not None}

    return Fault(kind="replace", replace=replace, times=None)


def always(fault: Fault, match: str = "", **settings: object) -> Break:
    def spoil(bitbucket: Bitbucket) -> dict[str, object]:
        bitbucket.faults.append(fault.on(match, times=None))
        return settings

    return spoil


def end_token(bitbucket: Bitbucket) -> bool:
    return bool(bitbucket.tokens.pop("token", None))


def set_on_server(**attributes: object) -> Break:
    def spoil(bitbucket: Bitbucket) -> dict[str, object]:
        for name, value in attributes.items():
            setattr(bitbucket, name, value)
        return {}

    return spoil


def settings(**settings: object) -> Break:
    return lambda _: settings


def without_token(**others: object) -> Break:
    return lambda _: {"token": None, **others}


def basic_refused(bitbucket: Bitbucket) -> dict[str, object]:
    bitbucket.basic_auth = False
    return {"token": None, "username": "admin", "password": "password"}


def wrong_path(bitbucket: Bitbucket) -> dict[str, object]:
    return {"base_url": bitbucket.url.removesuffix("/bitbucket")}


def closed_port(_: Bitbucket) -> dict[str, object]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return {"base_url": f"http://127.0.0.1:{port}/bitbucket", "max_retries": 1}


def tls_to_plain(bitbucket: Bitbucket) -> dict[str, object]:
    return {"base_url": bitbucket.url.replace("http:", "https:"), "max_retries": 0}


def hidden_but_named(bitbucket: Bitbucket) -> dict[str, object]:
    bitbucket.hidden.add("PAY")
    return {"projects": ["PAY"]}


def denied_everywhere(bitbucket: Bitbucket) -> dict[str, object]:
    bitbucket.denied["PAY/ledger"] = 401
    return {}


CAPTCHA = refusal(
    403,
    "com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException",
    **{"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE; login-url=https://b.invalid/login"},
)
CAPTCHA_HEADER = Fault(status=401, headers={"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE"})

# Each row: a name, the code, how the server is broken, and a word of the last line.
TABLE: list[tuple[str, str, Break, str]] = [
    ("unknown token", "invalid_credentials", settings(token="old"), LISTING),
    (
        "wrong password",
        "invalid_credentials",
        without_token(username="admin", password="wrong"),
        "Check `username` and `password`.",
    ),
    ("401 with an empty body", "invalid_credentials", always(Fault(status=401)), LISTING),
    (
        "no access at all",
        "invalid_permissions",
        always(refusal(403, AUTHORISATION)),
        "administrator",
    ),
    ("no access to what is listed", "invalid_permissions", denied_everywhere, "PAY/ledger"),
    ("no access to what is named", "invalid_permissions", hidden_but_named, "/projects/PAY"),
    ("nothing visible", "no_resources", set_on_server(hidden={"PAY"}), "read permission"),
    ("all left out", "no_resources", settings(exclude_projects=["P*"]), "filters"),
    ("basic switched off", "basic_auth_disabled", basic_refused, "access token"),
    ("captcha", "captcha_required", always(CAPTCHA), "browser"),
    ("captcha by header alone", "captcha_required", always(CAPTCHA_HEADER), "browser"),
    ("login page with 200", "not_bitbucket", always(LOGIN_PAGE), LISTING),
    ("redirect to the login", "not_bitbucket", always(redirect("/bitbucket/login")), "/login"),
    ("malformed redirect", "not_bitbucket", always(redirect("http://[bad/")), LISTING),
    ("redirect without a place", "not_bitbucket", always(Fault(status=302)), LISTING),
    ("wrong context path", "not_bitbucket", wrong_path, "`base_url`"),
    (
        "another product's 404",
        "not_bitbucket",
        always(Fault(status=404, body=b'{"message":"null for uri"}', content_type=JSON)),
        "`base_url`",
    ),
    ("nobody listens", "unreachable", closed_port, "HTTPS_PROXY"),
    ("a proxy wants a login", "unreachable", always(Fault(status=407)), "HTTPS_PROXY"),
    ("reset each time", "unreachable", always(RESET, max_retries=1), LISTING),
    ("no TLS there", "tls_error", tls_to_plain, "https://127.0.0.1"),
    ("plain http", "insecure_url", settings(base_url="http://b.invalid"), "`allow_http`"),
    ("user in the URL", "insecure_url", settings(base_url="https://u:geheim@b.invalid"), "`token`"),
    ("lasting 429", "rate_limited", always(TOO_MANY, max_retries=1), "Retry-After: 1"),
    (
        "429 for an hour",
        "rate_limited",
        always(refusal(429, None, **{"Retry-After": "3600"})),
        "3600",
    ),
    (
        "503 for an hour",
        "unavailable",
        always(refusal(503, None, **{"Retry-After": "3600"})),
        "3600",
    ),
    ("lasting 503", "unavailable", always(BUSY, max_retries=1), "503"),
    ("lasting 502 of a proxy", "unavailable", always(HTML_502, max_retries=1), "502"),
    (
        "silence",
        "unavailable",
        always(Fault(kind="hang"), max_retries=1, request_timeout=0.5),
        LISTING,
    ),
    (
        "a slow drip",
        "unavailable",
        always(Fault(kind="drip", seconds=0.1), max_retries=1, request_timeout=0.5),
        LISTING,
    ),
    ("no values", "unexpected_answer", always(lie(values=None)), "values"),
    ("values of another kind", "unexpected_answer", always(lie(values=[1])), "values"),
    (
        "not last, no next page",
        "unexpected_answer",
        always(lie(isLastPage=False)),
        "`nextPageStart` is",
    ),
    (
        "next page stands still",
        "unexpected_answer",
        always(lie(isLastPage=False, nextPageStart=0)),
        "`nextPageStart` is",
    ),
    (
        "malformed JSON",
        "unexpected_answer",
        always(Fault(status=200, body=b'{"values":', content_type=JSON), max_retries=1),
        "is not JSON",
    ),
    ("typo in a filter", "invalid_config", settings(projects=["PAY", "PYA"]), "PYA"),
    (
        "slug left out",
        "invalid_config",
        settings(repositories=["PAY"]),
        "not of the form KEY/slug",
    ),
]


@pytest.mark.parametrize(
    ("code", "spoil", "word"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_last_line_has_code_place_and_remedy(
    bitbucket: Bitbucket, config: singer.Json, spoil: Break, code: str, word: str
) -> None:
    changed = {**config, **spoil(bitbucket)}
    output = singer.sync({k: v for k, v in changed.items() if v is not None})
    assert output.code == code, output.log
    assert word in output.last_line
    assert "geheim" not in output.log
    assert "Traceback" not in output.log


COMMANDS = ["unknown token", "nobody listens", "user in the URL", "429 for an hour", "no values"]


@pytest.mark.parametrize("row", COMMANDS)
def test_the_command_ends_with_that_line_and_exit_code_1(
    bitbucket: Bitbucket, config: singer.Json, tmp_path: Path, row: str
) -> None:
    _, code, spoil, word = next(found for found in TABLE if found[0] == row)
    output = singer.run({**config, **spoil(bitbucket)}, tmp_path)
    assert output.exit_code == 1
    assert output.code == code
    assert word in output.last_line
    assert "Traceback" not in output.log


# Logins.


def test_a_bad_token_that_sees_only_what_is_public_is_no_success(
    bitbucket: Bitbucket, sync: Sync, ledger: GitRepository
) -> None:
    bitbucket.public_access = True
    output = sync(token="expired")
    assert output.code == "invalid_credentials"
    assert "/profile/recent/repos" in output.last_line
    ledger.facts(public=True)
    assert sync(token="expired").code == "invalid_credentials"
    assert not sync(token="expired").records("commits")


@pytest.mark.parametrize("public_access", [False, True])
def test_a_token_that_ends_in_the_middle_of_a_run_is_no_success(
    bitbucket: Bitbucket,
    sync: Sync,
    repository: Callable[[str], GitRepository],
    *,
    public_access: bool,
) -> None:
    for name in ("PAY/a", "PAY/b", "PAY/web"):
        repository(name).commit()
    bitbucket.public_access = public_access
    bitbucket.on_request.append(
        lambda request: "/a/commits" in request.target and end_token(bitbucket)
    )
    output = sync(concurrency=1)
    assert output.code == "invalid_credentials"
    bitbucket.on_request.clear()
    bitbucket.tokens["token"] = "admin"
    assert len(output.records("commits")) + len(sync(output.state).records("commits")) == 6


def test_a_token_that_ends_while_all_is_public_is_no_success(
    bitbucket: Bitbucket, sync: Sync, ledger: GitRepository
) -> None:
    ledger.facts(public=True)
    bitbucket.public_access = True
    bitbucket.on_request.append(
        lambda request: request.path.endswith("/PAY/repos") and end_token(bitbucket)
    )
    assert sync().code == "invalid_credentials"


def test_a_refused_login_is_asked_once(bitbucket: Bitbucket, sync: Sync) -> None:
    for fault in (CAPTCHA, refusal(401, WRONG_PASSWORD), refusal(403, None)):
        bitbucket.requests.clear()
        bitbucket.faults[:] = [fault.on("", times=None)]
        assert sync().exit_code == 1
        assert len(bitbucket.requests) == 1


def test_a_missing_permission_after_a_good_login_is_no_bad_login(
    bitbucket: Bitbucket, sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    repository("PAY/web").commit()
    bitbucket.denied["PAY/ledger"] = 401
    output = sync()
    assert output.exit_code == 0
    assert [r["status"] for r in output.records("default_branches")] == ["inaccessible", "ok"]


def test_user_name_and_password_are_sent_in_utf_8(bitbucket: Bitbucket, sync: Sync) -> None:
    bitbucket.passwords["admin"] = "pässword:✓"
    assert sync(token="", username="admin", password="pässword:✓").exit_code == 0


def test_other_credentials_go_on_with_the_state(bitbucket: Bitbucket, sync: Sync) -> None:
    first = sync()
    bitbucket.tokens = {"new": "admin"}
    assert sync(first.state).code == "invalid_credentials"
    bitbucket.requests.clear()
    by_password: dict[str, Any] = {"token": "", "username": "admin", "password": "password"}
    for login in ({"token": "new"}, by_password):
        output = sync(first.state, **login)
        assert output.exit_code == 0
        assert output.records("commits") == []
    assert not any("/commits" in r.target for r in bitbucket.requests if r.status == 200)


# Where the answers come from.


def test_another_host_is_asked_nothing(bitbucket: Bitbucket, sync: Sync, root: Path) -> None:
    with Bitbucket(root) as other:
        bitbucket.faults.append(redirect(f"{other.url}/rest/api/1.0/projects"))
        output = sync()
    assert output.code == "not_bitbucket"
    assert other.url in output.last_line
    assert other.requests == []


def test_a_redirect_within_the_rest_api_is_followed(bitbucket: Bitbucket, sync: Sync) -> None:
    moved = redirect(
        f"{bitbucket.url}/rest/api/latest/projects/PAY/repos", "1.0/projects/PAY/repos"
    )
    bitbucket.faults.append(moved)
    assert len(sync().records("commits")) == 3


def test_a_redirect_in_a_circle_ends(bitbucket: Bitbucket, sync: Sync) -> None:
    here = f"{bitbucket.url}/rest/api/1.0/projects"
    bitbucket.faults.append(redirect(here, times=None))
    output = sync()
    assert output.code == "not_bitbucket"
    assert "redirects too many times." in output.last_line
    assert len(bitbucket.requests) < 10


def test_the_secrets_of_a_redirect_are_not_shown(bitbucket: Bitbucket, sync: Sync) -> None:
    bitbucket.faults.append(redirect("https://u:geheim@sso.invalid/login?ticket=geheim#geheim"))
    output = sync()
    assert "https://sso.invalid/login," in output.last_line
    assert "geheim" not in output.log


def test_a_compressed_answer_is_read(bitbucket: Bitbucket, sync: Sync) -> None:
    empty = gzip.compress(b'{"values":[],"isLastPage":true}')
    headers = {"Content-Encoding": "gzip"}
    zipped = Fault(status=200, headers=headers, body=empty, content_type=JSON)
    bitbucket.faults.append(zipped.on("/repos"))
    assert sync().code == "no_resources"
    bitbucket.faults.append(dataclasses.replace(zipped, match="/repos", body=empty[:20]))
    assert len(sync().records("commits")) == 3  # a truncated answer is retried


# Settings and files.


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"base_url": None}, "base_url"),
        ({"base_url": "b.example.com"}, "`base_url`"),
        ({"base_url": "ftp://b.example.com"}, "`base_url`"),
        ({"base_url": "https://b.example.com:port"}, "`base_url`"),
        ({"base_url": "https://b example.com"}, "`base_url`"),
        ({"base_url": "https://b.example.com/?x=1"}, "`base_url`"),
        ({"base_url": 5}, "base_url"),
        ({"token": None}, "`token`"),
        ({"token": "a b"}, "white space"),
        ({"token": "a\nb"}, "white space"),
        ({"token": "ä"}, "white space"),
        ({"token": 5}, "`token`"),
        ({"username": "ada"}, "either"),
        ({"token": None, "username": "ada"}, "both"),
        ({"token": None, "username": "a:b", "password": "x"}, "colon"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 33}, "concurrency"),
        ({"concurrency": "8"}, "concurrency"),
        ({"page_size": 0}, "page_size"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_wait": -1}, "max_wait"),
        ({"verify_tls": "no"}, "verify_tls"),
        ({"projects": "PAY"}, "projects"),
        ({"projects": ["PAY/ledger"]}, "not a project key"),
        ({"start_date": "yesterday"}, "start_date"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named_before_anything_is_asked(
    bitbucket: Bitbucket, config: singer.Json, wrong: dict[str, Any], word: str
) -> None:
    changed = {k: v for k, v in {**config, **wrong}.items() if v is not None}
    output = singer.sync(changed)
    assert output.code == "invalid_config", output.log
    assert word in output.last_line
    assert bitbucket.requests == []


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
@pytest.mark.parametrize("content", [None, b"", b"{bad", b"[1]", b"5", b"\xff\xfe\x00"], ids=repr)
def test_a_file_that_cannot_be_read_is_named_by_its_option(
    config: singer.Json, tmp_path: Path, option: str, content: bytes | None
) -> None:
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    output = singer.run(config, tmp_path, None, option, str(path))
    assert output.exit_code == 1
    assert output.code == "invalid_config"
    assert option in output.last_line
    assert "Traceback" not in output.log


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("--state", {"bookmarks": 5}),
        ("--state", {"bookmarks": {"commits": []}}),
        ("--state", {"bookmarks": {"commits": {"partitions": {}}}}),
        ("--catalog", {}),
        ("--catalog", {"streams": 5}),
        ("--catalog", {"streams": [5]}),
        ("--catalog", {"streams": [{"tap_stream_id": "commits", "metadata": 5}]}),
    ],
    ids=str,
)
def test_a_file_of_another_shape_is_no_traceback(
    config: singer.Json, tmp_path: Path, option: str, content: singer.Json
) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    output = singer.run(config, tmp_path, None, option, str(path))
    assert output.exit_code == 1
    assert output.code == "invalid_config"
    remedies = {"--state": "Restore the state of the last run", "--catalog": "Check its path"}
    assert remedies[option] in output.last_line
    assert "Traceback" not in output.log
