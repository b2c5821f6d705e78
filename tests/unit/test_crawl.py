"""What one run finds out about all repositories together; nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from tap_bitbucket_dc.bitbucket.errors import InaccessibleError
from tap_bitbucket_dc.extract.crawl import Crawl, Wanted
from tap_bitbucket_dc.extract.filters import Filters
from tap_bitbucket_dc.extract.outcome import counted
from tap_bitbucket_dc.state import Bookmark
from tap_bitbucket_dc.tap import TapBitbucketDC

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket import Client, Repository


class Server:
    """Refuses 150 repositories, and knows nothing of one more."""

    def repository(self, project_key: str, slug: str) -> Repository:
        url = f"https://git.example.com/rest/api/1.0/projects/{project_key}/repos/{slug}"
        status = 404 if slug == "deleted" else 401
        raise InaccessibleError("Refused", url=url, status=status)

    def close(self) -> None:
        """Nothing is open."""


def test_a_deleted_repository_is_found_behind_many_that_are_hidden() -> None:
    config = {"base_url": "https://git.example.com", "token": "t"}
    names: dict[int, str | None] = {n: f"PAY/hidden-{n}" for n in range(150)}
    names[150] = "PAY/deleted"
    crawl = Crawl(
        cast("Client", Server()),
        Filters(TapBitbucketDC(config=config).config),
        lambda _: Bookmark(),
        wanted=Wanted(),
        concurrency=1,
        on_wait=lambda: None,
    )
    found = [crawl.gone(names) for _ in range(30)]
    assert [150] in found
    assert all(ids in ([], [150]) for ids in found)


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "commit", "0 commits"),
        (1, "commit", "1 commit"),
        (1, "repository", "1 repository"),
        (1234, "repository", "1,234 repositories"),
    ],
)
def test_a_number_agrees_with_its_noun(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
