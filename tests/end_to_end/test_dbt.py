"""The dbt package: its descriptions against the schemas, and its tests on loaded tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]

from tap_bitbucket_dc.warehouse.comments import SCHEMAS, TABLES

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Loaded

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "tap_bitbucket_dc" / "warehouse" / "dbt"
UV = os.environ.get("UV") or shutil.which("uv")
SOURCES = yaml.safe_load((PACKAGE / "models" / "sources.yml").read_text("utf-8"))["sources"][0]
# One process for all commands: importing dbt takes most of the time.
RUN = """\
import json, sys
from dbt.cli.main import dbtRunner
for command in json.loads(sys.argv[1]):
    result = dbtRunner().invoke(command)
    print(json.dumps({"command": command, "success": result.success}))
"""
BROKEN = """\
insert into commits (select * from commits limit 1);
update commits set author_type = 'ROBOT';
update default_branches set status = 'lost';
delete from projects where key = 'PAY'"""
FAILING = {
    "source_accepted_values_bitbucket_commits_author_type__NORMAL__SERVICE": "warn",
    "source_accepted_values_bitbucket_default_branches_status__"
    "ok__empty__missing__inaccessible": "fail",
    "source_relationships_bitbucket_repositories_project_id__id__"
    "source_bitbucket_projects_": "fail",
    "source_unique_bitbucket_commits_repository_id_id": "fail",
}


def test_descriptions_are_those_of_the_schemas() -> None:
    described = {
        table["name"]: {column["name"]: column["description"] for column in table["columns"]}
        for table in SOURCES["tables"]
    }
    assert described == {
        table: {name: column["description"] for name, column in schema["properties"].items()}
        for table, schema in SCHEMAS.items()
    }
    assert {table["name"]: table["description"] for table in SOURCES["tables"]} == TABLES


def test_values_are_those_of_the_schema() -> None:
    [branches] = [table for table in SOURCES["tables"] if table["name"] == "default_branches"]
    [status] = [column for column in branches["columns"] if column["name"] == "status"]
    [_, accepted] = status["data_tests"]
    schema = SCHEMAS["default_branches"]["properties"]["status"]
    assert accepted["accepted_values"]["arguments"]["values"] == schema["enum"]


@pytest.mark.skipif(UV is None, reason="needs uv on the PATH, or `uv run`")
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="dbt-core 1.11 is for older Pythons")
def test_a_project_with_the_package_tests_loaded_tables_and_finds_what_is_wrong(
    loaded: Loaded, tmp_path: Path
) -> None:
    _project(tmp_path, loaded.database.url.partition("host=")[2])
    loaded.database.copy("broken", BROKEN)
    vars_ = '{"bitbucket_schema": "broken"}'
    commands = (
        ["deps"],
        ["parse", "--warn-error"],
        ["test", "--warn-error", "--select", "source:bitbucket"],
        ["source", "freshness", "--warn-error", "--select", "source:bitbucket"],
        ["test", "--vars", vars_, "--target-path", str(tmp_path / "broken")],
    )
    assert _dbt(tmp_path, commands) == [True, True, True, True, False]
    good, bad = _results(tmp_path / "target"), _results(tmp_path / "broken")
    assert set(good.values()) == {"pass"}
    assert {name: status for name, status in bad.items() if status != "pass"} == FAILING
    assert good.keys() == bad.keys()


def _project(directory: Path, host: str) -> None:
    """Make a dbt project that uses the package."""
    postgres = {"type": "postgres", "host": host, "port": 5432, "dbname": "postgres"}
    output = {**postgres, "user": "postgres", "password": "", "schema": "analytics", "threads": 2}
    files: dict[str, Any] = {
        "dbt_project.yml": {"name": "analytics", "version": "1.0.0", "profile": "analytics"},
        "packages.yml": {"packages": [{"local": str(PACKAGE)}]},
        "profiles.yml": {"analytics": {"target": "dev", "outputs": {"dev": output}}},
    }
    for name, content in files.items():
        (directory / name).write_text(yaml.safe_dump(content), "utf-8")
    (directory / "models").mkdir()
    (directory / "models" / "newest.sql").write_text("""
        select max(committer_timestamp) as newest from {{ source('bitbucket', 'commits') }}""")


def _dbt(directory: Path, commands: tuple[list[str], ...]) -> list[bool]:
    """Return whether each command succeeded, run in an environment of its own."""
    run = (str(UV), "run", "--isolated", "--only-group", "dbt", "--project", CHECKOUT)
    done = subprocess.run(
        (*run, "python", "-c", RUN, json.dumps(commands)),
        cwd=directory,
        env={**os.environ, "DO_NOT_TRACK": "1", "DBT_PROFILES_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip(f"dbt cannot be installed: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"command"')]
    return [json.loads(line)["success"] for line in lines]


def _results(directory: Path) -> dict[str, str]:
    """Return the status of each test of the last run."""
    results = json.loads((directory / "run_results.json").read_text("utf-8"))["results"]
    return {result["unique_id"].split(".")[2]: result["status"] for result in results}
