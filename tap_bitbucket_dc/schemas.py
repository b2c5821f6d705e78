"""The columns of each stream, with their descriptions; ``records`` fills them.

All names are in snake_case and need no quotes in SQL. Every column except the keys may be null,
because Bitbucket omits what it does not have. streams.md repeats the descriptions.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from singer_sdk import typing as th

REPOSITORY_ID = "Numeric id of the repository. Does not change when it is renamed or moved."
PROJECT_KEY = "Key of its project, such as PAY, or ~ADA for a personal project."
REPOSITORY_SLUG = "Slug of the repository: its name in URLs, unique in its project."
NO_USER = "null if Bitbucket matched no user."
YEARS = "Null outside years 1 to 9999."


def _column(kind: Any, name: str, description: str, *, required: bool = False) -> th.Property[Any]:  # noqa: ANN401 a type of th
    return th.Property(name, kind, required, description=description)


_id = partial(_column, th.IntegerType, required=True)
_text = partial(_column, th.StringType)
_number = partial(_column, th.IntegerType)
_flag = partial(_column, th.BooleanType)
_time = partial(_column, th.DateTimeType)
_texts = partial(_column, th.ArrayType(th.StringType))

PROJECT = th.PropertiesList(
    _id("id", "Numeric id of the project. Does not change with its key."),
    _text("key", "Key of the project, such as PAY, or ~ADA for a personal one."),
    _text("name", "Name of the project; for a personal one, its owner's name."),
    _text("description", "Description. Null when there is none."),
    _flag("public", "Whether anonymous users may see it. Null for personal ones."),
    _text("type", "NORMAL or PERSONAL."),
    _text("owner_username", "Login of a personal project's owner, else null."),
    _number("owner_user_id", "Bitbucket's id of a personal project's owner, else null."),
    _text("url", "Address of the project in the browser."),
).to_dict()

REPOSITORY = th.PropertiesList(
    _id("id", REPOSITORY_ID),
    _number("project_id", "Numeric id of its project."),
    _text("project_key", PROJECT_KEY),
    _text("slug", REPOSITORY_SLUG),
    _text("name", "Display name; may contain spaces and capitals."),
    _text("description", "Description. Null when there is none."),
    _text("hierarchy_id", "The same for a repository and its forks. Null before 7.x."),
    _text("scm_id", "Kind of version control: git."),
    _text("state", "AVAILABLE, INITIALISING, INITIALISATION_FAILED or OFFLINE."),
    _text("status_message", "The state in words."),
    _flag("forkable", "Whether users may fork it."),
    _flag("public", "Whether anonymous users may see it."),
    _flag("archived", "Whether it is archived (read-only). Null before 8.0."),
    _number("origin_id", "Id of the repository it was forked from, null if it is not a fork."),
    _text("origin_project_key", "Project key of that repository, null if not visible."),
    _text("origin_slug", "Slug of that repository, null if not visible."),
    _text("url", "Address of the repository in the browser."),
    _text("clone_url_http", "URL to clone over HTTP(S), without a user name."),
    _text("clone_url_ssh", "URL to clone over SSH."),
).to_dict()

DEFAULT_BRANCH = th.PropertiesList(
    _id("repository_id", REPOSITORY_ID),
    _text("project_key", PROJECT_KEY),
    _text("repository_slug", REPOSITORY_SLUG),
    _column(
        th.StringType(allowed_values=["ok", "empty", "missing", "inaccessible"]),
        "status",
        "ok; empty: there are no commits at all; missing: the configured branch "
        "was never pushed or was deleted (servers before 5.6 also report empty "
        "repositories this way); inaccessible: no permission, or gone since it was listed.",
    ),
    _text("id", "Full name such as refs/heads/main. Null unless the status is ok."),
    _text("display_id", "Short name such as main. Null unless the status is ok."),
    _text("type", "BRANCH. Null unless the status is ok."),
    _text("latest_commit", "Id of its newest commit (40 hex digits), its head."),
).to_dict()

COMMIT = th.PropertiesList(
    _id("repository_id", REPOSITORY_ID),
    _text("project_key", PROJECT_KEY),
    _text("repository_slug", REPOSITORY_SLUG),
    _text("branch", "Short name of the default branch when the commit was read."),
    _flag(
        "on_default_branch",
        "Whether the commit is reachable from the default branch. False if history was "
        "rewritten and it no longer is.",
    ),
    _text("id", "Id of the commit: SHA-1, 40 hex digits.", required=True),
    _text("display_id", "Short id: the first 11 digits."),
    _text("message", "The whole message. NUL characters are replaced by U+FFFD."),
    _text("author_name", "Name of the person who wrote the change."),
    _text("author_email", "E-mail address of the author, as in git."),
    _text("author_username", f"Bitbucket login of the author, {NO_USER}"),
    _number("author_user_id", f"Bitbucket's id of the author, {NO_USER}"),
    _text("author_type", f"NORMAL, or SERVICE for a bot; {NO_USER}"),
    _time("author_timestamp", f"When it was written, in UTC, by the author's clock. {YEARS}"),
    _text("committer_name", "Name of the person who made the commit."),
    _text("committer_email", "E-mail address of the committer, as in git."),
    _text("committer_username", f"Bitbucket login of the committer, {NO_USER}"),
    _number("committer_user_id", f"Bitbucket's id of the committer, {NO_USER}"),
    _text("committer_type", f"NORMAL, or SERVICE for a bot; {NO_USER}"),
    _time(
        "committer_timestamp", f"When it was committed, in UTC, by the committer's clock. {YEARS}"
    ),
    _texts(
        "co_authors",
        "Co-authors from the Co-authored-by trailers of the message, as Name <address>.",
    ),
    _texts("parent_ids", "Ids of its parents, first parent first; empty for a root commit."),
    _flag("is_merge", "Whether it has more than one parent."),
    _texts("issue_keys", "Jira issue keys that Bitbucket found in the message."),
    _text("url", "Address of the commit in the browser."),
).to_dict()
