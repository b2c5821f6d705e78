"""Users, the check of their tokens and passwords, and how many requests each may send."""

from __future__ import annotations

import base64
import binascii
import math
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING

from tap_bitbucket_dc.emulator import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class User:
    """An account. Commits with its e-mail address, in upper or lower case, are shown as its own.

    Attributes:
        id: The id, sent as X-AUSERID.
        name: The login name, sent as X-AUSERNAME.
        slug: The name in URLs. If empty, it is the login name in lower case.
        email: The e-mail address. If empty, it is the slug at example.com.
        display_name: The name to show. If empty, it is the login name.
        active: Whether the user may log in.
        type: ``NORMAL`` or ``SERVICE``.
    """

    id: int
    name: str
    slug: str = ""
    email: str = ""
    display_name: str = ""
    active: bool = True
    type: str = "NORMAL"

    def __post_init__(self) -> None:
        """Fill in what is empty."""
        slug = self.slug or self.name.lower()
        object.__setattr__(self, "slug", slug)
        object.__setattr__(self, "email", self.email or f"{slug}@example.com")
        object.__setattr__(self, "display_name", self.display_name or self.name)


ADMIN = User(1, "admin", display_name="Administrator")


@dataclass
class RateLimit:
    """A token bucket for each user.

    Args:
        capacity: How many requests the full bucket holds. It is full at first.
        per_second: How many requests are added per second.
        as_date: Whether Retry-After is an HTTP date. Otherwise it is a number of seconds.

    Source: https://confluence.atlassian.com/bitbucketserver/improving-instance-stability-with-rate-limiting-976171954.html
    """

    capacity: float = 60
    per_second: float = 5
    as_date: bool = False
    _left: dict[str, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def take(self, user: str) -> None:
        """Take a request out of the user's bucket.

        Raises:
            BitbucketError: 429, if the bucket is empty.
        """
        with self._lock:
            now = time.monotonic()
            left, then = self._left.get(user, (self.capacity, now))
            left = min(self.capacity, left + (now - then) * self.per_second)
            taken = left >= 1
            self._left[user] = (left - 1 if taken else left, now)
        if not taken:
            wait = max(1, math.ceil((1 - left) / self.per_second))
            at = formatdate(math.ceil(time.time() + wait), usegmt=True)
            raise errors.too_many_requests(at if self.as_date else str(wait))


@dataclass(frozen=True)
class Login:
    """The rules that decide whether credentials are accepted.

    Attributes:
        users: All accounts.
        tokens: HTTP access tokens, each with the slug of its user.
        passwords: Passwords by the slug of their user.
        public_access: Whether a caller with a wrong token is treated as anonymous. Otherwise the
            answer is 401.
        basic_auth: Whether a user name and password are accepted.
        captcha: Whether every login is answered with the demand to solve a CAPTCHA.
        login_url: The URL of the login page, where the CAPTCHA can be solved.
    """

    users: Sequence[User]
    tokens: Mapping[str, str]
    passwords: Mapping[str, str]
    public_access: bool
    basic_auth: bool
    captcha: bool
    login_url: str

    def user(self, authorization: str | None) -> User | None:
        """Return the user that the header ``Authorization`` identifies; None if anonymous.

        Raises:
            BitbucketError: 401 or 403.
        """
        if not authorization:
            return None
        if self.captcha:
            raise errors.captcha_required(self.login_url)
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "basic":
            return self._basic(credentials)
        user = self._account(self.tokens.get(credentials.strip()))
        if user is None and not self.public_access:
            raise errors.wrong_credentials()
        return user

    def _basic(self, credentials: str) -> User:
        if not self.basic_auth:
            raise errors.basic_auth_disabled()
        try:
            name, _, password = base64.b64decode(credentials).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise errors.wrong_credentials() from None
        user = self._account(name)
        if user and password in {self.passwords.get(user.slug), *self._tokens(user)}:
            return user
        raise errors.wrong_credentials()

    def _tokens(self, user: User) -> list[str]:
        return [token for token, slug in self.tokens.items() if slug == user.slug]

    def _account(self, name: str | None) -> User | None:
        found = (user for user in self.users if user.active and name in {user.slug, user.name})
        return next(found, None)
