"""What answers mean: whose login it is, whether it is valid, and why a request failed. Without I/O.

Bitbucket does not always refuse an invalid login. Where public access is allowed, it treats
the request as anonymous and answers 200, with fewer rows or none. An answer to a known user
carries the login in ``X-AUSERNAME``.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/ ("Errors &
Validation"), unless a comment names another one. For the login, comments in bitbucket.ts of
sourcebot-dev/sourcebot; headers recorded by jenkinsci/blueocean-plugin.
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

RATE_LIMITED = "Set or lower `requests_per_second`, or ask for an exemption, then run again."
CAPTCHA = "Log in once in the browser as this user and solve the captcha."
GRANT = "Have an administrator grant the user (or token) read permission."
LICENCE = "Have an administrator give the user a licence for Bitbucket."
BASIC_IS_OFF = (
    "Create an HTTP access token in Bitbucket and set `token`. Or have an administrator "
    "enable Basic authentication: Administration > Accounts > Authentication methods > Edit > "
    "Allow basic authentication on API calls."
)


class Login:
    """What the answers so far reveal about the login."""

    def __init__(self, *, is_basic: bool) -> None:
        self._is_basic = is_basic
        self.user: str | None = None
        """The login that the server named last, None as long as it has named none."""
        self.in_doubt = False
        """Whether an answer that should name the user did not: the login may have expired."""

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
            return answer.error(errors.FatalError, code="captcha_required", remedy=CAPTCHA)
        # "Basic Authentication has been disabled on this instance."
        # Source: atlassian/data-center-helm-charts. Which field contains it is not known.
        if self._is_basic and re.search(rb"(?i)basic.{0,40}(disabled|not )", answer.body):
            return answer.error(errors.FatalError, code="basic_auth_disabled", remedy=BASIC_IS_OFF)
        refused = answer.error(errors.InaccessibleError)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # A valid login of a user without a licence.
            # Source: the registry above; tektoncd/pipelines-as-code.
            if answer.names("NoAccessAuthenticationException"):
                return refused.turned_into(errors.FatalError, code=refused.code, remedy=LICENCE)
            # com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException
            if answer.names(".auth."):
                return self._invalid(refused)
        return refused

    def unconfirmed(self, error: errors.SkippableError) -> errors.BitbucketError | None:
        """Return the error if ``ONLY_FOR_USERS`` is refused, None if the login may be valid.

        How Bitbucket answers the token of a project or repository there is not known, so only
        a 401 counts against the login. A redirect, or no answer at all, is returned as it is.
        """
        if isinstance(error, errors.RedirectError | errors.UnavailableError):
            return error
        return self._invalid(error) if error.status == HTTPStatus.UNAUTHORIZED else None

    def refused_at_first(self, error: errors.InaccessibleError) -> errors.FatalError:
        """Return the error to end with if the very first request is refused."""
        if error.status == HTTPStatus.UNAUTHORIZED and self.user is None:
            return self._invalid(error)
        return error.turned_into(errors.FatalError, code=error.code, remedy=GRANT)

    def _invalid(self, error: errors.SkippableError) -> errors.FatalError:
        remedy = "Check `username` and `password`." if self._is_basic else "Check `token`."
        return error.turned_into(errors.FatalError, code="invalid_credentials", remedy=remedy)


def refusal(answer: Answer, login: Login) -> errors.BitbucketError:
    """Return the error for an answer that is neither 200 nor 204, and will not be retried.

    Exceptions are recognized by parts of their names, because Stash had other packages.
    """
    # https://confluence.atlassian.com/bitbucketserver/
    # improving-instance-stability-with-rate-limiting-976171954.html
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return answer.error(errors.FatalError, code="rate_limited", remedy=RATE_LIMITED)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return answer.error(errors.UnavailableError)
    if answer.status in REFUSALS:
        return login.refusal(answer)
    # A proxy asks for a login. Source: RFC 9110, section 15.5.8.
    if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return answer.error(errors.FatalError, code="unreachable", remedy=errors.CHECK_NETWORK)
    return _not_found(answer)


def _not_found(answer: Answer) -> errors.SkippableError:
    # The documentation of commits lists 400 for an invalid id, but servers answer 404.
    # Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/;
    # missing-commit.json of jenkinsci/atlassian-bitbucket-server-integration-plugin.
    is_bad_commit = answer.status == HTTPStatus.BAD_REQUEST and "/commits?" in answer.url
    if answer.names("NoSuchCommit") or is_bad_commit:
        return answer.error(errors.NoSuchCommitError)
    # The branch was never pushed or was deleted; before 5.6 also sent for empty repositories.
    # Source: argoproj/argo-cd; jenkinsci/blueocean-plugin.
    if answer.names("NoDefaultBranch"):
        return answer.error(errors.NoDefaultBranchError)
    # Deleted since it was listed, or hidden. Source: sourcegraph/sourcegraph.
    if answer.names("NoSuchRepository", "NoSuchProject"):
        return answer.error(errors.InaccessibleError)
    # Bitbucket sends `errors`; proxies do not, nor does its REST module for an unknown route.
    # Source: vriesdemichael/bitbucket-data-center-cli.
    if not any(name or message for name, message in answer.errors):
        if answer.status == HTTPStatus.NOT_FOUND:
            return answer.error(errors.NoSuchResourceError)
        return answer.error(
            errors.SkippableError, code="not_bitbucket", remedy=errors.NOT_BITBUCKET
        )
    return answer.error(errors.SkippableError)
