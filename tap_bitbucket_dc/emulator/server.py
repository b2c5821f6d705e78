"""The server as its user holds it: its settings, its log of requests, what goes wrong.

Knows nothing of git, and of HTTP only that there are requests and answers.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tap_bitbucket_dc.emulator.connections import HOST, Server
from tap_bitbucket_dc.emulator.login import ADMIN, Login, RateLimit, User
from tap_bitbucket_dc.emulator.projects import Projects

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from typing_extensions import Self

    from tap_bitbucket_dc.emulator.exchange import Request
    from tap_bitbucket_dc.emulator.faults import Fault


@dataclass
class Bitbucket:
    """A Bitbucket Data Center over the git repositories in a directory.

    It answers between ``with`` and its end, on a port of its own if ``port`` is 0. Everything may
    be changed while it runs.

    Attributes:
        root: See the module ``projects`` for what may be in it.
        context_path: Before every path: ``/bitbucket``, or empty.
        version: Decides manners and fields, 5.0.0 to 9.4.0.
        port: On 127.0.0.1.
        tokens: HTTP access tokens, each with the slug of its user.
        passwords: Of users, by slug.
        users: Accounts, beside those in ``users.json``.
        public_access: Whether a caller without credentials, or with a bad token, gets 200 with
            what is public, instead of 401.
        basic_auth: Whether a user name and password are accepted: 403 if not.
        captcha: Whether every login meets a CAPTCHA: 403.
        rate_limit: Of each user.
        hidden: ``KEY`` or ``KEY/slug`` of what nobody may see; it counts in pages nevertheless.
        denied: ``KEY`` or ``KEY/slug`` of what is listed but answers with this status.
        page_caps: The highest limit of each kind of page.
        last_page: Whether nextPageStart is ``absent`` or ``null`` on every last page; None: as
            the version has it.
        stride: How many numbers are skipped from a row to the next, so that nextPageStart is more
            than start + size.
        latency: Seconds before every answer.
        ssl_context: For https.
        faults: What goes wrong; see Fault.
        on_request: Called one after the other with every request before its answer is made: a
            push between two pages.
        requests: Every request, from the moment it arrived.
        most_at_once: The highest number of requests under way together so far.
        projects: What is under the root.
        stopping: Set when the end of ``with`` is reached: whatever waits, waits for it too.
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
    latency: float = 0.0
    ssl_context: ssl.SSLContext | None = None
    faults: list[Fault] = field(default_factory=list)
    on_request: list[Callable[[Request], object]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list, init=False)
    most_at_once: int = field(default=0, init=False)
    projects: Projects = field(init=False, repr=False)
    stopping: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare everything but the port."""
        self.context_path = f"/{self.context_path.strip('/')}".rstrip("/")
        self.projects = Projects(Path(self.root))
        self._lock = threading.Lock()
        self._hooks = threading.Lock()
        self._at_once = 0
        self._server: Server | None = None

    def __enter__(self) -> Self:
        """Start to answer.

        Raises:
            SameIdError: Two projects or two repositories have the same id.
        """
        self.projects.repositories(*self.projects.all())
        self.stopping.clear()
        self._server = Server(self)
        self.port = self._server.server_port
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop at once, whatever is under way."""
        self.stopping.set()
        if self._server:
            self._server.stop()

    @property
    def url(self) -> str:
        """What users open in the browser."""
        scheme = "https" if self.ssl_context else "http"
        return f"{scheme}://{HOST}:{self.port}{self.context_path}"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version, to compare it."""
        return tuple(int(number) for number in self.version.split("."))

    def accounts(self) -> tuple[User, ...]:
        """Return all accounts."""
        return (*self.users, *self.projects.users())

    def login(self) -> Login:
        """Return what credentials are worth now."""
        return Login(
            users=self.accounts(),
            tokens=self.tokens,
            passwords=self.passwords,
            public_access=self.public_access,
            basic_auth=self.basic_auth,
            captcha=self.captcha,
            login_url=f"{self.url}/login",
        )

    def arrived(self, request: Request) -> None:
        """Note a request, then let happen what is to happen before its answer."""
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        with self._hooks:
            for hook in list(self.on_request):
                hook(request)
        self.stopping.wait(self.latency)

    def answered(self, request: Request, status: int | None) -> None:
        """Note that a request is about to be answered."""
        if request.finished is None:
            with self._lock:
                self._at_once -= 1
            request.status = status
            request.finished = time.monotonic()

    def fault(self, request: Request) -> Fault | None:
        """Return what goes wrong with a request, and count it."""
        with self._lock:
            for i, fault in enumerate(self.faults):
                if fault.matches(request):
                    left = None if fault.times is None else fault.times - 1
                    self.faults[i : i + 1] = (
                        [] if left == 0 else [dataclasses.replace(fault, times=left)]
                    )
                    return fault
        return None
