"""Answers corrupted at random: the tap emits records that fit their schemas, or an error code.

Takes the true answers of a small server and changes them: types, missing and doubled parts, huge
and nested values, cuts, foreign bytes, statuses, headers. Whatever is changed, the tap must not
print a traceback, emit a record that does not fit, or run forever. For more than a quick check::

    ANSWERS=10000 uv run pytest tests/property/test_answers.py
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_bitbucket_dc.emulator import Bitbucket, Fault
from tests import singer
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS = int(os.environ.get("ANSWERS", "0"))
LONGEST = 20  # seconds that a run may take
CODES = {
    "basic_auth_disabled",
    "captcha_required",
    "invalid_config",
    "invalid_credentials",
    "invalid_permissions",
    "no_resources",
    "not_bitbucket",
    "rate_limited",
    "tls_error",
    "unavailable",
    "unexpected_answer",
    "unreachable",
}
JSON = "application/json;charset=UTF-8"
NAMES = "id key slug values isLastPage nextPageStart latestCommit parents author links errors"

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**63, 2**70, -(2**63) - 1, 10**40]),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.sampled_from(["", "\0", "\ud800", "a" * 40, "0" * 40, "../..", "?&#/%", "~", "x" * 300]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4),
    ),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Retry-After",
            "Location",
            "Content-Encoding",
            "X-AUSERNAME",
            "X-Authentication-Denied-Reason",
            "Date",
        ]
    ),
    st.one_of(
        st.sampled_from(["0", "-1", "1e9", "9" * 400, "gzip", "br", "/", "//", "http://[", "?"]),
        st.sampled_from(["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 -0000"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
    ),
    max_size=2,
)


class Edit(NamedTuple):
    """One change of JSON: the number of the part to change, the kind of change, and a value."""

    place: int
    kind: str
    value: Any


@dataclass
class Lie:
    """How one answer is corrupted; what is None is not changed."""

    answer: int
    edits: list[Edit]
    cut: float | None
    foreign: bytes
    status: int | None
    content_type: str
    headers: dict[str, str]


EDITS = st.builds(
    Edit,
    st.integers(0, 10_000),
    st.sampled_from(["set", "set", "set", "drop", "double", "wrap"]),
    VALUES,
)
LIES = st.builds(
    Lie,
    st.integers(0, 100),
    st.lists(EDITS, max_size=3),
    st.one_of(st.none(), st.none(), st.none(), st.floats(0, 1)),
    st.one_of(st.just(b""), st.just(b""), st.binary(max_size=5)),
    st.one_of(st.none(), st.none(), st.sampled_from([200, 204, 400, 404]), st.integers(200, 599)),
    st.sampled_from([JSON, JSON, JSON, "text/html", "application/problem+json", "", "é"]),
    st.one_of(st.just({}), HEADERS),
)


@dataclass(repr=False)
class World:
    bitbucket: Bitbucket
    answers: dict[str, bytes]
    """The true answers of a run, by path and query."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("answers")
    ledger = GitRepository(root / "PAY/ledger")
    ledger.commits(3)
    ledger.merge(ledger.commit("PAY-1 side", branch="side", parents=[]))
    GitRepository(root / "PAY/web").commit()
    GitRepository(root / "OPS/empty")
    with Bitbucket(root) as bitbucket:
        bitbucket.page_caps["commits"] = 3
        assert run(bitbucket).exit_code == 0
        origin = bitbucket.url.removesuffix("/bitbucket")
        headers = {"Authorization": "Bearer token"}
        answers = {
            request.target: requests.get(
                f"{origin}{request.target}", headers=headers, timeout=10
            ).content
            for request in list(bitbucket.requests)
        }
        yield World(bitbucket, answers)


def run(bitbucket: Bitbucket) -> singer.Output:
    config = {"base_url": bitbucket.url, "token": "token", "concurrency": 2, "page_size": 3}
    return singer.sync({**config, "max_retries": 0, "max_wait": 0, "request_timeout": 2})


def spoilt(body: bytes, lie: Lie) -> bytes:
    if lie.edits and body:
        tree = [json.loads(body)]  # in a list, so that the whole can be replaced
        for edit in lie.edits:
            apply(edit, tree)
        body = json.dumps(tree[0] if tree else None).encode()
    if lie.cut is not None:
        body = body[: int(len(body) * lie.cut)]
    middle = len(body) // 2
    return body[:middle] + lie.foreign + body[middle:]


def apply(edit: Edit, tree: list[Any]) -> None:
    places = list(parts(tree))
    if not places:  # earlier edits have dropped everything
        return
    holder, key = places[edit.place % len(places)]
    if edit.kind == "drop":
        del holder[key]
    elif edit.kind == "double" and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif edit.kind == "wrap":
        holder[key] = [holder[key]]
    else:
        holder[key] = edit.value


def parts(holder: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each part of a value, at any depth, as its container and its key there."""
    keys = range(len(holder)) if isinstance(holder, list) else list(holder)
    for key in keys:
        yield holder, key
        if isinstance(holder[key], (list, dict)):
            yield from parts(holder[key])


def fault(answers: dict[str, bytes], lie: Lie) -> Fault:
    """Return the fault that always sends a corrupted answer instead of the true one."""
    target, body = list(answers.items())[lie.answer % len(answers)]
    status = lie.status or (200 if body else 204)
    there = f"^{re.escape(target)}$"
    return Fault(there, status, lie.headers, spoilt(body, lie), lie.content_type, None)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    def end(*_: object) -> None:
        pytest.fail(f"no end after {LONGEST} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def assert_fits(output: singer.Output) -> None:
    schemas: dict[str, Any] = {}
    for message in output.messages:
        if message["type"] == "SCHEMA":
            checker = jsonschema.FormatChecker()
            validator = jsonschema.Draft202012Validator(message["schema"], format_checker=checker)
            schemas[message["stream"]] = validator
        elif message["type"] == "RECORD":
            schemas[message["stream"]].validate(message["record"])


@settings(
    max_examples=ANSWERS or 120,
    derandomize=not ANSWERS,  # the same in every quick check
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(lies=st.lists(LIES, min_size=1, max_size=2))
def test_any_answer_gives_records_that_fit_or_a_code(world: World, lies: list[Lie]) -> None:
    world.bitbucket.faults[:] = [fault(world.answers, lie) for lie in lies]
    world.bitbucket.requests.clear()
    with time_limit():
        output = run(world.bitbucket)
    assert_fits(output)
    assert output.exit_code == 0 or output.code in CODES, output.log
