"""Messages as they are written: whole lines, STATE before the records of its ranges."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.singerlib import RecordMessage, SchemaMessage, StateMessage

from tap_bitbucket_dc.bitbucket import Project, Repository
from tap_bitbucket_dc.state import Bookmark, State
from tap_bitbucket_dc.writer import LEAST_BYTES, MOST_SECONDS, TIMES_STATE, MessageWriter

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

PAY = Project(id=1, key="PAY")
LEDGER = Repository(id=12, slug="ledger", project=PAY)
A, B = "a" * 40, "b" * 40


class Pipe(io.RawIOBase):
    """A raw pipe: takes a few bytes at a time, as one that is nearly full."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.at_once = at_once
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        taken = bytes(memoryview(data)[: self.at_once])
        self.content += taken
        return len(taken)


class Disk(io.RawIOBase):
    """Takes all, but for the one write that finds it full and leaves a torn line."""

    def __init__(self, full_at: int) -> None:
        super().__init__()
        self.content = bytearray()
        self._writes_left = full_at

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        self._writes_left -= 1
        if not self._writes_left:
            self.content += bytes(data)[:9]
            raise OSError(errno.ENOSPC, "No space left on device")
        self.content += bytes(data)
        return len(memoryview(data))


class Written:
    """A writer, and what came out of it so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.state = State()
        self.state.load({})
        self.writer = MessageWriter(self.state)
        self.write = self.writer.record_writer("commits", "2026-01-01T00:00:00Z")
        self._capsys = capsys
        self._out = ""

    def record(self, value: Any = 1) -> None:
        self.write({"id": value})

    def page(self, resume_at: Bookmark, then: Bookmark) -> None:
        """Write a page of one record of a repository."""
        self.state.begin(LEDGER, resume_at, self.writer.flush)
        self.record(f"{resume_at.until}, {resume_at.start}")
        self.state.done(LEDGER, then)

    @property
    def out(self) -> str:
        self._out += self._capsys.readouterr().out
        return self._out

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.split("\n") if line]

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    @property
    def order(self) -> list[tuple[str | None, str | None] | str]:
        """Return of each STATE the head and what is being read, of each RECORD its id."""
        return [
            message["record"]["id"]
            if message["type"] == "RECORD"
            else _head_and_until(message["value"]["bookmarks"]["commits"]["partitions"][0])
            for message in self.messages
        ]


def _head_and_until(partition: dict[str, Any]) -> tuple[str | None, str | None]:
    return partition.get("head"), partition.get("reading", {}).get("until")


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return Written(capsys)


def test_a_record_is_what_the_sdk_would_write(written: Written) -> None:
    record = {"id": "é\u2028\ud7ff😀", "n": [1, None, True], "text": 'a\nb"\\'}
    written.write(record)
    written.writer.flush()
    [message] = written.messages
    expected = RecordMessage("commits", record).to_dict()
    assert message == {**expected, "time_extracted": "2026-01-01T00:00:00Z"}


def test_each_message_is_a_line(written: Written) -> None:
    for n in range(3):
        written.record(f"a\r\n{n}\u2028\u0085")
    written.writer.finish()
    lines = written.out.split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["type"] for line in lines] == ["RECORD"] * 3 + ["STATE"]


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)


@pytest.mark.usefixtures("stopped_clock")
def test_records_wait(written: Written) -> None:
    written.record()
    written.writer.flush_when_due()
    assert written.messages == []


@pytest.mark.usefixtures("stopped_clock")
def test_many_records_do_not_wait(written: Written) -> None:
    for _ in range(LEAST_BYTES // 10):
        written.record("x" * 20)
    written.writer.flush_when_due()
    assert set(written.types) == {"RECORD"}


def test_records_wait_no_longer_than_some_seconds(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_SECONDS <= 30
    written.record()
    later = time.monotonic() + MOST_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    written.writer.flush_when_due()
    assert written.types == ["RECORD"]


@pytest.mark.usefixtures("stopped_clock")
def test_a_large_state_is_written_seldom(written: Written) -> None:
    for id_ in range(200):
        written.state.done(Repository(id=id_, slug="x", project=PAY), Bookmark(A))
    written.state.settle()
    for n in range(40_000):
        if n % 100 == 0:
            written.state.done(Repository(id=n % 200, slug="x", project=PAY), Bookmark(B))
        written.record("x" * 100)
        written.writer.flush_when_due()
    lines = written.out.splitlines()
    _first, *sizes = [len(line) for line in lines if json.loads(line)["type"] == "STATE"]
    assert sizes
    assert sum(sizes) * TIMES_STATE <= len(written.out)


def test_a_schema_does_not_pass_the_records_before_it(written: Written) -> None:
    written.record()
    written.writer.write_message(SchemaMessage("commits", {"properties": {}}, ["id"]))
    written.record()
    written.writer.finish()
    assert written.types == ["RECORD", "SCHEMA", "RECORD", "STATE"]


def test_a_state_does_not_pass_the_records_before_it(written: Written) -> None:
    written.record()
    written.writer.write_message(RecordMessage("commits", {"id": 2}))
    written.writer.write_message(StateMessage({}))
    assert written.types == ["RECORD", "RECORD", "STATE"]


def test_the_state_names_the_range_of_records_before_they_are_written(written: Written) -> None:
    written.page(Bookmark(None, A), Bookmark(A))
    written.writer.finish()
    assert written.order == [(None, A), f"{A}, 0", (A, None)]


def test_the_state_never_claims_records_that_are_not_written(written: Written) -> None:
    written.page(Bookmark(None, A), Bookmark(None, A, 1))
    written.page(Bookmark(None, A, 1), Bookmark(A))
    written.page(Bookmark(A, B), Bookmark(B))
    written.writer.finish()
    assert written.order == [
        (None, A),
        f"{A}, 0",
        f"{A}, 1",
        (A, B),
        f"{B}, 0",
        (B, None),
    ]


def test_a_run_without_anything_new_ends_with_its_state(written: Written) -> None:
    written.writer.finish()
    assert written.types == ["STATE"]


@pytest.mark.parametrize("at_once", [1, 7, 4096])
def test_a_pipe_that_takes_a_part_gets_the_rest(
    written: Written, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    pipe = Pipe(at_once)
    # With PYTHONUNBUFFERED the "buffer" is the raw pipe itself.
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=pipe))
    for n in range(100):
        written.record(n)
    written.writer.finish()
    lines = pipe.content.decode().splitlines()
    assert [json.loads(line)["record"]["id"] for line in lines[:-1]] == list(range(100))
    assert json.loads(lines[-1])["type"] == "STATE"


def test_no_state_follows_lines_that_are_lost(
    written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = Disk(full_at=2)  # first comes STATE, then the records
    with (tmp_path / "out").open("wb") as file:
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=disk, fileno=file.fileno))
        written.page(Bookmark(None, A), Bookmark(A))
        with pytest.raises(OSError, match="No space"):
            written.writer.flush()
        written.writer.finish()
    assert b'"until"' in disk.content
    assert b'"head"' not in disk.content


PROGRAM = """
from tap_bitbucket_dc.state import State
from tap_bitbucket_dc.writer import MessageWriter

state = State()
state.load({})
writer = MessageWriter(state)
write = writer.record_writer("commits", "")
for n in range(20_000):
    write({"id": n, "text": "x" * 50})
writer.finish()
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_slow_reader_gets_everything(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        content = bytearray()
        timer = threading.Timer(60, process.kill)
        timer.start()
        while chunk := process.stdout.read(50_000):
            content += chunk
        timer.cancel()
    lines = content.decode().splitlines()
    assert [json.loads(line)["record"]["id"] for line in lines[:-1]] == list(range(20_000))
    assert process.returncode == 0


def test_a_reader_that_is_gone_ends_the_run_without_complaint() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        log = process.stderr.read().decode()
    assert log.strip().splitlines()[-1].startswith("BrokenPipeError")
    assert "Exception ignored" not in log
    assert process.returncode == 1
