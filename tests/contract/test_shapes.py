"""What ``test_api`` prints about a real server that does not fit its assumptions."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator import Bitbucket, Fault
from tests.contract.test_api import USERS, populate

if TYPE_CHECKING:
    from pathlib import Path

TEST_API = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/contract/test_api.py")


def test_what_differs_is_printed_without_a_name_a_message_or_a_token(root: Path) -> None:
    populate(root)
    with Bitbucket(root, users=USERS, tokens={"open-sesame": "admin"}) as bitbucket:
        bitbucket.faults += [
            Fault("branches/default", kind="replace", times=None, replace=_with_another_id),
            Fault("until=0123", 500, body=b"Ada's secret message", times=None),
        ]
        server = {"BITBUCKET_URL": bitbucket.url, "BITBUCKET_TOKEN": "open-sesame"}
        done = subprocess.run(
            TEST_API, env=os.environ | server, capture_output=True, text=True, check=False
        )
    out = done.stdout + done.stderr
    assert done.returncode == 1, out
    assert "2 failed" in out
    assert "assumed: a default branch names its newest commit" in out
    assert 'assert branch["id"] == f"refs/heads/{branch[\'displayId\']}"' in out
    assert "GET projects/…/repos/…/commits?until: 500 text/html, 20 bytes" in out
    hidden = ("Ada", "PAY", "ledger", "side 1", "open-sesame", "127.0.0.1", "elsewhere")
    assert [text for text in hidden if text in out] == []


def _with_another_id(body: dict[str, object]) -> dict[str, object]:
    return {**body, "id": "refs/heads/elsewhere"} if "id" in body else body
