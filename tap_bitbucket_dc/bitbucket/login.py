"""What answers reveal about the login: whose it is, and whether it is valid. Without I/O.

Bitbucket does not always refuse an invalid login. Where public access is allowed, it treats
the request as anonymous and answers 200, with fewer rows or none. An answer to a known user
carries the login in ``X-AUSERNAME``.

Source: comments in bitbucket.ts of sourcebot-dev/sourcebot; headers recorded by
jenkinsci/blueocean-plugin.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from tap_bitbucket_dc.bitbucket import errors

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket.answers import Answer

ONLY_FOR_USERS = "profile/recent/repos"
"""A resource that answers anonymous requests with 401, even where public access is allowed.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/, and
sourcebot-dev/sourcebot, which checks its login there.
"""

REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

CAPTCHA = "Log in once in the browser as this user and solve the captcha."
GRANT = "Have an administrator grant the user (or token) read permission."
LICENCE = "Have an administrator give the user a licence for Bitbucket."
BASIC_IS_OFF = (
    "Create an HTTP access token in Bitbucket and set `token`. Or have an administrator switch "
    "Basic on: Administration > Accounts > Authentication methods > Edit > Allow basic "
    "authentication on API calls."
)


class Login:
    """What the answers so far reveal about the login."""

    def __init__(self, *, is_basic: bool) -> None:
        """Start without answers; ``is_basic`` if a password is sent and not a token."""
        self._is_basic = is_basic
        self.user: str | None = None
        """The login that the server named in its last answer, None before."""
        self.in_doubt = False
        """Whether an answer did not name the user: the login may have expired."""

    def saw(self, answer: Answer) -> None:
        """Note whether an answer names the user."""
        known = answer.status in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}
        if user := answer.headers.get("X-AUSERNAME"):
            self.user = user
        elif answer.status in REFUSALS or (known and self.user):
            self.in_doubt = True

    def refusal(self, answer: Answer) -> errors.BitbucketError:
        """Return what a 401 or 403 means: a wrong login, or a valid one without permission.

        Source: bitbucket-error-registry.json of vriesdemichael/bitbucket-data-center-cli,
        recorded from live servers.
        """
        # CaptchaRequiredAuthenticationException; the header is CAPTCHA_CHALLENGE.
        # Source: Javadoc of com.atlassian.bitbucket.auth; the header is known from Jira.
        denied = answer.headers.get("X-Authentication-Denied-Reason", "")
        if "captcha" in denied.lower() or answer.names("Captcha"):
            return _fatal(answer, "captcha_required", CAPTCHA)
        # "Basic Authentication has been disabled on this instance."
        # Source: atlassian/data-center-helm-charts. Which field contains it is not known.
        if self._is_basic and re.search(rb"(?i)basic.{0,40}(disabled|not )", answer.body):
            return _fatal(answer, "basic_auth_disabled", BASIC_IS_OFF)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # A valid login of a user without a licence.
            # Source: the registry above; tektoncd/pipelines-as-code.
            if answer.names("NoAccessAuthenticationException"):
                return _fatal(answer, "invalid_permissions", LICENCE)
            # com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException
            if answer.names(".auth."):
                return self._invalid(answer.sentence, answer.url, answer.status)
        return errors.InaccessibleError(answer.sentence, url=answer.url, status=answer.status)

    def unconfirmed(self, error: errors.SkippableError) -> errors.BitbucketError | None:
        """Return what it means that ``ONLY_FOR_USERS`` is refused, None if it proves nothing.

        How it answers the token of a project or repository is not known: anything but a 401
        counts in favour of the login.
        """
        if isinstance(error, errors.RedirectError | errors.UnavailableError):
            return error
        if error.status == HTTPStatus.UNAUTHORIZED:
            return self._invalid(str(error.args[0]), error.url, error.status)
        return None

    def refused_at_first(self, error: errors.InaccessibleError) -> errors.FatalError:
        """Return the error to end with if the very first request is refused."""
        what = str(error.args[0])
        if error.status == HTTPStatus.UNAUTHORIZED and self.user is None:
            return self._invalid(what, error.url, error.status)
        return errors.FatalError(
            what, code=error.code, remedy=GRANT, url=error.url, status=error.status
        )

    def _invalid(self, what: str, url: str, status: int | None) -> errors.FatalError:
        remedy = "Check `username` and `password`." if self._is_basic else "Check `token`."
        return errors.FatalError(
            what, code="invalid_credentials", remedy=remedy, url=url, status=status
        )


def _fatal(answer: Answer, code: str, remedy: str) -> errors.FatalError:
    return errors.FatalError(
        answer.sentence, code=code, remedy=remedy, url=answer.url, status=answer.status
    )
