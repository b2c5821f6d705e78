"""The options of the emulated server, and values derived from them.

This module knows nothing of how requests are received or answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tap_bitbucket_dc.emulator.login import ADMIN, Login, RateLimit, User
from tap_bitbucket_dc.emulator.projects import Projects

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator.exchange import Request
    from tap_bitbucket_dc.emulator.faults import Fault

HOST = "127.0.0.1"


@dataclass
class Options:
    """How the server behaves. Every option may be changed while the server runs.

    Attributes:
        root: The directory with the repositories; the module ``projects`` shows its layout.
        context_path: The path in front of every other: ``/bitbucket``, or empty.
        version: The Bitbucket version to imitate, 5.0.0 to 9.4.0. It decides which resources and
            fields exist.
        port: The port on 127.0.0.1. If it is 0, the first start picks a free one.
        tokens: HTTP access tokens, each with the slug of its user.
        passwords: Passwords by the slug of their user.
        users: Accounts, in addition to those in ``users.json``.
        public_access: Whether a caller without credentials, or with a token that is not valid,
            gets 200 and only what is public. Otherwise the answer is 401.
        basic_auth: Whether a user name and password are accepted. Otherwise the answer is 403.
        captcha: Whether every login is answered with the demand to solve a CAPTCHA: 403.
        rate_limit: The rate limit of each user; None for no limit.
        hidden: Projects (``KEY``) and repositories (``KEY/slug``) that no caller may see. Their
            rows are left out of pages, but count in ``start`` and ``nextPageStart``.
        denied: The status, 401, 403 or 404, of requests for single projects (``KEY``) and
            repositories (``KEY/slug``), which are listed nevertheless.
        page_caps: The highest ``limit`` for each kind of page.
        last_page: Whether nextPageStart is ``absent`` or ``null`` on every last page. If None,
            the version decides.
        stride: How many numbers are skipped between two rows, so that nextPageStart is larger
            than start + size.
        counts: Whether commits are counted for ``withCounts=true``. Otherwise the parameter is
            ignored, and there is neither ``totalCount`` nor ``authorCount``.
        default_branch_resource: Whether ``branches/default`` exists. Otherwise it is an unknown
            path, and every unknown path answers 404 with ``sub-code`` and without ``errors``.
            ``default-branch`` is not affected.
        latency: Seconds before every answer.
        ssl_context: The TLS context for https; None for http.
        faults: What goes wrong, and with which requests; see ``Fault``.
        on_request: Functions called with every request before its answer is made, such as one
            that pushes a commit between two pages. Only one call runs at a time.
        projects: The projects under ``root``.
    """

    root: str | Path
    context_path: str = "/bitbucket"
    version: str = "9.4.0"
    port: int = 0
    tokens: dict[str, str] = field(default_factory=lambda: {"token": "admin"})
    passwords: dict[str, str] = field(default_factory=lambda: {"admin": "password"})
    users: list[User] = field(default_factory=lambda: [ADMIN])
    public_access: bool = False
    basic_auth: bool = True
    captcha: bool = False
    rate_limit: RateLimit | None = None
    hidden: set[str] = field(default_factory=set)
    denied: dict[str, int] = field(default_factory=dict)
    page_caps: dict[str, int] = field(
        default_factory=lambda: {
            "commits": 100,
            "projects": 1000,
            "repositories": 1000,
            "branches": 1000,
        }
    )
    last_page: Literal["absent", "null"] | None = None
    stride: int = 0
    counts: bool = True
    default_branch_resource: bool = True
    latency: float = 0.0
    ssl_context: ssl.SSLContext | None = None
    faults: list[Fault] = field(default_factory=list)
    on_request: list[Callable[[Request], object]] = field(default_factory=list)
    projects: Projects = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Normalize the context path, and prepare to read the projects."""
        self.context_path = f"/{self.context_path.strip('/')}".rstrip("/")
        self.projects = Projects(Path(self.root))

    @property
    def url(self) -> str:
        """The base URL: what users open in the browser."""
        scheme = "https" if self.ssl_context else "http"
        return f"{scheme}://{HOST}:{self.port}{self.context_path}"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers, which can be compared."""
        return tuple(int(number) for number in self.version.split("."))

    def accounts(self) -> tuple[User, ...]:
        """Return all accounts."""
        return (*self.users, *self.projects.users())

    def login(self) -> Login:
        """Return the current rules that decide whether credentials are accepted."""
        return Login(
            users=self.accounts(),
            tokens=self.tokens,
            passwords=self.passwords,
            public_access=self.public_access,
            basic_auth=self.basic_auth,
            captcha=self.captcha,
            login_url=f"{self.url}/login",
        )
