"""Commit ids: which are valid."""

from __future__ import annotations

import contextlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from tap_bitbucket_dc.bitbucket.errors import SkippableError

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket.models import Commit

DIGITS = 40  # of a commit id, hexadecimal


def is_commit_id(text: str) -> bool:
    """Return whether a text is a whole commit id."""
    return bool(re.fullmatch(r"[0-9a-f]{40}", text))


def require_commit_ids(commits: list[Commit], url: str) -> None:
    """Raise a SkippableError about the answer of ``url`` if a commit has no valid id."""
    ids = [commit.id for commit in commits]
    # All at once: ten times as fast as one by one.
    joined = "".join(ids)
    with contextlib.suppress(ValueError):
        if {*map(len, ids)} <= {DIGITS} and bytes.fromhex(joined).hex() == joined:
            return
    wrong = next(id_ for id_ in ids if not is_commit_id(id_))
    what = f"The answer of {url} has a commit with the invalid id {wrong!r}."
    raise SkippableError(what, url=url, status=HTTPStatus.OK)
