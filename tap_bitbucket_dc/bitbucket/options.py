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

    Attributes:
        base_url: What users open in the browser, with the context path if there is one.
        token: HTTP access token of a user, project or repository, sent as Bearer.
        username: For Basic authentication, if there is no token.
        password: The same.
        concurrency: Maximum number of requests at once.
        requests_per_second: The client's own rate limit, None for none.
        page_size: Rows to request per page; the server's own limit takes precedence.
        request_timeout: Seconds within which an answer must be complete.
        max_retries: How often a request is repeated after its first failure.
        max_wait: Longest single wait, in seconds, that is accepted from Retry-After.
        ca_bundle: PEM file or directory of the CAs to trust, None for those of the system.
        client_certificate: PEM file, for servers that ask for one.
        client_key: PEM file of its key, if the key is not in the same file.
        verify_tls: False trusts any certificate.
        allow_http: True permits sending the login unencrypted to another host.
    """

    base_url: str = field(kw_only=False)
    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    concurrency: int = 8
    requests_per_second: float | None = None
    page_size: int = 1000
    request_timeout: float = 60
    max_retries: int = 5
    max_wait: float = 300
    ca_bundle: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    verify_tls: bool = True
    allow_http: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """Return the options in a mapping of settings; other keys and None are ignored."""
        names = [option.name for option in fields(cls)]
        return cls(**{name: config[name] for name in names if config.get(name) is not None})
