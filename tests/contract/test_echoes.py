"""A server that repeats the tap's credentials, in any form, cannot get them into any output."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tap_bitbucket_dc.bitbucket import Client, Options, errors
from tests import singer
from tests.contract.raw import COMMIT, HEAD, Raw, honest, page, send_body, send_json

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Echo = Callable[[socket.socket, str, str], object]
    """Answers a request: the connection, the target, and what to repeat."""

TOKEN = "MDM0MjM5NDc2MDxxQwErTzUi/op+Asdf"
PASSWORD = 'pa\\ss"w/ör%d gehEim'
BASIC = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
BY_TOKEN = {"token": TOKEN}
BY_PASSWORD = {"username": "admin", "password": PASSWORD}


def refusal(**error: str) -> Any:
    return {"errors": [{"context": None, "message": None, "exceptionName": None, **error}]}


def refused(connection: socket.socket, body: Any, head: str = HEAD) -> None:
    send_json(connection, body, head.replace("200 OK", "409 Conflict"))


def escaped(text: str) -> bytes:
    return "".join(f"\\u{ord(character):04x}" for character in text).encode()


NAMELESS = "a header without name"  # urllib3 logs a traceback for it, which the command mutes
ECHOES: dict[str, Echo] = {
    "message": lambda c, _, s: refused(c, refusal(message=f"not {s}!")),
    "exceptionName": lambda c, _, s: refused(c, refusal(exceptionName=f"x.{s}Exception")),
    "second error": lambda c, _, s: refused(c, {"errors": [5, {}, {"message": s}]}),
    "message at the top": lambda c, _, s: refused(c, {"message": s}),
    "message, percent-encoded": lambda c, _, s: refused(c, refusal(message=quote(s, safe=""))),
    "message, twice so": lambda c, _, s: refused(c, refusal(message=quote(quote(s, safe="")))),
    "message, JSON in JSON": lambda c, _, s: refused(c, refusal(message=json.dumps({"a": s}))),
    "message, in small letters": lambda c, _, s: refused(c, refusal(message=s.lower())),
    "message, at its cut": lambda c, _, s: refused(c, refusal(message="x" * 480 + s)),
    "Retry-After": lambda c, _, s: send_json(
        c, {}, HEAD.replace("200 OK", "429 No") + f"Retry-After: 9999 {s}\r\n"
    ),
    "Content-Type": lambda c, _, s: send_json(c, {}, HEAD.replace("json", s)),
    "Content-Encoding": lambda c, _, s: send_json(c, {}, f"{HEAD}Content-Encoding: {s}\r\n"),
    "Location": lambda c, _, s: send_json(
        c, {}, HEAD.replace("200 OK", "302 Found") + f"Location: /{quote(s)}/x\r\n"
    ),
    "host of Location": lambda c, _, s: send_json(
        c, {}, HEAD.replace("200 OK", "302 Found") + f"Location: https://{s}.example.com\r\n"
    ),
    "status line": lambda c, _, s: c.sendall(f"HTTP/1.1 {s}\r\n\r\n".encode()),
    "no HTTP": lambda c, _, s: c.sendall(f"{s}\r\n\r\n".encode()),
    NAMELESS: lambda c, _, s: send_json(c, [], f"{HEAD}{s}\r\n"),
    "chunk size": lambda c, _, s: c.sendall(
        f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{s}\r\n".encode()
    ),
    "JSON that is cut off": lambda c, _, s: send_body(c, b'{"' + s.encode()),
    "escaped JSON": lambda c, _, s: send_body(
        c, b'{"message":"%s"}' % escaped(s), HEAD.replace("200 OK", "409 Conflict")
    ),
    "nextPageStart": lambda c, t, s: honest(c, t, projects={"values": [], "nextPageStart": s}),
    "values": lambda c, t, s: honest(c, t, projects={"values": s}),
    "id of a project": lambda c, t, s: honest(c, t, projects=page({"id": s, "key": "PAY"})),
    "key of a project": lambda c, t, s: honest(c, t, projects=page({"id": None, "key": s})),
    "id of a repository": lambda c, t, s: honest(c, t, repos=page({"id": [s], "slug": s})),
    "id of a commit": lambda c, t, s: honest(c, t, commits=page({"id": s})),
    "latest commit": lambda c, t, s: honest(c, t, default={"latestCommit": s}),
    "a date": lambda c, t, s: honest(c, t, commits=page({"id": COMMIT, "authorTimestamp": s})),
    "the user": lambda c, t, s: (
        send_json(c, page(), HEAD.replace("ada", s)) if "profile" not in t else refused(c, {})
    ),
}


def forms(secret: str) -> list[str]:
    """Return the forms of a secret that must not appear in any output, in lower case."""
    found = [secret, secret[:14], secret[-14:], quote(secret), quote(secret, safe=""), repr(secret)]
    found += [json.dumps(secret)[1:-1], secret.encode().decode("latin-1"), escaped(secret).decode()]
    return [form.lower() for form in found]


def assert_hidden(text: str) -> None:
    text = text.lower()
    for secret in (TOKEN, PASSWORD, BASIC):
        assert not [form for form in forms(secret) if form in text], text


@pytest.mark.parametrize(
    ("secret", "login"),
    [(TOKEN, BY_TOKEN), (PASSWORD, BY_PASSWORD), (BASIC, BY_PASSWORD)],
    ids=["token", "password", "basic"],
)
@pytest.mark.parametrize("place", [place for place in ECHOES if place != NAMELESS])
def test_what_a_server_repeats_is_not_logged(
    place: str, secret: str, login: dict[str, str]
) -> None:
    with Raw(lambda c, target: ECHOES[place](c, target, secret)) as server:
        output = singer.sync({"base_url": server.url, "max_retries": 0, **login})
    assert output.exit_code in {0, 1}
    assert server.targets
    assert_hidden(output.log)
    assert "Traceback" not in output.log


@pytest.mark.parametrize("place", ["message", "Location", NAMELESS, "chunk size", "the user"])
@pytest.mark.parametrize("option", ["", "--check"])
def test_what_a_server_repeats_is_not_printed_at_the_most_verbose_level(
    tmp_path: Path, place: str, option: str
) -> None:
    environment = {**os.environ, "TAP_BITBUCKET_DC_LOGLEVEL": "DEBUG"}
    config = str(tmp_path / "config.json")
    with Raw(lambda c, target: ECHOES[place](c, target, TOKEN)) as server:
        Path(config).write_text(json.dumps({"base_url": server.url, "max_retries": 0, **BY_TOKEN}))
        arguments = ["--config", config, *([option] if option else [])]
        done = singer.command(*arguments, env=environment)
    assert "urllib3" in done.stderr
    assert_hidden(done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


def test_an_error_of_the_client_contains_no_secret_that_a_server_repeats() -> None:
    with (
        Raw(lambda c, target: ECHOES["message"](c, target, TOKEN)) as server,
        Client(Options(server.url, token=TOKEN)) as client,
        pytest.raises(errors.BitbucketError) as raised,
    ):
        list(client.projects())
    assert "not ***!" in str(raised.value)
    assert_hidden(f"{raised.value!r} {raised.value.__dict__}")


def test_the_check_prints_version_and_user_without_it(tmp_path: Path) -> None:
    def echo(connection: socket.socket, target: str) -> None:
        told = {"version": TOKEN, "displayName": quote(TOKEN, safe="")}
        honest(connection, target, **{"application-properties": told})

    config = tmp_path / "config.json"
    with Raw(echo) as server:
        config.write_text(json.dumps({"base_url": server.url, **BY_TOKEN}))
        done = singer.command("--config", config, "--check")
    assert done.returncode == 0, done.stderr
    assert "Server: *** ***" in done.stdout
    assert_hidden(done.stdout + done.stderr)
