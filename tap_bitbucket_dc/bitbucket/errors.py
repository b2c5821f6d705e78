"""What can go wrong, grouped by what the code that catches it does.

::

    BitbucketError
    ├── FatalError                  the run ends: nothing else can be read either
    │   └── ConfigError                 a setting or file is wrong
    └── SkippableError              this repository or project is not read, the others are
        ├── NoSuchCommitError           the range is read in full, or from its start
        ├── NoDefaultBranchError        the repository has no commits to read
        ├── NoSuchResourceError         another resource may have the same information
        ├── InaccessibleError           no permission, or gone: no reason to fail the run
        ├── RedirectError               does not show whether the login is valid
        └── UnavailableError            the server may be down for all other requests too

Users find ``code`` in the last line of the log, and can look it up in the README.
"""

from __future__ import annotations

import re
from typing import TypeVar

from tap_bitbucket_dc.redaction import hidden

# C0 and C1 control characters, and marks that reorder text: what a server sends must not
# control the terminal that displays it.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_LONGEST_MESSAGE = 500  # characters

CHECK_NETWORK = "Check `base_url`, the network, the proxy (HTTPS_PROXY) and the firewall."
NOT_BITBUCKET = "Set `base_url` to the address at which Bitbucket opens in the browser."

Kind = TypeVar("Kind", bound="BitbucketError")


def printable(text: str) -> str:
    """Return a server's text on one line, without control characters, shortened."""
    if not text.isprintable():  # slow, and rarely needed
        text = _CONTROLS.sub(" ", text).encode("utf-8", "replace").decode()
    text = text.strip()
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


class BitbucketError(Exception):
    """What happened, and what to do about it; contains no secret.

    Attributes:
        code: One of the documented error codes, such as ``invalid_credentials``.
        remedy: What the user can do about it.
        url: The URL that was requested, "" if the error is not about one.
        status: The HTTP status of the answer, None if there was none.
    """

    code = "unexpected_answer"
    remedy = "Try again; if the error persists, look at what the server returns."

    def __init__(
        self,
        what: str,
        *,
        code: str = "",
        remedy: str = "",
        url: str = "",
        status: int | None = None,
    ) -> None:
        super().__init__(printable(hidden(what)))
        self.code = code or self.code
        self.remedy = remedy or self.remedy
        self.url = hidden(url)
        self.status = status

    def __str__(self) -> str:
        """Return code, what happened and what to do: the last line of the log."""
        return f"{self.code}: {self.args[0]} {self.remedy}".rstrip()

    def turned_into(self, kind: type[Kind], *, code: str = "", remedy: str = "") -> Kind:
        """Return an error of another kind about the same answer."""
        what = str(self.args[0])
        return kind(what, code=code, remedy=remedy, url=self.url, status=self.status)


class FatalError(BitbucketError):
    """The run ends, because nothing else can be read either."""


class ConfigError(FatalError):
    """A setting or file is invalid; the message says which one, and why."""

    code = "invalid_config"
    remedy = "`tap-bitbucket-dc --about` describes each setting."


class SkippableError(BitbucketError):
    """One repository or project cannot be read."""


class NoSuchCommitError(SkippableError):
    """``since`` or ``until`` is not, or is no longer, in the repository."""


class NoDefaultBranchError(SkippableError):
    """The default branch was never pushed, or was deleted."""


class NoSuchResourceError(SkippableError):
    """404 without an error of Bitbucket's own: the path, or Bitbucket itself, is not there."""

    code = "not_bitbucket"
    remedy = NOT_BITBUCKET


class InaccessibleError(SkippableError):
    """401 or 403 although the login is valid, or a project or repository that is gone (404)."""

    code = "invalid_permissions"
    remedy = (
        "Grant the user (or token) read permission on this repository or project, or exclude it."
    )


class RedirectError(SkippableError):
    """A redirect out of the REST API, for example to a login page."""

    code = "not_bitbucket"
    remedy = NOT_BITBUCKET


class UnavailableError(SkippableError):
    """No answer, or only 5xx, after all retries."""

    code = "unavailable"
    remedy = "Run again when the server is back: nothing is lost."
