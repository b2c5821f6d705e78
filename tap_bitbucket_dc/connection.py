"""Where the server is and how to reach it: base URL, TLS, proxies, and what fails.

Nothing here is process-wide: it holds for this tap's requests only.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import socket
import ssl
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from tap_bitbucket_dc import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

logger = logging.getLogger("tap-bitbucket-dc")

CHECK_NETWORK = "Check `base_url`, network, proxy (HTTPS_PROXY) and firewall."
CHECK_TLS = "Check that the port speaks TLS, and whether it wants a `client_certificate`."

_REST = re.compile(r"/+(rest(/+api(/+(1\.0|latest))?)?)?/*$")
_NO_URL = re.compile(r"[\s\x00-\x1f\x7f\\<>\"]")
_USER_INFO = re.compile(r"//\S*@")
_TIMEOUTS = (
    requests.ReadTimeout,
    urllib3.exceptions.ReadTimeoutError,
    TimeoutError,
)


class Adapter(HTTPAdapter):
    """Sends requests, straight or by a proxy, with one TLS context for all."""

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        """Take the context, and how many connections to keep open."""
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 as requests has it
        """Make the pool of connections."""
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 as requests has it
        """Return the pool of connections of a proxy."""
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)


class Connection:
    """The part of the settings that says where the server is and whom to trust."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Check the settings, and read the files that they name.

        Raises:
            ConfigError: ``invalid_config`` or ``insecure_url``.
        """
        self.base_url = base_url(config["base_url"])
        is_plain = urlsplit(self.base_url).scheme == "http"
        if is_plain and not _is_loopback(self.base_url):
            _require_permission(self.base_url, granted=config["allow_http"])
        # What a session would find out anew for every request: the environment's
        # proxies (NO_PROXY applied to this host) and REQUESTS_CA_BUNDLE.
        found = requests.Session().merge_environment_settings(self.base_url, {}, None, None, None)
        trusted = config.get("ca_bundle") or found["verify"]
        self._context = _context(trusted)
        _load_client_certificate(self._context, config)
        # requests looks for a CA file at each request, without TLS in vain.
        verify = True if is_plain else trusted
        self.options: dict[str, Any] = {"proxies": found["proxies"], "verify": verify}
        """Keyword arguments ``proxies`` and ``verify`` of each request."""
        if not config["verify_tls"]:
            self._trust_anyone()

    def adapter(self, connections: int) -> Adapter:
        """Return what sends requests, and keeps so many connections open."""
        return Adapter(self._context, connections)

    def _trust_anyone(self) -> None:
        logger.warning(
            "verify_tls is off: whoever answers in place of %s can read the login. "
            "Set ca_bundle instead",
            self.base_url,
        )
        host = re.escape(urlsplit(self.base_url).hostname or "")
        # urllib3 warns of each connection; of this host we have just done so.
        warnings.filterwarnings(
            "ignore",
            f"Unverified HTTPS request is being made to host '{host}'",
            urllib3.exceptions.InsecureRequestWarning,
        )
        self._context.check_hostname = False
        self.options["verify"] = False


def base_url(setting: str) -> str:
    """Return the base URL without a trailing ``/``, ``/rest`` or ``/rest/api/…``.

    Raises:
        ConfigError: It is no http(s) URL, or has a user name, a query or a fragment.
    """
    setting = setting.strip()
    try:
        url = urlsplit(setting)
        host, _ = url.hostname, url.port
    except ValueError:
        url, host = SplitResult("", "", "", "", ""), None
    known = url.scheme in {"http", "https"} and host and not _NO_URL.search(setting)
    if not known or url.query or url.fragment:
        msg = "`base_url` is no URL such as https://bitbucket.example.com/context."
        raise errors.ConfigError(msg)
    if "@" in url.netloc:
        msg = "`base_url` has a user name in it."
        remedy = "Remove it; set `token`, or `username` and `password`."
        raise errors.ConfigError(msg, code="insecure_url", remedy=remedy)
    path = quote(_REST.sub("", url.path), safe="/%~:@!$&'()*+,;=")
    return f"{url.scheme}://{url.netloc.lower()}{path}"  # as a redirect has it


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", socket.gethostname().lower()}


def _require_permission(url: str, *, granted: bool) -> None:
    if not granted:
        msg = f"{url} would send the login over the network unencrypted."
        remedy = "Use https://, or set `allow_http` to accept it."
        raise errors.ConfigError(msg, code="insecure_url", remedy=remedy)
    logger.warning("allow_http is on: the login goes to %s unencrypted", url)


def _context(trusted: object) -> ssl.SSLContext:
    """Return the TLS context: trusts a CA file or directory, or what the system trusts.

    requests adds certifi's certificates to those of the system.
    """
    context = create_urllib3_context()
    if not isinstance(trusted, str):
        context.load_default_certs()
        return context
    with _readable("ca_bundle (or REQUESTS_CA_BUNDLE)", trusted):
        if Path(trusted).is_dir():
            context.load_verify_locations(capath=trusted)
        else:
            context.load_verify_locations(trusted)
    return context


def _load_client_certificate(context: ssl.SSLContext, config: Mapping[str, Any]) -> None:
    certificate, key = config.get("client_certificate"), config.get("client_key")
    if key and not certificate:
        msg = "`client_key` is set, but not `client_certificate`."
        raise errors.ConfigError(msg)
    if certificate:
        with _readable("client_certificate", certificate, *([key] if key else [])):
            # A key with a passphrase fails; without one given, OpenSSL asks the terminal.
            context.load_cert_chain(certificate, key or None, password=lambda: "")


@contextlib.contextmanager
def _readable(setting: str, *paths: str) -> Iterator[None]:
    """Raise ConfigError for what goes wrong with the files of a setting."""
    try:
        for path in paths:
            Path(path).stat()
        yield
    except (OSError, ValueError) as error:
        kind = "no PEM file without passphrase, or does not fit"
        why = f"is {kind} ({error.reason})" if isinstance(error, ssl.SSLError) else f"({error})"
        msg = f"`{setting}`: {' with '.join(paths)} cannot be used: {why}."
        raise errors.ConfigError(msg) from None


def trouble(url: str, error: Exception) -> errors.BitbucketError:
    """Return what an exception of requests or urllib3 means to a user."""
    causes = _causes(error)
    kinds = [type(cause) for cause in causes]
    if any(issubclass(kind, ssl.SSLCertVerificationError) for kind in kinds):
        return _untrusted(url, causes)
    what = f"{url}: {kinds[-1].__name__}: {_words(causes[-1])}."
    if any(issubclass(kind, ssl.SSLError) for kind in kinds):
        return errors.UnavailableError(
            f"No TLS connection to {what}", code="tls_error", remedy=CHECK_TLS
        )
    if any(issubclass(kind, _TIMEOUTS) for kind in kinds):
        return errors.UnavailableError(f"No complete answer of {what}")
    return errors.UnavailableError(
        f"No connection for {what}", code="unreachable", remedy=CHECK_NETWORK
    )


def _untrusted(url: str, causes: list[BaseException]) -> errors.FatalError:
    what = f"The certificate of {url} is not trusted: {_words(causes[-1])}."
    remedy = "Set `ca_bundle` to a file with your company's CA certificates."
    return errors.FatalError(what, code="tls_error", remedy=remedy)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what is behind it, innermost last."""
    found: list[BaseException] = []
    rest = [error]
    while rest:
        current = rest.pop(0)
        if current in found:
            continue
        found.append(current)
        behind = [current.__cause__, current.__context__, *current.args]
        behind.append(getattr(current, "reason", None))
        rest += [cause for cause in behind if isinstance(cause, BaseException)]
    return found


def _words(error: BaseException) -> str:
    # str(error) of urllib3 names pools and addresses of objects in memory, and may
    # quote the URL of a proxy with its password.
    text = re.sub(r"<[^>]* object at 0x[0-9a-f]+>:? ?", "", str(error))
    return _USER_INFO.sub("//", text).rstrip(".")
