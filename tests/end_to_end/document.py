"""The commands and files in ``dagster.md``, which tests run unchanged."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "tap_bitbucket_dc" / "dagster.md"
BLOCK = re.compile(r"^```[a-z]+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    """Return all code blocks in their order."""
    return BLOCK.findall(DOCUMENT.read_text("utf-8"))
