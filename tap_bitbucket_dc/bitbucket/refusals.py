"""What an answer other than 200 and 204 means. Without I/O.

Source: https://developer.atlassian.com/server/bitbucket/rest/v906/intro/ ("Errors &
Validation"), unless a rule names another one.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.login import REFUSALS

if TYPE_CHECKING:
    from tap_bitbucket_dc.bitbucket.answers import Answer
    from tap_bitbucket_dc.bitbucket.login import Login

RATE_LIMITED = "Set a lower `requests_per_second`, or ask for an exemption; run again."

Error = TypeVar("Error", bound=errors.BitbucketError)


def refusal(answer: Answer, login: Login) -> errors.BitbucketError:
    """Return the error for an answer that will not be retried.

    Exceptions are recognized by the last part of their names: Stash had other packages.
    """
    # https://confluence.atlassian.com/bitbucketserver/
    # improving-instance-stability-with-rate-limiting-976171954.html
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _error(errors.FatalError, answer, "rate_limited", RATE_LIMITED)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _error(errors.UnavailableError, answer)
    if answer.status in REFUSALS:
        return login.refusal(answer)
    # A proxy asks for a login. Source: RFC 9110, section 15.5.8.
    if answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _error(errors.FatalError, answer, "unreachable", errors.CHECK_NETWORK)
    return _not_found(answer)


def _not_found(answer: Answer) -> errors.SkippableError:
    # The documentation of commits lists 400 for an invalid id, servers answer 404.
    # Source: https://developer.atlassian.com/server/bitbucket/rest/v906/api-group-repository/;
    # missing-commit.json of jenkinsci/atlassian-bitbucket-server-integration-plugin.
    is_bad_commit = answer.status == HTTPStatus.BAD_REQUEST and "/commits?" in answer.url
    if answer.names("NoSuchCommit") or is_bad_commit:
        return _error(errors.NoSuchCommitError, answer)
    # The branch was never pushed or was deleted; before 5.6 also sent for empty repositories.
    # Source: argoproj/argo-cd; jenkinsci/blueocean-plugin.
    if answer.names("NoDefaultBranch"):
        return _error(errors.NoDefaultBranchError, answer)
    # Deleted since it was listed, or hidden. Source: sourcegraph/sourcegraph.
    if answer.names("NoSuchRepository", "NoSuchProject"):
        return _error(errors.InaccessibleError, answer)
    # Bitbucket sends `errors`; its REST module for an unknown route, and proxies, do not.
    # Source: vriesdemichael/bitbucket-data-center-cli.
    if not any(name or message for name, message in answer.errors):
        if answer.status == HTTPStatus.NOT_FOUND:
            return _error(errors.NoSuchResourceError, answer)
        return _error(errors.SkippableError, answer, "not_bitbucket", errors.NOT_BITBUCKET)
    return _error(errors.SkippableError, answer)


def not_json(answer: Answer) -> errors.SkippableError:
    """Return the error for a 200 that is not JSON, such as a login or maintenance page."""
    kind = answer.headers.get("Content-Type") or "no Content-Type"
    return errors.SkippableError(
        f"{answer.url} answers {kind}, not JSON.",
        code="not_bitbucket",
        remedy=errors.NOT_BITBUCKET,
        url=answer.url,
        status=answer.status,
    )


def _error(kind: type[Error], answer: Answer, code: str = "", remedy: str = "") -> Error:
    return kind(answer.sentence, code=code, remedy=remedy, url=answer.url, status=answer.status)
