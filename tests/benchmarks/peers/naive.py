"""A tap as singer-sdk's template and tutorials make it, with the same four streams.

``python -m tests.benchmarks.peers.naive --config config.json``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import RESTStream, Stream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

KEYS = (th.Property("project_key", th.StringType), th.Property("repository_slug", th.StringType))
PERSON = th.ObjectType(
    th.Property("name", th.StringType),
    th.Property("displayName", th.StringType),
    th.Property("emailAddress", th.StringType),
    th.Property("id", th.IntegerType),
)
PARENT = th.ObjectType(th.Property("id", th.StringType), th.Property("displayId", th.StringType))


class BitbucketStream(RESTStream[int]):
    """What the streams share."""

    records_jsonpath = "$.values[*]"
    next_page_token_jsonpath = "$.nextPageStart"

    @property
    def url_base(self) -> str:
        return f"{self.config['base_url']}/rest/api/1.0"

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        return BearerTokenAuthenticator(token=self.config["token"])

    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        del context
        return {"limit": 1000, "start": next_page_token or 0}


class Projects(BitbucketStream):
    name = "projects"
    path = "/projects"
    primary_keys = ("id",)
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType),
        th.Property("key", th.StringType),
        th.Property("name", th.StringType),
        th.Property("description", th.StringType),
        th.Property("public", th.BooleanType),
        th.Property("type", th.StringType),
    ).to_dict()

    def get_child_context(self, record: Record, context: Context | None) -> Context:
        del context
        return {"project_key": record["key"]}


class Repositories(BitbucketStream):
    name = "repositories"
    path = "/projects/{project_key}/repos"
    parent_stream_type = Projects
    primary_keys = ("id",)
    schema = th.PropertiesList(
        KEYS[0],
        th.Property("id", th.IntegerType),
        th.Property("slug", th.StringType),
        th.Property("name", th.StringType),
        th.Property("state", th.StringType),
        th.Property("public", th.BooleanType),
        th.Property("archived", th.BooleanType),
    ).to_dict()

    def get_child_context(self, record: Record, context: Context | None) -> Context:
        return {**(context or {}), "repository_slug": record["slug"]}


class DefaultBranches(BitbucketStream):
    name = "default_branches"
    path = "/projects/{project_key}/repos/{repository_slug}/branches/default"
    records_jsonpath = "$"
    parent_stream_type = Repositories
    primary_keys = ("project_key", "repository_slug")
    schema = th.PropertiesList(
        *KEYS,
        th.Property("id", th.StringType),
        th.Property("displayId", th.StringType),
        th.Property("latestCommit", th.StringType),
    ).to_dict()


class Commits(BitbucketStream):
    name = "commits"
    path = "/projects/{project_key}/repos/{repository_slug}/commits"
    parent_stream_type = Repositories
    primary_keys = ("project_key", "repository_slug", "id")
    replication_key = "committerTimestamp"
    schema = th.PropertiesList(
        *KEYS,
        th.Property("id", th.StringType),
        th.Property("displayId", th.StringType),
        th.Property("message", th.StringType),
        th.Property("author", PERSON),
        th.Property("authorTimestamp", th.IntegerType),
        th.Property("committer", PERSON),
        th.Property("committerTimestamp", th.IntegerType),
        th.Property("parents", th.ArrayType(PARENT)),
    ).to_dict()


class NaiveTap(Tap):
    name = "tap-naive"
    config_jsonschema = th.PropertiesList(
        th.Property("base_url", th.StringType, required=True),
        th.Property("token", th.StringType, required=True, secret=True),
    ).to_dict()

    def discover_streams(self) -> list[Stream]:
        return [Projects(self), Repositories(self), DefaultBranches(self), Commits(self)]


if __name__ == "__main__":
    NaiveTap.cli()
