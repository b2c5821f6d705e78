"""Who is asking: users, their tokens and passwords, and how many requests each may send."""

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
    """An account. Commits with its e-mail address, in any case, are shown as its own.

    Attributes:
        id: What X-AUSERID says.
        name: The login name, which X-AUSERNAME says.
        slug: The name as it stands in URLs; the login name in lower case if left empty.
        email: The slug at example.com if left empty.
        display_name: The person's name; the login name if left empty.
        active: False for an account that was switched off.
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
        """Fill in what was left empty."""
        slug = self.slug or self.name.lower()
        object.__setattr__(self, "slug", slug)
        object.__setattr__(self, "email", self.email or f"{slug}@example.com")
        object.__setattr__(self, "display_name", self.display_name or self.name)


ADMIN = User(1, "admin", display_name="Administrator")


@dataclass
class RateLimit:
    """A bucket of requests for each user, refilled steadily.

    Args:
        capacity: What the bucket holds, and holds at first.
        per_second: What flows back.
        as_date: Whether Retry-After is an HTTP date instead of seconds.

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
            BitbucketError: It is empty: 429.
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
    """What credentials are worth.

    Attributes:
        users: All accounts.
        tokens: HTTP access tokens, each with the slug of its user.
        passwords: Of users, by slug.
        public_access: Whether a caller with a bad token is anonymous instead of refused.
        basic_auth: Whether a user name and password are looked at.
        captcha: Whether a person has to log in with a browser first.
        login_url: Where that is.
    """

    users: Sequence[User]
    tokens: Mapping[str, str]
    passwords: Mapping[str, str]
    public_access: bool
    basic_auth: bool
    captcha: bool
    login_url: str

    def user(self, authorization: str | None) -> User | None:
        """Return whose credentials the header ``Authorization`` holds, None for anonymous.

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
