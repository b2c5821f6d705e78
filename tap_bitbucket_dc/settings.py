"""The settings, their defaults and their words; README and meltano.yml repeat them."""

from __future__ import annotations

from singer_sdk import typing as th

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
        description="Login for Basic authentication, where no token can be had.",
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
        title="Projects left out",
        description="Keys or globs of projects not to read.",
    ),
    th.Property(
        "repositories",
        _NAMES,
        title="Repositories",
        description=(
            "KEY/slug or globs such as PAY/* of the repositories to read. All if not "
            "set. One without a wildcard that matches nothing is an error."
        ),
    ),
    th.Property(
        "exclude_repositories",
        _NAMES,
        title="Repositories left out",
        description="KEY/slug or globs of repositories not to read.",
    ),
    th.Property(
        "personal_projects",
        th.BooleanType,
        default=False,
        title="Personal projects",
        description="Whether personal projects are read that no pattern names by ~.",
    ),
    th.Property(
        "forks",
        th.BooleanType,
        default=True,
        title="Forks",
        description="Whether forks are read.",
    ),
    th.Property(
        "archived",
        th.BooleanType,
        default=True,
        title="Archived repositories",
        description="Whether archived repositories are read.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description=(
            "No commit whose committer date is older is emitted. To reach further "
            "back later, clear the state."
        ),
    ),
    th.Property(
        "shard_count",
        th.IntegerType(minimum=1),
        default=1,
        title="Shards",
        description=(
            "Number of runs that share the work, each with a shard_index and a state of "
            "its own. Each repository is read by one of them."
        ),
    ),
    th.Property(
        "shard_index",
        th.IntegerType(minimum=0),
        default=0,
        title="Shard",
        description="Which of these runs this one is: 0 to shard_count - 1.",
    ),
    th.Property(
        "concurrency",
        th.IntegerType(minimum=1, maximum=32),
        default=8,
        title="Concurrency",
        description="Requests under way at once, 1 to 32.",
    ),
    th.Property(
        "requests_per_second",
        th.NumberType(exclusive_minimum=0),
        title="Requests per second",
        description="Own speed limit, beside the server's. None if not set.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=1, maximum=100000),
        default=1000,
        title="Page size",
        description="Rows asked for in one request. The server's own cap wins.",
    ),
    th.Property(
        "request_timeout",
        th.NumberType(exclusive_minimum=0),
        default=60,
        title="Request time-out",
        description=(
            "Seconds without an answer, and again until the answer is complete, after "
            "which a request is tried again."
        ),
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0, maximum=100),
        default=5,
        title="Retries",
        description="How often a request is tried again after 429, 5xx or no answer.",
    ),
    th.Property(
        "max_wait",
        th.NumberType(minimum=0),
        default=300,
        title="Longest wait",
        description="Longest single wait in seconds that Retry-After may ask for.",
    ),
    th.Property(
        "ca_bundle",
        th.StringType,
        title="CA bundle",
        description=(
            "File (PEM) with the CA certificates to trust, for this tap only. Else "
            "REQUESTS_CA_BUNDLE, else those of the system and of Python's certifi."
        ),
    ),
    th.Property(
        "client_certificate",
        th.StringType,
        title="Client certificate",
        description="File (PEM) with the client certificate, with its key or without.",
    ),
    th.Property(
        "client_key",
        th.StringType,
        title="Client key",
        description="File (PEM) with the key of the client certificate.",
    ),
    th.Property(
        "verify_tls",
        th.BooleanType,
        default=True,
        title="Verify TLS",
        description="Whether the server's certificate is checked. Keep it on.",
    ),
    th.Property(
        "allow_http",
        th.BooleanType,
        default=False,
        title="Allow http://",
        description=(
            "Whether http:// to another host than this one is accepted. It puts the "
            "token or password on the wire."
        ),
    ),
).to_dict()
