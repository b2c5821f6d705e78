"""What JSON Schema cannot check of the settings."""

from __future__ import annotations

import re

import pytest

from tap_bitbucket_dc.bitbucket.errors import ConfigError
from tap_bitbucket_dc.settings import start_date


@pytest.mark.parametrize(
    ("setting", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00z", 0),
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31T23:59:59.500Z", -500),
        ("2023-11-16T12:23:20Z", 1_700_137_400_000),
    ],
)
def test_a_start_date_is_a_moment(setting: str, milliseconds: int) -> None:
    assert start_date({"start_date": setting}) == milliseconds


@pytest.mark.parametrize("config", [{}, {"start_date": None}, {"start_date": ""}])
def test_without_a_start_date_there_is_none(config: dict[str, str | None]) -> None:
    assert start_date(config) is None


@pytest.mark.parametrize("setting", ["yesterday", "2024-13-01", "Z", "0001-01-01T00:00:00+30:00"])
def test_a_start_date_that_is_not_a_date_is_refused_by_name(setting: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"`start_date`: {setting!r}")):
        start_date({"start_date": setting})
