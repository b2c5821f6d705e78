"""Where the server is and how to reach it: base URL, TLS, proxies, and what fails.

Nothing here is process-wide: it holds for this tap's requests only.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3.exceptions

from tap_bitbucket_dc import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

_REST = re.compile(r"/+(rest(/+api(/+(1\.0|latest))?)?)?/*$")
_TIMEOUTS = (
    requests.ReadTimeout,
    urllib3.exceptions.ReadTimeoutError,
    TimeoutError,
)


class Connection:
    """The part of the settings that says where the server is and whom to trust."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Check the settings.

        Raises:
            ConfigError: ``invalid_config`` or ``insecure_url``.
        """
        self.base_url = base_url(config["base_url"])
        if urlsplit(self.base_url).scheme == "http" and not config["allow_http"]:
            _require_loopback(self.base_url)
        self.options = self._options(config)
        """Keyword arguments ``proxies``, ``verify``, ``cert`` of each request."""

    def _options(self, config: Mapping[str, Any]) -> dict[str, Any]:
        # What a session would find out anew for every request: the environment's
        # proxies (NO_PROXY applied to this host) and REQUESTS_CA_BUNDLE.
        found = requests.Session().merge_environment_settings(self.base_url, {}, None, None, None)
        options: dict[str, Any] = {
            "proxies": found["proxies"],
            "verify": found["verify"],
            "cert": None,
        }
        if not config["verify_tls"]:
            options["verify"] = False
        elif bundle := config.get("ca_bundle"):
            options["verify"] = _file("ca_bundle", bundle)
        certificate, key = config.get("client_certificate"), config.get("client_key")
        if key and not certificate:
            msg = "`client_key` is set, but not `client_certificate`."
            raise errors.ConfigError(msg)
        if certificate:
            pair = (_file("client_certificate", certificate),)
            options["cert"] = (*pair, _file("client_key", key)) if key else pair[0]
        return options

    def trouble(self, url: str, error: Exception) -> errors.BitbucketError:
        """Return what an exception of requests or urllib3 means to a user."""
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return self._untrusted(url, causes)
        what = f"{url}: {type(causes[-1]).__name__}: {_words(causes[-1])}."
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return errors.UnavailableError(
                f"No TLS connection to {what}",
                code="tls_error",
                remedy="Check that the port speaks TLS and wants no certificate.",
            )
        if any(isinstance(cause, _TIMEOUTS) for cause in causes):
            return errors.UnavailableError(f"No complete answer of {what}")
        return errors.UnavailableError(
            f"No connection for {what}",
            code="unreachable",
            remedy="Check `base_url`, network, proxy (HTTPS_PROXY) and firewall.",
        )

    def _untrusted(self, url: str, causes: list[BaseException]) -> errors.FatalError:
        what = f"The certificate of {url} is not trusted: {_words(causes[-1])}."
        remedy = "Set `ca_bundle` to a file with your company's CA certificates."
        return errors.FatalError(what, code="tls_error", remedy=remedy)


def base_url(setting: str) -> str:
    """Return the base URL without a trailing ``/``, ``/rest`` or ``/rest/api/…``.

    Raises:
        ConfigError: It is no http(s) URL, or has a user name, a query or a fragment.
    """
    try:
        url = urlsplit(setting.strip())
        host, _ = url.hostname, url.port
    except ValueError:
        url, host = SplitResult("", "", "", "", ""), None
    if url.scheme not in {"http", "https"} or not host or url.query or url.fragment:
        msg = "`base_url` is no URL such as https://bitbucket.example.com/context."
        raise errors.ConfigError(msg)
    if "@" in url.netloc:
        msg = "`base_url` has a user name in it."
        remedy = "Remove it; set `token`, or `username` and `password`."
        raise errors.ConfigError(msg, code="insecure_url", remedy=remedy)
    return f"{url.scheme}://{url.netloc}{_REST.sub('', url.path)}"


def _require_loopback(url: str) -> None:
    host = urlsplit(url).hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host in {"localhost", socket.gethostname().lower()}
    if not loopback:
        msg = f"{url} would send the login over the network unencrypted."
        remedy = "Use https://, or set `allow_http` to accept it."
        raise errors.ConfigError(msg, code="insecure_url", remedy=remedy)


def _file(setting: str, path: str) -> str:
    if not Path(path).exists():
        msg = f"`{setting}`: there is no file {path}."
        raise errors.ConfigError(msg)
    return path


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
    # str(error) of urllib3 names pools and addresses of objects in memory.
    text = re.sub(r"<[^>]* object at 0x[0-9a-f]+>:? ?", "", str(error))
    return re.sub(r"//[^/@\s]*@", "//", text).rstrip(".")
