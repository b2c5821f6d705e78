"""The trailers of a commit message, as ``git interpret-trailers`` finds them.

Source: trailer.c of git 2.39, and https://git-scm.com/docs/git-interpret-trailers.
"""

from __future__ import annotations

import re

CO_AUTHORS = "co-authored-by"

_KEY = re.compile(r"([0-9A-Za-z-]+)[ \t]*:", re.ASCII)
_BLANKS = " \t\r\n"  # what git treats as white space
_GENERATED = ("Signed-off-by: ", "(cherry picked from commit ")


def co_authors(message: str) -> list[str]:
    r"""Return the values of the ``Co-authored-by`` trailers, in order, without duplicates.

    A value is usually ``Name <address>``; one that is folded over several lines is joined.

    >>> co_authors("Round\n\nCo-authored-by: Ada <ada@example.com>\n")
    ['Ada <ada@example.com>']
    """
    if CO_AUTHORS not in message.lower():
        return []  # few messages have any
    found = [" ".join(value.split()) for key, value in _trailers(message) if key == CO_AUTHORS]
    return [value for value in dict.fromkeys(found) if value]


def _trailers(message: str) -> list[tuple[str, str]]:
    """Return the trailers with their keys in lower case; "" for a line that git wrote without one.

    A line that begins with white space belongs to the trailer or the text above it. Text may
    be among the trailers only if git wrote one of them and at least a quarter of the lines are
    trailers.
    """
    found: list[tuple[str, str]] = []
    others = 0
    is_generated = in_trailer = False
    for line in _last_paragraph(message.split("\n")):
        if line[:1] not in _BLANKS:
            match, generated = _KEY.match(line), line.startswith(_GENERATED)
            in_trailer = match is not None or generated
            is_generated = is_generated or generated
            if in_trailer:
                found.append((match[1].lower(), line[match.end() :]) if match else ("", line))
        elif in_trailer:
            key, value = found.pop()
            found.append((key, f"{value} {line}"))
        others += not in_trailer and not line.startswith("#")
    is_text = others > 3 * len(found) if is_generated else others > 0
    return [] if is_text else found


def _last_paragraph(lines: list[str]) -> list[str]:
    """Return the lines of the last paragraph, or none if it is also the first one."""
    while lines and (lines[-1].startswith("#") or not lines[-1].strip(_BLANKS)):
        lines.pop()
    blank = [number for number, line in enumerate(lines) if not line.strip(_BLANKS)]
    start = blank[-1] + 1 if blank else 0
    return [] if len(blank) == start else lines[start:]
