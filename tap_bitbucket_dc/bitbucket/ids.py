"""Keys, slugs and commit ids: which are valid, and how they appear in a path. Without I/O."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_bitbucket_dc.bitbucket.errors import SkippableError

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket.models import Commit, Repository

DIGITS = 40  # of a commit id, hexadecimal


def segment(text: str) -> str:
    """Return a key or slug as it appears in a path."""
    if not text.strip("."):  # dots change the directory of a path
        raise SkippableError(f"{text!r} is not a valid key or slug.")
    return quote(text, safe="~")


def path(project_key: str, slug: str) -> str:
    """Return the path of a repository."""
    return f"projects/{segment(project_key)}/repos/{segment(slug)}"


def path_of(repository: Repository) -> str:
    """Return the path of a repository, or raise a SkippableError if its project is not known."""
    if repository.project is None:
        what = f"Bitbucket sent the repository {repository.slug!r} without its project."
        raise SkippableError(what)
    return path(repository.path_key, repository.slug)


def is_commit_id(text: str) -> bool:
    """Return whether a text is a whole commit id."""
    return bool(re.fullmatch(r"[0-9a-f]{40}", text))


def require_commit_ids(commits: list[Commit], url: str) -> None:
    """Raise a SkippableError about the answer of ``url`` if a commit has no valid id."""
    ids = [commit.id for commit in commits]
    # All at once: ten times as fast as one by one.
    others = "".join(ids).encode().translate(None, b"0123456789abcdef")
    if not others and {*map(len, ids)} <= {DIGITS}:
        return
    wrong = next(id_ for id_ in ids if not is_commit_id(id_))
    what = f"The answer of {url} has a commit with the invalid id {wrong!r}."
    raise SkippableError(what, url=url, status=HTTPStatus.OK)
