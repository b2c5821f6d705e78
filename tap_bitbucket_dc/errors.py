"""What can go wrong, by what is done about it.

::

    BitbucketError          this repository is not read, the others are; exit 1
    ├── NoSuchCommitError       the range is read in full, or from its start
    ├── NoDefaultBranchError    status `missing`
    ├── InaccessibleError       status `inaccessible`, the run stays green
    ├── RedirectError           as BitbucketError; no answer to whether we are known
    ├── UnavailableError        as BitbucketError, if the server still answers at all
    └── FatalError              the run ends
        └── ConfigError             before any request

Each carries the code that users find in the last line of the log.
"""

from __future__ import annotations

import re

# C0 and C1 controls, and the marks that reorder text: a server's words must not
# steer the terminal that shows them.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_LONGEST_MESSAGE = 500


def printable(text: str) -> str:
    """Return a server's words on one line, without control characters, shortened."""
    text = _CONTROLS.sub(" ", text).encode("utf-8", "replace").decode().strip()
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


class BitbucketError(Exception):
    """What happened, with its URL and no secret; what to do about it."""

    code = "unexpected_answer"
    remedy = "Try again; if it stays, the answer of this URL is worth a look."

    def __init__(self, what: str, *, code: str = "", remedy: str = "") -> None:
        """Take what happened; code and remedy where the class's own do not fit."""
        super().__init__(printable(what))
        self.code = code or self.code
        self.remedy = remedy or self.remedy

    def __str__(self) -> str:
        """Code, what happened, what to do: the last line of the log."""
        return f"{self.code}: {self.args[0]} {self.remedy}".rstrip()


class NoSuchCommitError(BitbucketError):
    """``since`` or ``until`` is not in the repository, or not any more."""


class NoDefaultBranchError(BitbucketError):
    """The default branch was never pushed, or was deleted."""


class InaccessibleError(BitbucketError):
    """401 or 403 after a proven login, or a repository that is gone."""

    code = "invalid_permissions"
    remedy = "Grant the user (or token) read permission on it, or exclude it."

    def __init__(self, what: str, status: int) -> None:
        """Take what happened and the HTTP status: 401, 403 or 404."""
        super().__init__(what)
        self.status = status


class RedirectError(BitbucketError):
    """A redirect out of the REST API, as to a login page."""


class UnavailableError(BitbucketError):
    """No answer, or only 5xx, after all retries."""

    code = "unavailable"
    remedy = "Run again when the server is well: nothing is lost."


class FatalError(BitbucketError):
    """Nothing else can be read either."""


class ConfigError(FatalError):
    """A setting is wrong: which, and why."""

    code = "invalid_config"
    remedy = "Correct it; `tap-bitbucket-dc --about` describes each setting."
