"""Converts dates in text form to milliseconds since 1970, the unit that Bitbucket uses."""

from __future__ import annotations

LONGEST = 100  # characters of a date


def milliseconds(text: str) -> int:
    """Return the milliseconds since 1970 of an ISO 8601 date or date and time.

    >>> milliseconds("2018-09-21T14:09:51.000Z")
    1537538991000

    Args:
        text: UTC, unless it names an offset; midnight, unless it has a time.

    Raises:
        ValueError: The text is not a date: ``10:00``, a duration and an interval are not.
    """
    if len(text) > LONGEST:
        raise ValueError("it is too long")
    import pendulum  # noqa: PLC0415 most runs read no such date, and it takes a while to import

    try:
        # RFC 3339 allows a small t and z. A capital NOW, unlike "now", is no date to pendulum.
        found = pendulum.parse(text.upper(), exact=True)
    except OverflowError as error:
        raise ValueError(str(error)) from None
    if isinstance(found, pendulum.DateTime):
        return found.int_timestamp * 1000 + found.microsecond // 1000
    if isinstance(found, pendulum.Date):
        midnight = pendulum.datetime(found.year, found.month, found.day)
        return midnight.int_timestamp * 1000
    raise ValueError(f"{text!r} is not a date")
