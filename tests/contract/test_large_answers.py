"""However much is compressed into an answer, little of it is decompressed."""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from tests import singer
from tests.contract.raw import HEAD, Raw, honest, page, send_body

if TYPE_CHECKING:
    import socket
    from pathlib import Path

MOST = 1200  # MiB of memory, with eight requests at once
MIB = 1024 * 1024
PROJECTS = page(*({"id": n, "key": f"P{n}"} for n in range(16)))


def zipped(*parts: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS + 16)
    return b"".join([*map(packer.compress, parts), packer.flush()])


def commits(*rows: bytes, more: bytes = b'"isLastPage":true') -> list[bytes]:
    return [b'{"values":[', b",".join(rows), b"],", more, b"}"]


# Each row: the requests, and the answer. In a text with an emoji, each character takes four bytes.
BOMBS = {
    "zeros": ("projects?", [b"0" * MIB] * 1000),
    "brackets": ("projects?", [b"[" * 5_900_000]),
    "digits": ("projects?", [b"1" * 5_900_000]),
    "empty objects": ("/repos?", [b'{"values":[{}', b",{}" * 660_000, b"]}"]),
    "rows without end": ("/commits", commits(*[b'{"id":"a"}'] * 180_000)),
    "parents": ("/commits", [b'{"values":[{"id":"a","parents":[{}', b",{}" * 660_000, b"]}]}"]),
    "long messages": (
        "/commits",
        commits(
            *(
                b'{"id":"%040x","message":"\xf0\x9f\x98\x80%s"}' % (n, b"z" * 5850)
                for n in range(1000)
            ),
            more=b'"nextPageStart":1000',
        ),
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_compressed_answer_does_not_fill_the_memory(tmp_path: Path, kind: str) -> None:
    place, parts = BOMBS[kind]
    packed = zipped(*parts)

    def answer(connection: socket.socket, target: str) -> None:
        if place in target:
            send_body(connection, packed, f"{HEAD}Content-Encoding: gzip\r\n")
        else:
            project = target.partition("/projects/P")[2].partition("/")[0] or "0"
            repositories = page({"id": int(project), "slug": "r"}) if project.isdigit() else page()
            honest(connection, target, projects=PROJECTS, repos=repositories)

    with Raw(answer) as server:
        settings = {"base_url": server.url, "token": "x", "max_retries": 0, "concurrency": 8}
        (tmp_path / "config.json").write_text(json.dumps(settings))
        arguments = [str(singer.TAP), "--config", str(tmp_path / "config.json")]
        log = tmp_path / "log"
        with log.open("wb") as stderr:
            tap = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=stderr)
            _, status, usage = os.wait4(tap.pid, 0)
            tap.returncode = os.waitstatus_to_exitcode(status)
    assert tap.returncode == 1, log.read_text()
    assert "unexpected_answer: " in log.read_text().splitlines()[-1]
    assert "Traceback" not in log.read_text()
    assert usage.ru_maxrss / 1024 < MOST


def test_an_error_of_any_size_is_reported(tmp_path: Path) -> None:
    packed = zipped(*[b"0" * MIB] * 100)
    refusal = HEAD.replace("200 OK", f"{HTTPStatus.CONFLICT.value} Conflict")
    head = f"{refusal}Content-Encoding: gzip\r\n"
    with Raw(lambda c, _: send_body(c, packed, head)) as server:
        output = singer.run({"base_url": server.url, "token": "x"}, tmp_path)
    assert output.exit_code == 1
    assert "returned 409" in output.last_line
