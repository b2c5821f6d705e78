"""Text to milliseconds since 1970: what is a date, and what is not."""

from __future__ import annotations

import pytest

from tap_bitbucket_dc.bitbucket.dates import milliseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-09-21T14:09:51.000Z", 1537538991000),
        ("2018-09-21T14:09:51.999999Z", 1537538991999),
        ("2018-09-21T16:09:51+02:00", 1537538991000),
        ("2018-09-21 14:09:51", 1537538991000),
        ("2018-09-21", 1537488000000),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("9999-12-31T23:59:59Z", 253402300799000),
    ],
)
def test_a_date_is_read_in_utc_unless_it_says_otherwise(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "now", "10:00", "P1D", "2024-01-01/2024-02-01", "2024-02-30", "1537538991000"],
)
def test_anything_else_is_not_a_date(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        milliseconds(text)
