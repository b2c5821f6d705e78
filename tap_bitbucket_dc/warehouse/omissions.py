"""What the views and the report leave out because a table or a column does not exist, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_bitbucket_dc.warehouse.tables import Tables


class Part(NamedTuple):
    """Something that needs a table or, if ``columns`` are given, at least one of these columns."""

    what: str
    table: str
    columns: tuple[str, ...] = ()


AUTHOR = ("author_user_id", "author_email", "author_name")
COMMITTER = ("committer_user_id", "committer_email", "committer_name")
REPORT = (
    Part("Names of projects, and projects without repositories", "projects"),
    Part("Links to repositories, and which of them are archived", "repositories"),
    Part("Branches, and which repositories are empty or inaccessible", "default_branches"),
    Part("Commits and authors", "commits"),
    Part("Names of projects", "projects", ("name",)),
    Part("Names of repositories", "repositories", ("slug",)),
    Part("Links to repositories", "repositories", ("url",)),
    Part("Which repositories are archived", "repositories", ("archived",)),
    Part("Which repositories are empty or inaccessible", "default_branches", ("status",)),
    Part("Names of branches", "default_branches", ("display_id",)),
    Part("Weeks, changes and the age of commits", "commits", ("committer_timestamp",)),
    Part("Authors and bots", "commits", AUTHOR),
    Part("Names of authors, and bots with a name like renovate[bot]", "commits", ("author_name",)),
    Part("Recognizing authors by their e-mail address", "commits", ("author_email",)),
    Part("Recognizing authors by their Bitbucket user", "commits", ("author_user_id",)),
    Part("Bots that are Bitbucket users of type SERVICE", "commits", ("author_type",)),
    Part("Merges", "commits", ("is_merge",)),
    Part("Co-authored commits", "commits", ("co_authors",)),
    Part(
        "Which commits were removed by rewriting history; they are counted like all others",
        "commits",
        ("on_default_branch",),
    ),
)
VIEWS = (
    Part("bitbucket_server_projects is empty", "projects"),
    Part("bitbucket_server_repositories is empty", "repositories"),
    Part("the views of commits, users, bots and co-authors are empty", "commits"),
    Part("bitbucket_server_repositories.default_branch is null", "default_branches"),
    *(
        Part(f"bitbucket_server_{view} is null", table, (column,))
        for view, table, column in (
            ("projects.source_url", "projects", "url"),
            ("projects.key", "projects", "key"),
            ("projects.name", "projects", "name"),
            ("projects.description", "projects", "description"),
            ("projects.public", "projects", "public"),
            ("repositories.project_id", "repositories", "project_id"),
            ("repositories.source_url", "repositories", "url"),
            ("repositories.name", "repositories", "name"),
            ("repositories.slug", "repositories", "slug"),
            ("repositories.description", "repositories", "description"),
            ("repositories.public", "repositories", "public"),
            ("repositories.archived", "repositories", "archived"),
            ("repositories.default_branch", "default_branches", "display_id"),
            ("repositories.api_accessible", "default_branches", "status"),
            ("commits.branch", "commits", "branch"),
            ("commits.created", "commits", "committer_timestamp"),
            ("commits.message", "commits", "message"),
        )
    ),
    Part("bitbucket_server_commits.author_id is null", "commits", AUTHOR),
    Part("bitbucket_server_users has no authors' names", "commits", ("author_name",)),
    Part("bitbucket_server_users has no authors' addresses", "commits", ("author_email",)),
    Part("authors are not matched to Bitbucket's users", "commits", ("author_user_id",)),
    Part("bitbucket_server_users has no committers", "commits", COMMITTER),
    Part("bitbucket_server_users has no committers' names", "commits", ("committer_name",)),
    Part("bitbucket_server_users has no committers' addresses", "commits", ("committer_email",)),
    Part("committers are not matched to Bitbucket's users", "commits", ("committer_user_id",)),
    Part("bitbucket_server_bots recognizes bots only by their names", "commits", ("author_type",)),
    Part("bitbucket_server_commit_co_authors is empty", "commits", ("co_authors",)),
    Part(
        "bitbucket_server_commits contains commits that were removed by rewriting history",
        "commits",
        ("on_default_branch",),
    ),
)


def left_out(parts: Iterable[Part], tables: Tables) -> list[str]:
    """Return a sentence for each part whose table or columns do not exist."""
    sentences = []
    said: set[tuple[str, str]] = set()  # columns already named in a sentence
    for what, table, columns in parts:
        if not tables.has(table):
            if not columns:
                sentences.append(f"{what}, because there is no {table} table.")
            continue
        missing = {(table, column) for column in columns if not tables.has(table, column)}
        if columns and len(missing) == len(columns) and not missing <= said:
            said |= missing
            names = f"{', '.join(columns[:-1])} or {columns[-1]}" if columns[1:] else columns[0]
            sentences.append(f"{what}, because the {table} table has no column {names}.")
    return sentences
