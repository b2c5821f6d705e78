"""Describes a server's answers without repeating their content.

So what ``test_api`` prints about a company's server can be passed on: it contains no name of a
person, project or repository, no message, no address and no token.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest
    import requests

Answers = list[tuple[str, "requests.Response"]]

LAST: Answers = []
"""The last request of the running test, as method, path and names of parameters, and its answer."""

_EXCEPTION = re.compile(r"[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)+")
_WORDS = {"BRANCH", "NORMAL", "PERSONAL", "SERVICE"}


def note(path: str, query: dict[str, Any], answer: requests.Response) -> None:
    """Remember an answer as the last one."""
    place = re.sub(r"(projects|repos|commits)/[^/]+", r"\1/…", path)
    names = f"?{'&'.join(sorted(query))}" if query else ""
    LAST[:] = [(f"GET {place}{names}", answer)]


def difference(test: str, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the assumption that did not hold, and the shape of the last answer."""
    here = [
        entry for entry in excinfo.traceback if Path(entry.path).parent == Path(__file__).parent
    ]
    lines = [f"assumed: {test.removeprefix('test_').replace('_', ' ')}"]
    if here:
        lines.append(f"  {Path(here[-1].path).name}:{here[-1].lineno + 1}: {here[-1].statement}")
    lines.append(f"  ended by {excinfo.typename}")
    for asked, answer in LAST:
        lines.append(f"  last answer: {asked}: {described(answer)}")
    return "\n".join(lines)


def described(answer: requests.Response) -> str:
    """Return status, type and shape of an answer."""
    kind = answer.headers.get("Content-Type", "no type").partition(";")[0]
    try:
        return f"{answer.status_code} {kind} {shape(answer.json())}"
    except ValueError:
        return f"{answer.status_code} {kind}, {len(answer.content)} bytes that are not JSON"


def shape(value: Any) -> str:
    """Return the keys and types of JSON, and of its texts only Java exceptions and ``_WORDS``.

    >>> shape({"id": 7, "name": "Ada", "parents": [{"id": "x"}, {"id": "y"}]})
    '{id: number, name: text, parents: 2 * {id: text}}'
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_of(key, each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"{len(value)} * {shape(value[0])}" if value else "none"
    if isinstance(value, str):
        return "40 hex digits" if re.fullmatch("[0-9a-f]{40}", value) else "text"
    kinds = {bool: "flag", int: "number", float: "fraction"}
    return kinds.get(type(value), "null")


def _of(key: str, value: Any) -> str:
    if key == "exceptionName" and isinstance(value, str) and _EXCEPTION.fullmatch(value):
        return value
    if key == "type" and value in _WORDS:
        return str(value)
    return shape(value)
