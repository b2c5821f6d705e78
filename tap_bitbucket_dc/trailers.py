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
    """Return the trailers with their keys in lower case."""
    found: list[tuple[str, str]] = []
    goes_on = False
    for line in _block(message.split("\n")):
        if line[:1] in _BLANKS and goes_on:
            key, value = found.pop()
            found.append((key, f"{value} {line}"))
        elif goes_on := (match := _KEY.match(line)) is not None:
            found.append((match[1].lower(), line[match.end() :]))
    return found


def _block(lines: list[str]) -> list[str]:
    """Return the lines of the last paragraph if it has trailers; never those of the first one.

    Other lines may be among them if git wrote one, and a quarter of the lines are trailers.
    """
    while lines and (lines[-1].startswith("#") or not lines[-1].strip(_BLANKS)):
        lines.pop()
    blank = [number for number, line in enumerate(lines) if not line.strip(_BLANKS)]
    start = blank[-1] + 1 if blank else 0
    if len(blank) == start:
        return []  # it is the first paragraph, too
    trailers, others, generated = _counted(lines[start:])
    if (generated and trailers * 3 >= others) or (trailers and not others):
        return lines[start:]
    return []


def _counted(lines: list[str]) -> tuple[int, int, bool]:
    """Return how many lines are trailers and how many are not, and whether git wrote one.

    A line that begins with white space belongs to the trailer above it, else to the text.
    """
    trailers = others = indented = 0
    generated = False
    for line in reversed(lines):
        if line.startswith("#"):
            others, indented = others + indented, 0
        elif line.startswith(_GENERATED):
            trailers, indented, generated = trailers + 1, 0, True
        elif line[:1] in _BLANKS:
            indented += 1
        elif _KEY.match(line):
            trailers, indented = trailers + 1, 0
        else:
            others, indented = others + 1 + indented, 0
    return trailers, others + indented, generated
