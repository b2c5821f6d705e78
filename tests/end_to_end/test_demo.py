"""The demo, as the README starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.end_to_end.world import made

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKOUT = Path(__file__).parents[2]


def test_the_demo_shows_that_tables_and_git_are_equal_twice(tmp_path: Path) -> None:
    before = _checkout()
    page = tmp_path / "page.html"
    command = _demo("--report", page)
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tables and git rev-list match") == 2
    assert "Written long ago, pushed today" in done.stdout
    assert re.search(r"6 repositories, \d+ commits, [\d.]+ seconds: all equal", done.stdout)
    assert page.as_uri() in done.stdout
    assert "PAY/ledger" in page.read_text("utf-8")
    assert _checkout() == before


def test_the_demo_reads_given_repositories_and_leaves_them_as_they_are(tmp_path: Path) -> None:
    made(tmp_path)
    work_tree = tmp_path / "PAY" / "work"
    subprocess.run(("git", "clone", "--quiet", tmp_path / "PAY" / "ledger", work_tree), check=True)
    before = _files(tmp_path)
    command = _demo(tmp_path, "--report", os.devnull)
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "7 git repositories" in done.stdout
    assert _files(tmp_path) == before


def test_an_interrupted_demo_leaves_nothing_running() -> None:
    with subprocess.Popen(
        _demo(), cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        while "meltano run" not in demo.stdout.readline():
            assert demo.poll() is None
        started = psutil.Process(demo.pid).children(recursive=True)
        assert any("postgres" in process.name() for process in started)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 128 + signal.SIGINT
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def _demo(*arguments: str | Path) -> Sequence[str | Path]:
    return (sys.executable, "-m", "tests.end_to_end.demo", *arguments)


def _checkout() -> list[str]:
    """Return what is not committed, ignored files too; bytecode does not count."""
    command = ("git", "-c", "safe.directory=*", "status", "--porcelain", "--ignored")
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "__pycache__" not in line]


def _files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
