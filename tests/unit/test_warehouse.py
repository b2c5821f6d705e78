"""The README of the warehouse, against the commands and what they say; and what is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tap_bitbucket_dc.warehouse.omissions import REPORT, VIEWS, left_out
from tap_bitbucket_dc.warehouse.options import parser
from tap_bitbucket_dc.warehouse.tables import COLUMNS, Tables
from tap_bitbucket_dc.warehouse.views import script

WAREHOUSE = Path(__file__).parents[2] / "tap_bitbucket_dc" / "warehouse"
README = (WAREHOUSE / "README.md").read_text("utf-8")
COMMAND = "tap-bitbucket-dc-warehouse "
COMMANDS = [
    line.strip().removeprefix(COMMAND)
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", "").splitlines()
    if line.strip().startswith(COMMAND)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_is_one(command: str) -> None:
    options = parser(None).parse_args(shlex.split(command))
    assert options.command == command.partition(" ")[0]


def test_every_command_is_in_the_readme() -> None:
    help_ = parser(None).format_help()
    [names] = re.findall(r"\{([\w,]+)\}\s", help_)[:1]
    assert {command.partition(" ")[0] for command in COMMANDS} == set(names.split(","))


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (WAREHOUSE / target).exists()] == []


def test_what_the_readme_says_is_left_out_is_said_so() -> None:
    complete = {table: {"id", *columns} for table, columns in COLUMNS.items()}
    del complete["projects"]
    complete["commits"] -= {"author_user_id", "author_email", "author_name"}
    sentences = left_out(REPORT, Tables(complete))
    shown = re.findall(r"^Left out: (.*)$", README, re.MULTILINE)
    assert sorted(shown) == sorted(sentences)


@pytest.mark.parametrize("parts", [REPORT, VIEWS])
def test_nothing_is_left_out_of_complete_tables(parts: tuple[object, ...]) -> None:
    assert left_out(parts, Tables.complete()) == []  # type: ignore[arg-type]


def test_every_column_that_may_be_missing_is_named_by_what_is_left_out() -> None:
    named = {(part.table, column) for part in (*REPORT, *VIEWS) for column in part.columns}
    quiet = {"_sdc_batched_at", "project_key", "repository_slug"}  # there is another source
    assert {
        (table, column)
        for table, columns in COLUMNS.items()
        for column in columns
        if column not in quiet
    } == named


def test_a_script_for_complete_tables_reads_them_as_they_are() -> None:
    text = script("bitbucket", Tables.complete())
    assert "from commits as commits" in text
    assert "null::" not in text


@pytest.mark.parametrize("weeks", ["0", "-1", "521", "1.5", "many"])
def test_weeks_that_make_no_report_are_refused(
    weeks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser(None).parse_args(["report", "--weeks", weeks])
    assert "argument --weeks: must be between 1 and 520" in capsys.readouterr().err
