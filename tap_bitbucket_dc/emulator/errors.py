"""Bitbucket's error messages.

::

    {"errors": [{"context": null, "message": "Project X does not exist.",
                 "exceptionName": "com.atlassian.bitbucket.project.NoSuchProjectException"}]}

Most were recorded from servers. For the demand to solve a CAPTCHA, the status and the name of the
exception are documented, and for disabled basic authentication the status; both messages are
invented. So are the body of a 429 and the answer to a ``limit`` that is not a positive number.
"""

from __future__ import annotations

from tap_bitbucket_dc.emulator.exchange import JSON, Answer, encoded

PACKAGE = "com.atlassian.bitbucket"


class BitbucketError(Exception):
    """An error that Bitbucket answers with.

    Args:
        status: The HTTP status.
        message: The message for people.
        exception: The name of the Java exception, without ``com.atlassian.bitbucket``.
        context: The part of the request that caused the error, such as a parameter.
        headers: Further headers of the answer.
    """

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
        """Return the answer that Bitbucket sends."""
        error = {
            "context": self.context,
            "message": str(self),
            "exceptionName": self.exception,
        }
        body = encoded({"errors": [error]})
        return Answer(self.status, body, {"Content-Type": JSON, **self.headers})


def wrong_credentials() -> BitbucketError:
    """The password or token is wrong."""
    message = "Authentication failed. Please check your credentials and try again."
    return BitbucketError(401, message, "auth.IncorrectPasswordAuthenticationException")


def captcha_required(login_url: str) -> BitbucketError:
    """After too many wrong passwords, the user has to log in with a browser first."""
    message = "CAPTCHA required. Your Bitbucket account has been marked as requiring a CAPTCHA."
    reason = f"CAPTCHA_CHALLENGE; login-url={login_url}"
    return BitbucketError(
        403,
        message,
        "auth.CaptchaRequiredAuthenticationException",
        headers={"X-Authentication-Denied-Reason": reason},
    )


def basic_auth_disabled() -> BitbucketError:
    """The caller sent a user name and a password to a server that only accepts tokens."""
    return BitbucketError(403, "Basic Authentication has been disabled on this instance.")


def not_permitted(status: int = 401) -> BitbucketError:
    """The caller, who may be anonymous, has no permission to see this."""
    message = "You are not permitted to access this resource"
    return BitbucketError(status, message, "AuthorisationException")


def only_authenticated() -> BitbucketError:
    """An anonymous caller asked for something that is different for each user."""
    message = "Only authenticated users may call this resource"
    return BitbucketError(401, message, "AuthorisationException")


def too_many_requests(retry_after: str) -> BitbucketError:
    """The user has exceeded the rate limit."""
    return BitbucketError(429, "Too many requests", headers={"Retry-After": retry_after})


def invalid(parameter: str, value: str) -> BitbucketError:
    """A query parameter that cannot be understood."""
    return BitbucketError(400, f"'{value}' is not a valid {parameter}.", context=parameter)


def no_such_project(key: str) -> BitbucketError:
    """The project does not exist."""
    message = f"Project {key} does not exist."
    return BitbucketError(404, message, "project.NoSuchProjectException")


def no_such_repository(path: str) -> BitbucketError:
    """The repository ``KEY/slug`` does not exist."""
    message = f"Repository {path} does not exist."
    return BitbucketError(404, message, "repository.NoSuchRepositoryException")


def no_such_commit(commit: str, slug: str) -> BitbucketError:
    """The commit, branch or tag does not exist, or has been garbage-collected."""
    message = f"Commit '{commit}' does not exist in repository '{slug}'."
    return BitbucketError(404, message, "commit.NoSuchCommitException")


def no_default_branch(ref: str | None) -> BitbucketError:
    """The default branch was never pushed, or none is set."""
    message = (
        f"{ref} is set as the default branch, but this branch does not exist"
        if ref
        else "No default branch is defined"
    )
    return BitbucketError(404, message, "repository.NoDefaultBranchException")


def failed(message: str) -> BitbucketError:
    """The emulator failed. The message is for the author of the test."""
    return BitbucketError(500, message, "scm.CommandFailedException")
