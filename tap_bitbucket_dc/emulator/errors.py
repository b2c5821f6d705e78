"""Bitbucket's refusals, in its own words.

::

    {"errors": [{"context": null, "message": "Project X does not exist.",
                 "exceptionName": "com.atlassian.bitbucket.project.NoSuchProjectException"}]}

Recorded from servers, but for two: no recording of a CAPTCHA demand and of basic authentication
switched off is known. Their statuses and the CAPTCHA's exception are documented, their messages
are not.
"""

from __future__ import annotations

from tap_bitbucket_dc.emulator.exchange import JSON, Answer, encoded

PACKAGE = "com.atlassian.bitbucket"


class BitbucketError(Exception):
    """A refusal: status, message, exception without its package, and what it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        exception: str | None = None,
        *,
        context: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.exception = exception and f"{PACKAGE}.{exception}"
        self.context = context
        self.headers = headers or {}

    def answer(self) -> Answer:
        """Return it as Bitbucket sends it."""
        error = {
            "context": self.context,
            "message": str(self),
            "exceptionName": self.exception,
        }
        body = encoded({"errors": [error]})
        return Answer(self.status, body, {"Content-Type": JSON, **self.headers})


def wrong_credentials() -> BitbucketError:
    """A password or token that is none."""
    message = "Authentication failed. Please check your credentials and try again."
    return BitbucketError(401, message, "auth.IncorrectPasswordAuthenticationException")


def captcha_required(login_url: str) -> BitbucketError:
    """Too many wrong passwords: a person has to log in with a browser first."""
    message = "CAPTCHA required. Your Bitbucket account has been marked as requiring a CAPTCHA."
    reason = f"CAPTCHA_CHALLENGE; login-url={login_url}"
    return BitbucketError(
        403,
        message,
        "auth.CaptchaRequiredAuthenticationException",
        headers={"X-Authentication-Denied-Reason": reason},
    )


def basic_auth_disabled() -> BitbucketError:
    """A user name and a password, where only tokens are accepted."""
    return BitbucketError(403, "Basic Authentication has been disabled on this instance.")


def not_permitted(status: int = 401) -> BitbucketError:
    """Something that this user, or an anonymous one, may not see."""
    message = "You are not permitted to access this resource"
    return BitbucketError(status, message, "AuthorisationException")


def only_authenticated() -> BitbucketError:
    """Something that is different for each user, asked for by nobody."""
    message = "Only authenticated users may call this resource"
    return BitbucketError(401, message, "AuthorisationException")


def too_many_requests(retry_after: str) -> BitbucketError:
    """A user's rate limit is used up."""
    return BitbucketError(429, "Too many requests", headers={"Retry-After": retry_after})


def invalid(parameter: str, value: str) -> BitbucketError:
    """A query parameter that cannot be understood."""
    return BitbucketError(400, f"'{value}' is not a valid {parameter}.", context=parameter)


def no_such_project(key: str) -> BitbucketError:
    """A project that is missing."""
    message = f"Project {key} does not exist."
    return BitbucketError(404, message, "project.NoSuchProjectException")


def no_such_repository(path: str) -> BitbucketError:
    """A repository that is missing, ``KEY/slug``."""
    message = f"Repository {path} does not exist."
    return BitbucketError(404, message, "repository.NoSuchRepositoryException")


def no_such_commit(commit: str, slug: str) -> BitbucketError:
    """A commit, branch or tag that is missing, or was and has been collected."""
    message = f"Commit '{commit}' does not exist in repository '{slug}'."
    return BitbucketError(404, message, "commit.NoSuchCommitException")


def no_default_branch(ref: str | None) -> BitbucketError:
    """A default branch that was never pushed, or none at all."""
    message = (
        f"{ref} is set as the default branch, but this branch does not exist"
        if ref
        else "No default branch is defined"
    )
    return BitbucketError(404, message, "repository.NoDefaultBranchException")


def failed(message: str) -> BitbucketError:
    """The server itself is in trouble; the message is for whoever set up the emulator."""
    return BitbucketError(500, message, "scm.CommandFailedException")
