"""The settings: descriptions, defaults, and the checks that JSON Schema cannot express.

README.md, meltano.yml and .github/meltano/ repeat the descriptions; tests compare them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_bitbucket_dc.bitbucket.dates import milliseconds
from tap_bitbucket_dc.bitbucket.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT, FLAG, NAMES = th.StringType(), th.BooleanType(), th.ArrayType(th.StringType)
POSITIVE = th.NumberType(exclusive_minimum=0)
BATCH = th.ObjectType(
    th.Property(
        "encoding",
        th.ObjectType(
            th.Property("format", TEXT, allowed_values=["jsonl"]),
            th.Property("compression", TEXT, allowed_values=["none", "gzip"]),
        ),
    ),
    th.Property("storage", th.ObjectType(th.Property("root", TEXT), th.Property("prefix", TEXT))),
)


def _schema(settings: Mapping[th.Property[Any], str]) -> dict[str, Any]:
    """Return the JSON Schema of settings with these descriptions."""
    for setting, description in settings.items():
        setting.description = description
    return th.PropertiesList(*settings).to_dict()


SETTINGS = _schema(
    {
        th.Property("base_url", TEXT, title="Base URL", required=True): (
            "URL at which users open Bitbucket in the browser, context path included, such as "
            "https://bitbucket.example.com or https://example.com/bitbucket."
        ),
        th.Property("token", TEXT, title="HTTP access token", secret=True): (
            "HTTP access token of a user, a project or a repository with read permission. Either "
            "this, or username and password."
        ),
        th.Property("username", TEXT, title="User name"): (
            "Login for Basic authentication, if no token is available."
        ),
        th.Property("password", TEXT, title="Password", secret=True): (
            "Password for Basic authentication."
        ),
        th.Property("projects", NAMES, title="Projects"): (
            "Keys or globs of the projects to read, ~user for a personal one; case does not "
            "matter. All if not set. A key that matches nothing is an error."
        ),
        th.Property("exclude_projects", NAMES, title="Excluded projects"): (
            "Keys or globs of projects to skip."
        ),
        th.Property("repositories", NAMES, title="Repositories"): (
            "Repositories to read, as KEY/slug or globs such as PAY/*. All if not set. A "
            "pattern without a wildcard that matches nothing is an error."
        ),
        th.Property("exclude_repositories", NAMES, title="Excluded repositories"): (
            "Repositories to skip, as KEY/slug or globs."
        ),
        th.Property("personal_projects", FLAG, title="Personal projects", default=False): (
            "Whether to read all personal projects, not only those named with ~ in a pattern."
        ),
        th.Property("forks", FLAG, title="Forks", default=True): "Whether to read forks.",
        th.Property("archived", FLAG, title="Archived repositories", default=True): (
            "Whether to read archived repositories."
        ),
        th.Property("start_date", th.DateTimeType(), title="Start date"): (
            "Commits with an older committer date are not emitted. To load older commits later, "
            "clear the state."
        ),
        th.Property("shard_count", th.IntegerType(minimum=1), title="Shards", default=1): (
            "Number of runs that share the work, each with its own shard_index and its own state. "
            "Each repository is read by exactly one of them."
        ),
        th.Property("shard_index", th.IntegerType(minimum=0), title="Shard", default=0): (
            "Index of this run, from 0 to shard_count - 1."
        ),
        th.Property(
            "concurrency", th.IntegerType(minimum=1, maximum=32), title="Concurrency", default=8
        ): "Maximum number of requests at once, 1 to 32.",
        th.Property("requests_per_second", POSITIVE, title="Requests per second"): (
            "The tap's own rate limit, in addition to the server's. Unlimited if not set."
        ),
        th.Property(
            "page_size", th.IntegerType(minimum=1, maximum=100000), title="Page size", default=1000
        ): "Rows to request per page. The server's own limit takes precedence.",
        th.Property("request_timeout", POSITIVE, title="Request time-out", default=60): (
            "Seconds within which a response must be complete; after that the request is retried."
        ),
        th.Property(
            "max_retries", th.IntegerType(minimum=0, maximum=100), title="Retries", default=5
        ): "How many times a request is retried after 429, 5xx or no response.",
        th.Property("max_wait", th.NumberType(minimum=0), title="Longest wait", default=300): (
            "Longest single wait, in seconds, that the tap accepts from Retry-After."
        ),
        th.Property("ca_bundle", TEXT, title="CA bundle"): (
            "PEM file with the CA certificates to trust, for this tap only. If not set, those in "
            "REQUESTS_CA_BUNDLE are trusted or, without that variable, those of the system and of "
            "Python's certifi."
        ),
        th.Property("client_certificate", TEXT, title="Client certificate"): (
            "PEM file with the client certificate, with or without its key."
        ),
        th.Property("client_key", TEXT, title="Client key"): (
            "PEM file with the key of the client certificate."
        ),
        th.Property("verify_tls", FLAG, title="Verify TLS", default=True): (
            "Whether to check the server's certificate. Keep it on."
        ),
        th.Property("batch_config", BATCH, title="BATCH"): (
            "Write files and BATCH messages instead of RECORD messages: encoding (format: jsonl; "
            "compression: none or gzip) and storage (root: a directory or URL; prefix)."
        ),
        th.Property("allow_http", FLAG, title="Allow http://", default=False): (
            "Whether to accept http:// to a host other than the local machine. The token or "
            "password is then sent unencrypted."
        ),
    }
)


def require_one_login(config: Mapping[str, Any]) -> None:
    """Raise a ConfigError unless the settings contain exactly one login, which can be sent."""
    token, username, password = (
        config.get(name) or "" for name in ("token", "username", "password")
    )
    if bool(token) == bool(username or password):
        raise ConfigError("Set either `token`, or `username` and `password`.")
    if not token and not (username and password):
        raise ConfigError("Set both `username` and `password`.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        what = "`token` contains characters that tokens never contain, such as white space."
        raise ConfigError(what)
    if ":" in username:
        raise ConfigError("`username` contains a colon, which Basic authentication cannot send.")


def start_date(config: Mapping[str, Any]) -> int | None:
    """Return the setting in milliseconds since 1970, None if it is not set.

    Raises:
        ConfigError: It is not a date.
    """
    text = config.get("start_date")
    try:
        return milliseconds(text) if text else None
    except ValueError:
        what = (
            f"`start_date`: {text!r} is not a date. Expected a date such as 2024-01-31T00:00:00Z."
        )
        raise ConfigError(what) from None


def without_secret(error: str) -> str:
    """Return a message about a setting without its value, if the setting is secret."""
    for name, setting in SETTINGS["properties"].items():
        if setting.get("secret") and f"config[{name!r}]" in error:
            return f"`{name}` is not a string"
    return error
