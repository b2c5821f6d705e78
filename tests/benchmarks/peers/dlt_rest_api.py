"""Reads the same with dlt's ``rest_api`` source, set up as its documentation shows.

``python dlt_rest_api.py URL extract|files|append|merge DIRECTORY [DSN SCHEMA]``; runs in
an environment with ``dlt[postgres]``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import dlt  # type: ignore[import-not-found,unused-ignore]
from dlt.sources.rest_api import (  # type: ignore[import-not-found,unused-ignore]
    rest_api_source,
)

REPOSITORY = "projects/{resources.repositories._projects_key}/repos/{resources.repositories.slug}"


KEYS = {
    "projects": ["id"],
    "repositories": ["id"],
    "default_branches": ["_repositories_id"],
    "commits": ["_repositories_id", "id"],
}


def source(base_url: str, write_disposition: str = "append") -> Any:
    """Return projects, their repositories, and the default branch and commits of each."""
    found = rest_api_source(
        {
            "client": {
                "base_url": f"{base_url}/rest/api/1.0/",
                "auth": {"type": "bearer", "token": "secret"},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "nextPageStart",
                    "cursor_param": "start",
                },
            },
            "resource_defaults": {
                "write_disposition": write_disposition,
                "endpoint": {"params": {"limit": 1000}, "data_selector": "values"},
            },
            "resources": [
                {"name": "projects", "endpoint": "projects"},
                {
                    "name": "repositories",
                    "include_from_parent": ["key"],
                    "endpoint": "projects/{resources.projects.key}/repos",
                },
                {
                    "name": "default_branches",
                    "include_from_parent": ["id"],
                    "endpoint": {
                        "path": f"{REPOSITORY}/branches/default",
                        "data_selector": "$",
                        "paginator": "single_page",
                    },
                },
                {
                    "name": "commits",
                    "include_from_parent": ["id"],
                    "endpoint": f"{REPOSITORY}/commits",
                },
            ],
        }
    )
    if write_disposition == "merge":
        for name, key in KEYS.items():
            found.resources[name].apply_hints(primary_key=key)
    return found


def extract(base_url: str) -> int:
    """Read all rows without loading them; return how many commits there are."""
    return sum("parents" in row for row in source(base_url))


def into_files(base_url: str, directory: Path) -> int:
    """Load all rows into compressed files of JSON; return how many commits there are."""
    files = dlt.destinations.filesystem((directory / "files").as_uri())
    pipeline = dlt.pipeline("bitbucket", pipelines_dir=directory, destination=files)
    pipeline.run(source(base_url), loader_file_format="jsonl")
    return int(pipeline.last_trace.last_normalize_info.row_counts["commits"])


def into_postgres(base_url: str, how: str, directory: Path, dsn: str, schema: str) -> int:
    """Load all rows into PostgreSQL; return how many commits there were.

    Args:
        base_url: The URL of the server.
        how: ``append``, or ``merge`` by key.
        directory: Where dlt keeps its state.
        dsn: The connection string of the database.
        schema: The schema of the tables.
    """
    database = dlt.destinations.postgres(dsn)
    pipeline = dlt.pipeline(
        "bitbucket", pipelines_dir=directory, destination=database, dataset_name=schema
    )
    pipeline.run(source(base_url, how))
    return int(pipeline.last_trace.last_normalize_info.row_counts["commits"])


if __name__ == "__main__":
    url, how, where, *database = sys.argv[1:]
    if how == "extract":
        commits = extract(url)
    elif how == "files":
        commits = into_files(url, Path(where))
    else:
        commits = into_postgres(url, how, Path(where), *database)
    print(commits)  # noqa: T201 its result
