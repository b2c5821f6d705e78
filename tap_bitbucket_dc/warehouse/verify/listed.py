"""Reads the commits that Bitbucket lists, and checks by their parents that none is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.errors import printable

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket import Ahead, Client, Repository

TRIES = 2


def listed(
    client: Client, repository: Repository, head: str, start: int | None, ahead: Ahead
) -> dict[str, bool]:
    """Return the ids of all commits reachable from a head, newest first.

    Args:
        client: The client to read them with.
        repository: The repository.
        head: A commit id.
        start: The start date in milliseconds since 1970, None if there is none.
        ahead: How pages are requested in parallel.

    Returns:
        For each id, whether the commit is not older than the start date.

    Raises:
        NoSuchCommitError: The head is not, or no longer, in the repository.
        SkippableError: Commits that others name as parents are missing from the answers, even
            after a second attempt.
    """
    for _ in range(TRIES):
        found: dict[str, bool] = {}
        ends = {head}
        for page in client.commits(repository, until=head, ahead=ahead):
            for commit in page.values:
                ends.update(parent.id for parent in commit.parents)
                at = commit.committer_timestamp
                found[commit.id] = start is None or at is None or at >= start
            ends.difference_update(commit.id for commit in page.values)
        ends -= found.keys()
        if not ends:
            return found
    what = f"Bitbucket's list of the commits of {repository} lacks {printable(min(ends))}."
    raise errors.SkippableError(what)
