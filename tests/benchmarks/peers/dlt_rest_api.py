"""The same reading with dlt's ``rest_api`` source, as its documentation shows it.

``python dlt_rest_api.py URL extract|files DIRECTORY``; runs in an environment with dlt.
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


def source(base_url: str) -> Any:
    """Return projects, their repositories, and the default branch and commits of each."""
    return rest_api_source(
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


def extract(base_url: str) -> int:
    """Take all rows, and do nothing with them; return how many commits there are."""
    return sum("parents" in row for row in source(base_url))


def into_files(base_url: str, directory: Path) -> int:
    """Load all rows into compressed files of JSON; return how many commits there are."""
    files = dlt.destinations.filesystem((directory / "files").as_uri())
    pipeline = dlt.pipeline("bitbucket", pipelines_dir=directory, destination=files)
    pipeline.run(source(base_url), loader_file_format="jsonl")
    return int(pipeline.last_trace.last_normalize_info.row_counts["commits"])


if __name__ == "__main__":
    url, how, where = sys.argv[1:]
    commits = extract(url) if how == "extract" else into_files(url, Path(where))
    print(commits)  # noqa: T201 its result
