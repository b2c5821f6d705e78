"""Fixtures of the contract tests, and what ``test_api`` may print of a real server's answers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc import writer
from tests.contract.shapes import LAST, difference
from tests.contract.target import Target

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.conftest import Sync


@pytest.fixture
def target(sync: Sync) -> Target:
    return Target(sync)


@pytest.fixture
def small_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tap write every page as soon as it is read, with a STATE before it."""
    monkeypatch.setattr(writer, "LEAST_BYTES", 1)
    monkeypatch.setattr(writer, "TIMES_STATE", 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replace values by their shapes in the report of a failure."""
    report = yield
    is_real = os.environ.get("BITBUCKET_URL") and item.path.name == "test_api.py"
    if is_real and report.failed and call.excinfo:
        report.longrepr = difference(item.name, call.excinfo)
        report.sections.clear()  # logs name URLs
    if call.when == "teardown":
        LAST.clear()
    return report
