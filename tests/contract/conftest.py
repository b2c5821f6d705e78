"""Keeps the content of a real server's answers out of what ``test_api`` prints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.contract.shapes import LAST, difference

if TYPE_CHECKING:
    from collections.abc import Generator


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
