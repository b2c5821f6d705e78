"""The limit: sends the requests of a sync one after the other, parses each answer, and no more.

``python bare_loop.py URL json|msgspec``, needs ``requests`` and ``msgspec``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Parser = Callable[[requests.Response], Any]

PARSERS: dict[str, Parser] = {
    "json": requests.Response.json,
    "msgspec": lambda response: msgspec.json.decode(response.content),
}


def rows(session: requests.Session, parse: Parser, url: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a listing, page after page."""
    start: int | None = 0
    while start is not None:
        page = parse(session.get(url, params={"limit": 1000, "start": start}))
        yield from page["values"]
        start = page["nextPageStart"]


def main(base_url: str, parser: str) -> None:
    """Read everything; print how many commits there were."""
    parse = PARSERS[parser]
    session = requests.Session()
    session.headers["Authorization"] = "Bearer secret"
    api = f"{base_url}/rest/api/1.0/projects"
    commits = 0
    for project in rows(session, parse, api):
        for repository in rows(session, parse, f"{api}/{project['key']}/repos"):
            url = f"{api}/{project['key']}/repos/{repository['slug']}"
            parse(session.get(f"{url}/branches/default"))
            commits += sum(1 for _ in rows(session, parse, f"{url}/commits"))
    print(commits)  # noqa: T201 its result


if __name__ == "__main__":
    main(*sys.argv[1:])
