"""Where the server is and how to reach it: base URL, login, TLS, proxies, and what can go wrong.

Settings apply to the requests of one client, never to the whole process.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy

from tap_bitbucket_dc import redaction
from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.bitbucket.deadline import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_bitbucket_dc.bitbucket.options import Options

logger = logging.getLogger("tap-bitbucket-dc")

TRUST = (
    "Set `ca_bundle` to a file with your company's CA certificates. A certificate that is expired, "
    "or for another host, has to be replaced by the server's administrator."
)
CHECK_TLS = "Check that the port speaks TLS, and whether it requires a `client_certificate`."

_REST = re.compile(r"/+(rest(/+api(/+(1\.0|latest))?)?)?/*$")
_NO_URL = re.compile(r"[\s\x00-\x1f\x7f\\<>\"]")
_ADDRESS = re.compile(r"<[^<>]{0,200} object at 0x[0-9a-f]{1,16}>:? ?")


class _Adapter(HTTPAdapter):
    """Sends requests, directly or through a proxy, with one TLS context for all."""

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 as requests has it
        super().init_poolmanager(*args, **options, ssl_context=self._context)
        watched(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 as requests has it
        return watched(super().proxy_manager_for(proxy, **options, ssl_context=self._context))


class Connection:
    """Where requests go, and which login, certificates and proxies they use."""

    def __init__(self, options: Options) -> None:
        """Check the options and read the files that they name, or raise a ConfigError."""
        files = (options.ca_bundle, options.client_certificate, options.client_key)
        redaction.hide(options.token, *(file for file in files if file and is_pem(file)))
        if options.password:
            redaction.hide_login(options.username or "", options.password)
        self.base_url = base_url(options.base_url)
        is_plain = urlsplit(self.base_url).scheme == "http"
        # The environment's proxies (NO_PROXY applied to this host) and REQUESTS_CA_BUNDLE:
        # a session would look them up for every request.
        found = requests.Session().merge_environment_settings(self.base_url, {}, None, None, None)
        for address in found["proxies"].values():
            redaction.hide_url(address)
        proxy = select_proxy(self.base_url, found["proxies"])
        if is_plain and (proxy or not _is_loopback(self.base_url)):
            _require_permission(self.base_url, granted=options.allow_http)
        trusted = options.ca_bundle or found["verify"]
        context = _context(trusted)
        _load_client_certificate(context, options)
        # requests looks for a CA file at each request, even if it is not needed.
        verify = True if is_plain else trusted
        if not options.verify_tls:
            logger.warning(
                "verify_tls is off: anyone who can intercept the connection to %s can read the "
                "credentials. Set `ca_bundle` instead",
                self.base_url,
            )
            context.check_hostname = verify = False
        self.send_options: dict[str, Any] = {"proxies": found["proxies"], "verify": verify}
        """Keyword arguments ``proxies`` and ``verify`` of an adapter's ``send``."""
        self.adapter = _Adapter(context, options.concurrency)
        self.authorization = _authorization(options)


def _authorization(options: Options) -> str:
    if options.token:
        return f"Bearer {options.token}"
    if options.username is None or options.password is None:
        raise errors.ConfigError("Set either `token`, or `username` and `password`.")
    return f"Basic {redaction.basic(options.username, options.password)}"


def is_pem(setting: str) -> bool:
    """Return whether a setting is the text of a key or certificate, not the path of a file."""
    return "-----BEGIN" in setting or "\n" in setting.strip()


def base_url(setting: str) -> str:
    """Return the base URL without a trailing ``/``, ``/rest`` or ``/rest/api/…``.

    Raise a ConfigError if it is not an http(s) URL, or has a user name, a query or a fragment.
    """
    setting = setting.strip()
    try:
        url = urlsplit(setting)
        host, _ = url.hostname, url.port
    except ValueError:
        url, host = SplitResult("", "", "", "", ""), None
    known = url.scheme in {"http", "https"} and host and not _NO_URL.search(setting)
    if not known or url.query or url.fragment:
        msg = "`base_url` is not a URL such as https://bitbucket.example.com/context."
        raise errors.ConfigError(msg)
    if "@" in url.netloc:
        msg = "`base_url` contains a user name."
        remedy = "Remove it; set `token`, or `username` and `password`."
        raise errors.ConfigError(msg, code="insecure_url", remedy=remedy)
    path = quote(_REST.sub("", url.path), safe="/%~:@!$&'()*+,;=")
    return f"{url.scheme}://{url.netloc.lower()}{path}"  # hosts in redirects are in lower case


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", socket.gethostname().lower()}


def _require_permission(url: str, *, granted: bool) -> None:
    if not granted:
        msg = f"With {url}, the credentials would be sent over the network unencrypted."
        remedy = "Use https://, or set `allow_http` to accept it."
        raise errors.ConfigError(msg, code="insecure_url", remedy=remedy)
    logger.warning("allow_http is on: the credentials are sent to %s unencrypted", url)


def _context(trusted: object) -> ssl.SSLContext:
    """Return a TLS context that trusts a CA file or directory, or what the system trusts.

    requests adds certifi's certificates to those of the system.
    """
    if isinstance(trusted, str):
        unusable = "it contains no PEM certificate"
        with _readable("`ca_bundle` (or `REQUESTS_CA_BUNDLE`)", unusable, trusted):
            file, folder = (None, trusted) if Path(trusted).is_dir() else (trusted, None)
            context = ssl.create_default_context(cafile=file, capath=folder)
    else:
        context = ssl.create_default_context()
    # As urllib3 sets them, and the standard library does not: only subject alternative names
    # count, and with TLS 1.3 a server may ask for a client certificate after the handshake.
    context.hostname_checks_common_name = False
    context.post_handshake_auth = True
    return context


def _load_client_certificate(context: ssl.SSLContext, options: Options) -> None:
    certificate, key = options.client_certificate, options.client_key
    if key and not certificate:
        raise errors.ConfigError("`client_key` is set, but not `client_certificate`.")
    if certificate:
        unusable = "not a PEM file, or its key has a passphrase or belongs to another certificate"
        paths = [certificate, key] if key else [certificate]
        with _readable("`client_certificate`", unusable, *paths):
            # A key with a passphrase fails; without `password`, OpenSSL would ask on the terminal.
            context.load_cert_chain(certificate, key or None, password=lambda: "")


@contextlib.contextmanager
def _readable(setting: str, unusable: str, *paths: str) -> Iterator[None]:
    """Turn errors with the files of a setting into ConfigError.

    Args:
        unusable: What the error says if OpenSSL does not accept the files.
    """
    if any(is_pem(path) for path in paths):
        raise errors.ConfigError(f"{setting} is the text of a key or certificate, not a path.")
    try:
        for path in paths:
            Path(path).stat()
        yield
    except (OSError, ValueError) as error:
        why = str(error)
        if isinstance(error, ssl.SSLError):
            why = f"{unusable} ({error.reason})" if error.reason else unusable
        elif isinstance(error, OSError):
            why = error.strerror or why
        msg = f"{setting}: {' with '.join(paths)} cannot be used: {why}."
        raise errors.ConfigError(msg) from None


def trouble(url: str, error: Exception) -> errors.BitbucketError:
    """Return the error for an exception of requests or urllib3."""
    causes = _causes(error)
    # The messages of urllib3 contain addresses of objects in memory.
    words = _ADDRESS.sub("", str(causes[-1])).rstrip(".")
    if _has(causes, ssl.SSLCertVerificationError):
        what = f"The certificate of {url} is not trusted: {words}."
        return errors.FatalError(what, code="tls_error", remedy=TRUST, url=url)
    what = f"{url}: {type(causes[-1]).__name__}: {words}."
    if _has(causes, ssl.SSLError):
        what = f"Could not establish a TLS connection to {what}"
        return errors.UnavailableError(what, code="tls_error", remedy=CHECK_TLS, url=url)
    if _has(causes, requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError):
        return errors.UnavailableError(f"No complete response from {what}", url=url)
    what, remedy = f"Could not connect to {what}", errors.CHECK_NETWORK
    return errors.UnavailableError(what, code="unreachable", remedy=remedy, url=url)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and its causes, innermost last."""
    found: list[BaseException] = []
    rest = [error]
    while rest:
        current = rest.pop(0)
        if current in found:
            continue
        found.append(current)
        before = None if current.__suppress_context__ else current.__context__
        behind = [current.__cause__, before, *current.args, getattr(current, "reason", None)]
        rest += [cause for cause in behind if isinstance(cause, BaseException)]
    return found


def _has(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)
