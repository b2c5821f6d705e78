"""The default branch, by whichever resource the server has.

``branches/default`` returns name and latest commit. It is deprecated in favour of
``default-branch``, which returns only the name. Then the branch's first commit is requested too.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import TYPE_CHECKING

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.ids import is_commit_id, require_commit_ids
from tap_bitbucket_dc.bitbucket.models import Branch, Commit, ConfiguredBranch
from tap_bitbucket_dc.bitbucket.paging import page_of

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket.reader import Reader


class DefaultBranches:
    """Reads default branches: by ``branches/default`` until it turns out not to exist."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._is_told_at_once = True

    def read(self, repository: str) -> Branch | None:
        """Return the default branch of the repository at a path; see ``Client``."""
        if not self._is_told_at_once:
            return self._by_name(repository)
        path = f"{repository}/branches/default"
        try:
            branch = self._reader.read_if_any(Branch, path)
        except errors.NoSuchResourceError:
            branch = self._by_name(repository)
            self._is_told_at_once = False
        if branch and not is_commit_id(branch.latest_commit):
            url = self._reader.url(path)
            what = f"The default branch at {url} has no valid commit id as its latest commit."
            raise errors.SkippableError(what, url=url, status=HTTPStatus.OK)
        return branch

    def _by_name(self, repository: str) -> Branch | None:
        found = self._reader.read_if_any(ConfiguredBranch, f"{repository}/default-branch")
        if found is None:
            return None
        query: dict[str, str | int] = {"until": found.id, "limit": 1}
        url = self._reader.url(f"{repository}/commits", query)
        try:
            body = self._reader.get(f"{repository}/commits", query)
        except errors.NoSuchCommitError as error:
            # Only an empty repository has no branch at all.
            branches = self._reader.read_plain(f"{repository}/branches", {"limit": 1})
            if branches.get("values") == []:
                return None
            raise error.turned_into(errors.NoDefaultBranchError) from None
        page = page_of(body, 0, url, functools.partial(self._reader.model, Commit, url))
        require_commit_ids(page.values, url)
        if not page.values:
            raise errors.SkippableError(f"The answer of {url} has no commit.", url=url)
        head = page.values[0].id
        return Branch(head, found.id, found.display_id, found.type)
