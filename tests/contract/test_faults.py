"""Temporary failures are retried, lasting ones affect one repository, and all obey the pace."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import threading
import time
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
)
from tests.contract.meeting import meeting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests import singer
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

    MakeRepository = Callable[[str], GitRepository]

JSON = "application/json;charset=UTF-8"
HOUR = 3600.0
SECOND_PAGE = "/commits.*start=5"
NONSENSE = Fault(kind="replace", replace=lambda _: {"values": 5, "latestCommit": 5})
UNKNOWN_404 = Fault(
    status=404,
    content_type=JSON,
    body=b'{"errors":[{"context":null,"message":"What?","exceptionName":"x.OddException"}]}',
)


def too_many(retry_after: str | None, **headers: str) -> Fault:
    asked = {} if retry_after is None else {"Retry-After": retry_after}
    return dataclasses.replace(TOO_MANY, headers={**asked, **headers})


def malformed(_: object) -> bytes:
    return b'{"values":[{"id":'


PASSING = {
    "429 with seconds": lambda: too_many("1"),
    "429 with a date": lambda: too_many(formatdate(time.time() + 1, usegmt=True)),
    "429 with a date of a server whose clock is wrong": lambda: too_many(
        formatdate(time.time() + HOUR + 1, usegmt=True),
        Date=formatdate(time.time() + HOUR, usegmt=True),
    ),
    "429 without": lambda: too_many(None),
    "429 that is over": lambda: too_many("0"),
    "500": lambda: Fault(status=500),
    "502 of a proxy": lambda: HTML_502,
    "503": lambda: BUSY,
    "503 with Retry-After": lambda: dataclasses.replace(BUSY, headers={"Retry-After": "1"}),
    "503 as HTML": lambda: Fault(status=503, body=b"<html>Maintenance</html>"),
    "504": lambda: Fault(status=504),
    "reset": lambda: RESET,
    "cut off": lambda: CUT,
    "malformed JSON": lambda: Fault(kind="replace", replace=malformed),
    "silence": lambda: Fault(kind="hang", seconds=1),
}


WAITS_SECONDS = ("503 with Retry-After", "429 with a date of a server whose clock is wrong")


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_bitbucket_dc.bitbucket.transport.FIRST_BACKOFF", 0.05)


def rows(output: singer.Output) -> Counter[tuple[int, str]]:
    return Counter((r["repository_id"], r["id"]) for r in output.records("commits"))


@pytest.mark.parametrize("name", PASSING)
def test_what_fails_once_on_every_request_is_complete_and_nothing_comes_twice(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository, name: str
) -> None:
    repository("PAY/ledger").commits(12)
    bitbucket.page_caps["commits"] = 7
    failed: set[str] = set()

    def is_first(request: Request) -> bool:
        if name in WAITS_SECONDS and "start=0" in request.target:
            return False
        first = request.target not in failed
        failed.add(request.target)
        return first

    bitbucket.faults.append(PASSING[name]().on(is_first, times=None))
    output = sync(request_timeout=0.7)
    assert output.exit_code == 0, output.log
    assert len(rows(output)) == 12
    assert set(rows(output).values()) == {1}
    assert len(failed) >= (2 if name in WAITS_SECONDS else 5)


# A failure affects only its repository.


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("resource", ["", "/commits"])
def test_a_repository_without_access_is_a_row_and_no_failure(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository, resource: str, status: int
) -> None:
    for name in ("PAY/a", "PAY/b", "PAY/c"):
        repository(name).commit()
    if resource:
        name = "com.atlassian.bitbucket."
        name += (
            "repository.NoSuchRepositoryException" if status == 404 else "AuthorisationException"
        )
        body = b'{"errors":[{"message":"No.","exceptionName":"%s"}]}' % name.encode()
        refusal = Fault(f"/b{resource}", status, {"X-AUSERNAME": "admin"}, body, JSON, None)
        bitbucket.faults.append(refusal)
    else:
        bitbucket.denied["PAY/b"] = status
    output = sync()
    assert output.exit_code == 0, output.log
    found = {r["repository_slug"]: r["status"] for r in output.records("default_branches")}
    assert found == {"a": "ok", "b": "inaccessible", "c": "ok"}
    assert {r["repository_slug"] for r in output.records("commits")} == {"a", "c"}
    asked = Counter(r.target for r in bitbucket.requests if r.status == status)
    assert set(asked.values()) == {1}  # no request is repeated


@pytest.mark.parametrize(
    ("resource", "fault", "code"),
    [
        ("/branches", BUSY, "unavailable"),
        ("/branches", NONSENSE, "unexpected_answer"),
        ("/commits", BUSY, "unavailable"),
        (SECOND_PAGE, HTML_502, "unavailable"),
        (SECOND_PAGE, RESET, "unreachable"),
        (SECOND_PAGE, CUT, "unreachable"),
        (SECOND_PAGE, NONSENSE, "unexpected_answer"),
        (SECOND_PAGE, UNKNOWN_404, "unexpected_answer"),
        (SECOND_PAGE, LOGIN_PAGE, "not_bitbucket"),
    ],
)
def test_a_lasting_failure_of_one_repository_leaves_the_others_alone(
    bitbucket: Bitbucket,
    sync: Sync,
    repository: MakeRepository,
    resource: str,
    fault: Fault,
    code: str,
) -> None:
    for name in ("PAY/a", "PAY/b", "PAY/c"):
        repository(name).commits(12)
    bitbucket.page_caps["commits"] = 5
    first = sync()
    for name in ("PAY/a", "PAY/b", "PAY/c"):
        repository(name).commits(12)
    bitbucket.faults.append(fault.on(f"/PAY/repos/b{resource}", times=None))
    output = sync(first.state, max_retries=1)
    assert output.exit_code == 1
    assert output.code == code, output.log
    assert "1 repository was not read: PAY/b." in output.last_line
    count = Counter(r["repository_slug"] for r in output.records("commits"))
    assert (count["a"], count["c"]) == (12, 12)
    assert head(output.state, "PAY/b") == head(first.state, "PAY/b")
    bitbucket.faults.clear()
    healed = sync(output.state)
    assert healed.exit_code == 0
    both = rows(output) + rows(healed)
    assert len(both) == 36
    assert {r["repository_slug"] for r in healed.records("commits")} == {"b"}


def head(state: singer.Json, name: str) -> str:
    partitions = state["bookmarks"]["commits"]["partitions"]
    found = next(p for p in partitions if p["repository"] == name)
    return str(found["head"])


def test_a_project_that_fails_is_named_and_the_others_are_read(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository
) -> None:
    repository("PAY/a").commit()
    repository("OPS/b").commit()
    bitbucket.faults.append(BUSY.on("projects/OPS/repos", times=None))
    output = sync(max_retries=1)
    assert output.code == "unavailable"
    assert "OPS" in output.last_line
    assert [r["repository_slug"] for r in output.records("commits")] == ["a"]


@pytest.mark.parametrize("fault", [RESET, BUSY, Fault(kind="hang")], ids=["reset", "503", "hang"])
def test_a_server_that_goes_down_is_not_asked_for_every_repository(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository, fault: Fault
) -> None:
    for i in range(60):
        repository(f"PAY/r{i:02}").commit()

    def down(request: Request) -> None:
        if "/r20/" in request.target and not bitbucket.faults:
            bitbucket.faults.append(fault.on("", times=None))

    bitbucket.on_request.append(down)
    output = sync(max_retries=1, request_timeout=0.7)
    assert not any("/r59/" in request.target for request in bitbucket.requests)
    assert output.code in {"unreachable", "unavailable"}
    assert "application-properties" in output.last_line
    bitbucket.on_request.clear()
    bitbucket.faults.clear()
    assert len(rows(output) + rows(sync(output.state))) == 60


def test_a_server_that_answers_nothing_but_errors_is_not_asked_for_every_repository(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository
) -> None:
    for i in range(520):
        repository(f"PAY/r{i:02}").commit()
    bitbucket.faults.append(BUSY.on("/branches/default", times=None))
    output = sync(max_retries=0)
    assert output.code == "unavailable"
    assert "500 repositories or projects failed in a row" in output.last_line


# The pace.


def test_a_rate_limit_is_obeyed_by_all_workers_together(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository
) -> None:
    for i in range(20):
        repository(f"PAY/r{i:02}").commit()
    bitbucket.rate_limit = RateLimit(capacity=10, per_second=15)
    started = time.monotonic()
    output = sync(concurrency=16)
    seconds = time.monotonic() - started
    assert output.exit_code == 0, output.log
    assert len(rows(output)) == 20
    answered = [r for r in bitbucket.requests if r.status == 200]
    refused = [r for r in bitbucket.requests if r.status == 429]
    assert len(answered) == 42
    # Of 42 requests, the first 10 pass at once, and the others at 15 a second. Pauses last whole
    # seconds, during which the bucket may stay full for a while.
    assert seconds >= (42 - 10) / 15
    assert max(Counter(r.target for r in refused).values(), default=0) <= 2
    for refusal in refused:
        end = refusal.finished or refusal.started
        early = [r for r in bitbucket.requests if end < r.started < end + 0.9]
        assert len(early) < 16, "more than were under way"


def test_never_more_requests_are_under_way_than_concurrency_says(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository
) -> None:
    for i in range(16):
        repository(f"P{i % 4}/r{i}").commits(5)
    bitbucket.page_caps["commits"] = 2
    for concurrency in (1, 3, 16):
        bitbucket.most_at_once = 0
        bitbucket.faults[:] = [meeting(concurrency)]
        assert len(rows(sync(concurrency=concurrency))) == 80
        assert bitbucket.most_at_once == concurrency


def test_requests_per_second_is_kept(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository
) -> None:
    for i in range(20):
        repository(f"PAY/r{i}").commit()
    sync(concurrency=16, requests_per_second=25)
    starts = sorted(r.started for r in bitbucket.requests)
    assert len(starts) == 42
    assert starts[-1] - starts[0] >= 41 / 25 - 0.1
    busiest = max(sum(s <= other < s + 0.5 for other in starts) for s in starts)
    assert busiest <= 25 / 2 + 3
    assert starts[-1] - starts[0] < 2 * 41 / 25  # at least half of it is used


# Answers streamed as Bitbucket streams them.


class Streaming(BaseHTTPRequestHandler):
    """Passes the answers of a server on as Tomcat sends them: in chunks, compressed."""

    protocol_version = "HTTP/1.1"
    origin: str
    cuts: Counter[str]

    def do_GET(self) -> None:
        headers = {"Authorization": self.headers["Authorization"]}
        answer = requests.get(f"{self.origin}{self.path}", headers=headers, timeout=10)
        body = gzip.compress(answer.content)
        self.cuts[self.path] += 1
        self.send_response(answer.status_code)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(body[:15])
        if self.cuts[self.path] == 1:
            self.close_connection = True  # truncated, once for each
            return
        self._chunk(body[15:])
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def streamed(bitbucket: Bitbucket) -> Iterator[str]:
    origin = bitbucket.url.removesuffix("/bitbucket")
    members: dict[str, Any] = {"origin": origin, "cuts": Counter()}
    handler = type("Handler", (Streaming,), members)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/bitbucket"
        finally:
            server.shutdown()
            thread.join()


def test_compressed_chunks_are_read_and_tried_again_if_they_break_off(
    bitbucket: Bitbucket, sync: Sync, repository: MakeRepository
) -> None:
    repository("PAY/ledger").commits(250)
    with streamed(bitbucket) as url:
        output = sync(base_url=url)
    assert output.exit_code == 0, output.log
    assert len(rows(output)) == 250
    assert set(rows(output).values()) == {1}
