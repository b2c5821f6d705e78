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

_NAMES = th.ArrayType(th.StringType)

SETTINGS = th.PropertiesList(
    th.Property(
        "base_url",
        th.StringType,
        required=True,
        title="Base URL",
        description=(
            "What users open in the browser to see Bitbucket, context path included, "
            "such as https://bitbucket.example.com or https://example.com/bitbucket."
        ),
    ),
    th.Property(
        "token",
        th.StringType,
        secret=True,
        title="HTTP access token",
        description=(
            "HTTP access token of a user, a project or a repository with read "
            "permission. Either this, or username and password."
        ),
    ),
    th.Property(
        "username",
        th.StringType,
        title="User name",
        description="Login for Basic authentication, if no token is available.",
    ),
    th.Property(
        "password",
        th.StringType,
        secret=True,
        title="Password",
        description="Password for Basic authentication.",
    ),
    th.Property(
        "projects",
        _NAMES,
        title="Projects",
        description=(
            "Keys or globs of the projects to read, ~user for a personal one; case "
            "does not matter. All if not set. A key that matches nothing is an error."
        ),
    ),
    th.Property(
        "exclude_projects",
        _NAMES,
        title="Excluded projects",
        description="Keys or globs of projects to skip.",
    ),
    th.Property(
        "repositories",
        _NAMES,
        title="Repositories",
        description=(
            "KEY/slug or globs such as PAY/* of the repositories to read. All if not set. A "
            "pattern without a wildcard that matches nothing is an error."
        ),
    ),
    th.Property(
        "exclude_repositories",
        _NAMES,
        title="Excluded repositories",
        description="KEY/slug or globs of repositories to skip.",
    ),
    th.Property(
        "personal_projects",
        th.BooleanType,
        default=False,
        title="Personal projects",
        description="Whether to read personal projects that no pattern names with ~.",
    ),
    th.Property(
        "forks",
        th.BooleanType,
        default=True,
        title="Forks",
        description="Whether to read forks.",
    ),
    th.Property(
        "archived",
        th.BooleanType,
        default=True,
        title="Archived repositories",
        description="Whether to read archived repositories.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description=(
            "Commits with an older committer date are not emitted. To load older commits later, "
            "clear the state."
        ),
    ),
    th.Property(
        "shard_count",
        th.IntegerType(minimum=1),
        default=1,
        title="Shards",
        description=(
            "Number of runs that share the work, each with its own shard_index and its own "
            "state. Each repository is read by exactly one of them."
        ),
    ),
    th.Property(
        "shard_index",
        th.IntegerType(minimum=0),
        default=0,
        title="Shard",
        description="Number of this run among them: 0 to shard_count - 1.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType(minimum=1, maximum=32),
        default=8,
        title="Concurrency",
        description="Maximum number of requests at once, 1 to 32.",
    ),
    th.Property(
        "requests_per_second",
        th.NumberType(exclusive_minimum=0),
        title="Requests per second",
        description="The tap's own rate limit, in addition to the server's. Unlimited if not set.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=100000),
        default=1000,
        title="Page size",
        description="Rows to request per page. The server's own limit takes precedence.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0),
        default=60,
        title="Request time-out",
        description=(
            "Seconds within which an answer must be complete; after that the request is retried."
        ),
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0, maximum=100),
        default=5,
        title="Retries",
        description="How often a request is retried after 429, 5xx or no answer.",
    ),
    th.Property(
        "max_wait",
        th.NumberType(minimum=0),
        default=300,
        title="Longest wait",
        description="Longest single wait, in seconds, that the tap accepts from Retry-After.",
    ),
    th.Property(
        "ca_bundle",
        th.StringType,
        title="CA bundle",
        description=(
            "PEM file with the CA certificates to trust, for this tap only. If not set, "
            "REQUESTS_CA_BUNDLE applies, else the certificates of the system and of Python's "
            "certifi."
        ),
    ),
    th.Property(
        "client_certificate",
        th.StringType,
        title="Client certificate",
        description="PEM file with the client certificate, with or without its key.",
    ),
    th.Property(
        "client_key",
        th.StringType,
        title="Client key",
        description="PEM file with the key of the client certificate.",
    ),
    th.Property(
        "verify_tls",
        th.BooleanType,
        default=True,
        title="Verify TLS",
        description="Whether to check the server's certificate. Keep it on.",
    ),
    th.Property(
        "batch_config",
        th.ObjectType(
            th.Property(
                "encoding",
                th.ObjectType(
                    th.Property("format", th.StringType, allowed_values=["jsonl"]),
                    th.Property("compression", th.StringType, allowed_values=["none", "gzip"]),
                ),
            ),
            th.Property(
                "storage",
                th.ObjectType(
                    th.Property("root", th.StringType), th.Property("prefix", th.StringType)
                ),
            ),
        ),
        title="BATCH",
        description=(
            "Write files and BATCH messages instead of RECORD messages: encoding (format jsonl; "
            "compression none or gzip) and storage (root, a directory or URL; prefix)."
        ),
    ),
    th.Property(
        "allow_http",
        th.BooleanType,
        default=False,
        title="Allow http://",
        description=(
            "Whether to accept http:// to a host other than this one. The token or password is "
            "then sent unencrypted."
        ),
    ),
).to_dict()


def require_one_login(config: Mapping[str, Any]) -> None:
    """Check that the settings hold exactly one login, in a form that can be sent.

    Raises:
        ConfigError: They do not.
    """
    token, username, password = (
        config.get(name) or "" for name in ("token", "username", "password")
    )
    if bool(token) == bool(username or password):
        msg = "Set either `token`, or `username` and `password`."
        raise ConfigError(msg)
    if not token and not (username and password):
        msg = "Set both `username` and `password`."
        raise ConfigError(msg)
    if not (token.isascii() and token.isprintable() and " " not in token):
        msg = "`token` contains characters that no token has, such as white space."
        raise ConfigError(msg)
    if ":" in username:
        msg = "`username` has a colon, which Basic authentication cannot send."
        raise ConfigError(msg)


def start_date(config: Mapping[str, Any]) -> int | None:
    """Return the setting in milliseconds since 1970, None if it is not set.

    Raises:
        ConfigError: It is not a date.
    """
    text = config.get("start_date")
    if not text:
        return None
    try:
        return milliseconds(text)
    except ValueError:
        msg = f"`start_date`: {text!r} is not a date, such as 2024-01-31T00:00:00Z."
        raise ConfigError(msg) from None


def without_secret(error: str) -> str:
    """Return a message about a setting without its value, if the setting is secret."""
    for name, setting in SETTINGS["properties"].items():
        if setting.get("secret") and f"config[{name!r}]" in error:
            return f"`{name}` is not a string"
    return error
