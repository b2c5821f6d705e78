"""How a client connects, logs in and paces its requests."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the server is, how to log in, and how fast to send requests.

    Either ``token``, or ``username`` and ``password``, is required.
    """

    base_url: str = field(kw_only=False)  # as in the browser, with the context path
    token: str | None = field(default=None, repr=False)  # of a user, project or repository
    username: str | None = None  # for Basic authentication, if there is no token
    password: str | None = field(default=None, repr=False)
    concurrency: int = 8  # most requests at once
    requests_per_second: float | None = None  # the client's own limit, None for none
    page_size: int = 1000  # rows to request; the server's own limit takes precedence
    request_timeout: float = 60  # seconds within which an answer must be complete
    max_retries: int = 5  # after the first failure of a request
    max_wait: float = 300  # seconds: the longest single wait that Retry-After may ask for
    ca_bundle: str | None = None  # PEM file or directory, None for the CAs of the system
    client_certificate: str | None = None  # PEM file, for servers that ask for one
    client_key: str | None = None  # PEM file, if the key is not in the same one
    verify_tls: bool = True  # False trusts any certificate
    allow_http: bool = False  # True permits sending the login unencrypted to another host

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Return the options in a mapping of settings; other keys and None are ignored."""
        names = [option.name for option in fields(cls)]
        return cls(**{name: config[name] for name in names if config.get(name) is not None})
