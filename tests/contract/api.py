"""A minimal client for Bitbucket's REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_bitbucket_dc.emulator import Bitbucket

API = "/rest/api/1.0"
TOKEN = "token"


def get(
    bitbucket: Bitbucket, path: str, *, token: str | None = TOKEN, **query: object
) -> requests.Response:
    """Return the answer to one GET of a path under the API, on a connection of its own."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{bitbucket.url}{API}{path}"
    return requests.get(url, params=query, headers=headers, timeout=10)  # type: ignore[arg-type]


def body(
    bitbucket: Bitbucket, path: str, *, token: str | None = TOKEN, **query: object
) -> dict[str, Any]:
    """Return the JSON of an answer whose status must be 200."""
    response = get(bitbucket, path, token=token, **query)
    assert response.status_code == requests.codes.ok, response.text
    content: dict[str, Any] = response.json()
    return content


def pages(
    bitbucket: Bitbucket, path: str, *, token: str | None = TOKEN, **query: object
) -> Iterator[dict[str, Any]]:
    """Yield page after page, following ``nextPageStart`` and nothing else."""
    page = body(bitbucket, path, token=token, **query)
    yield page
    while not page["isLastPage"]:
        page = body(bitbucket, path, token=token, start=page["nextPageStart"], **query)
        yield page
    assert page.get("nextPageStart") is None


def rows(
    bitbucket: Bitbucket, path: str, *, token: str | None = TOKEN, **query: object
) -> list[dict[str, Any]]:
    """Return the rows of all pages."""
    return [row for page in pages(bitbucket, path, token=token, **query) for row in page["values"]]


def ids(bitbucket: Bitbucket, path: str, **query: str | int) -> list[str]:
    """Return the ids of all rows."""
    return [row["id"] for row in rows(bitbucket, path, token=TOKEN, **query)]


def error(response: requests.Response) -> tuple[int, str, str]:
    """Return status, exception without its package, and message of a refusal."""
    refusal = response.json()["errors"][0]
    return (
        response.status_code,
        str(refusal["exceptionName"]).rpartition(".")[2],
        refusal["message"],
    )
