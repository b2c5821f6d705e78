"""What the report counts, in tables with known rows and in selections of real ones."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_bitbucket_dc.warehouse.__main__ import main
from tap_bitbucket_dc.warehouse.report import page, read
from tests.end_to_end.warehouse import SELECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.end_to_end.conftest import Loaded
    from tests.end_to_end.warehouse import Warehouse

MONDAY = date(2026, 3, 2)
EMPTY = "truncate commits; truncate repositories; truncate projects; truncate default_branches;"
COMMIT = """
insert into commits (repository_id, id, author_name, author_email, author_user_id, author_type,
                     committer_timestamp, on_default_branch, is_merge)
values ({repository}, '{id}', '{name}', '{email}', {user}, {kind}, '{day}', true, false)"""
SIMILAR = {
    "no_projects",
    "only_types",
    "no_emails",
    "no_users",
    "older",
}  # to others, as far as a page goes
ADA, WORK, HOME = "Ada Lovelace", "ada@example.com", "ada@home.example"
# Who wrote commits, oldest first, as name, address and Bitbucket user; and how many people that is.
PEOPLE: dict[str, tuple[list[tuple[str, str, int | None]], int]] = {
    "the same name": ([(ADA, WORK, None), (ADA, HOME, None)], 1),
    "the same name but for capitals and spaces": (
        [(ADA, WORK, None), ("ada  LOVELACE", HOME, 5)],
        1,
    ),
    "the same address": ([("Ada", WORK, None), (ADA, WORK.upper(), None)], 1),
    "the same user": ([("Ada", WORK, 5), ("A. Lovelace", HOME, 5)], 1),
    "an address of a user, before and after": ([("Ada", WORK, None), (ADA, WORK, 5)], 1),
    "the name of one user": ([(ADA, WORK, 5), (ADA, HOME, None)], 1),
    "a name before marriage": (
        [("Ada Byron", WORK, None), (ADA, WORK, None), (ADA, HOME, None)],
        1,
    ),
    "two users of one name": ([(ADA, WORK, 5), (ADA, HOME, 6)], 2),
    "two users of one name and a third address": (
        [(ADA, WORK, 5), (ADA, HOME, 6), (ADA, "ada@cafe.example", None)],
        3,
    ),
    "an earlier name only": ([(ADA, WORK, None), ("Countess", WORK, None), (ADA, HOME, None)], 2),
    "no address": ([(ADA, "", None), (ADA, HOME, None)], 1),
    "no name": ([("", WORK, None), ("", HOME, None)], 2),
    "different people": ([(ADA, WORK, None), ("Mary Shelley", "mary@example.com", None)], 2),
}

COMMITS = "the commits table has no column"
# What the report leaves out, and why; and what is not on the page.
LEFT_OUT = {
    "no_people": (
        {
            "Authors and bots": f"{COMMITS} author_user_id, author_email or author_name",
            "Bots that are Bitbucket users of type SERVICE": f"{COMMITS} author_type",
            "Co-authored commits": f"{COMMITS} co_authors",
        },
        ["Authors per week", "Commits by author", 'data-head="Authors"'],
    ),
    "only_types": (
        {"Authors and bots": f"{COMMITS} author_user_id, author_email or author_name"},
        ["Authors per week", "Commits by author", 'data-head="Authors"'],
    ),
    "only_commits": (
        {
            "Names of projects, and projects without repositories": "there is no projects table",
            "Links to repositories, and which of them are archived": "there is no "
            "repositories table",
            "Branches, and which repositories are empty or inaccessible": "there is no "
            "default_branches table",
        },
        ["Empty, missing, inaccessible", "<th>Branch</th>", "archived"],
    ),
    "no_flags": (
        {
            "Merges": f"{COMMITS} is_merge",
            "Which commits were removed by rewriting history; they are counted like all others": (
                f"{COMMITS} on_default_branch"
            ),
        },
        ["Merges", "Removed by rewriting history"],
    ),
}


@pytest.fixture(scope="module")
def whole(loaded: Loaded) -> str:
    """The page over everything that was loaded."""
    return page(read(loaded.database.url, "bitbucket"))


@pytest.mark.parametrize("case", PEOPLE)
def test_a_person_is_counted_once(loaded: Loaded, case: str) -> None:
    commits, people = PEOPLE[case]
    facts = _facts(
        loaded.database,
        "people",
        (
            {"name": name, "email": email, "user": user, "day": MONDAY + timedelta(index)}
            for index, (name, email, user) in enumerate(commits)
        ),
    )
    assert facts["totals"]["people"] == facts["now"]["people"] == people
    assert [week["people"] for week in facts["weeks"]] == [people]
    assert len(facts["busy_people"]) == people
    assert len({person["name"] for person in facts["busy_people"]}) == people
    assert sum(person["commits"] for person in facts["busy_people"]) == len(commits)
    assert [row["people"] for row in facts["repositories"]] == [people]


def test_people_with_several_addresses_say_so(loaded: Loaded) -> None:
    commits = [{"name": ADA, "email": WORK}, {"name": ADA, "email": HOME}]
    facts = _facts(loaded.database, "people", commits)
    assert "Ada Lovelace; commits: 2; before: 0; e-mail addresses: 2" in page(facts)


def test_bots_are_users_of_type_service_and_names_that_end_so(loaded: Loaded) -> None:
    commits: list[dict[str, Any]] = [
        {"name": "renovate[bot]", "email": "renovate@example.com"},
        {"name": "Deployer", "email": "deploy@example.com", "user": 9, "kind": "'SERVICE'"},
        {"name": "Deployer", "email": "deploy@example.com"},
        {"name": "Abbot", "email": "abbot@example.com"},
        {"name": ADA, "email": WORK, "user": 5, "kind": "'NORMAL'"},
    ]
    facts = _facts(loaded.database, "bots", commits)
    assert {bot["name"]: bot["commits"] for bot in facts["bots"]} == {
        "Deployer": 2,
        "renovate[bot]": 1,
    }
    assert {person["name"] for person in facts["busy_people"]} == {"Abbot", ADA}
    assert (facts["totals"]["people"], facts["totals"]["bots"]) == (2, 2)
    [week] = facts["weeks"]
    assert (week["commits"], week["by_bots"], week["people"]) == (5, 3, 2)
    main(["views", "--dsn", loaded.database.url, "--schema", "bots"])
    bots = """
        select name from bots.bitbucket_server_bots
          join bots.bitbucket_server_users on id = user_id order by 1"""
    assert loaded.database.query(bots) == [("Deployer",), ("renovate[bot]",)]


def test_projects_and_changes_are_counted_over_the_weeks_shown(loaded: Loaded) -> None:
    repositories = """
        insert into projects (id, key, name)
        values (1, 'PAY', 'Payments'), (2, 'OPS', 'Operations');
        insert into repositories (id, project_id, project_key, slug)
        values (1, 1, 'PAY', 'ledger'), (2, 1, 'PAY', 'api'), (3, 2, 'OPS', 'runbooks');"""
    weeks = {1: (0, 0, 1, 3), 2: (1,), 3: (2, 2, 2, 2, 4)}  # how many weeks ago, by repository
    facts = _facts(
        loaded.database,
        "changes",
        (
            {"repository": repository, "day": MONDAY - timedelta(weeks=ago), "name": ADA}
            for repository, times in weeks.items()
            for ago in times
        ),
        repositories,
        weeks=2,
    )
    shown = ("key", "name", "now", "before", "people", "active", "repositories")
    assert [tuple(row[name] for name in shown) for row in facts["projects"]] == [
        ("PAY", "Payments", 4, 1, 1, 2, 2),
        ("OPS", "Operations", 0, 4, 0, 0, 1),
    ]
    assert (facts["now"]["commits"], facts["before"]["commits"]) == (4, 5)
    assert (facts["now"]["repositories"], facts["before"]["repositories"]) == (2, 2)
    assert {row["name"]: (row["now"], row["before"]) for row in facts["repositories"]} == {
        "PAY/ledger": (3, 1),
        "PAY/api": (1, 0),
        "OPS/runbooks": (0, 4),
    }
    assert facts["period"] == {"first": "2026-02-23", "last": "2026-03-08"}
    text = page(facts)
    assert "<dt>Commits</dt><dd>4</dd><dd>\N{MINUS SIGN}20 % from 5</dd>" in text
    assert '<td class="n" data-head="Change">+300 %</td>' in text
    assert '<td class="n" data-head="Change">\N{MINUS SIGN}100 %</td>' in text
    assert '<td class="n" data-head="Change">new</td>' in text


@pytest.mark.parametrize("selection", sorted(SELECTIONS.keys() - SIMILAR))
def test_any_selection_has_a_report_that_says_what_is_left_out(
    loaded: Loaded, tmp_path: Path, selection: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, database = tmp_path / "report.html", loaded.database
    database.copy(selection, SELECTIONS[selection])
    main(["report", "--dsn", database.url, "--schema", selection, "--output", str(path)])
    output = capsys.readouterr()
    assert output.out == f"Wrote {path}.\n"
    said = [line.removeprefix("Left out: ") for line in output.err.splitlines()]
    facts, whole = read(database.url, selection), read(database.url, "bitbucket")
    assert said == facts["left_out"]
    text = path.read_text("utf-8")
    assert all(f"<li>{sentence}</li>" in text for sentence in said)
    assert (selection in {"everything", "flattened"}) == (not said)
    commits = 0 if selection in {"no_commits", "only_repositories"} else whole["totals"]["commits"]
    if selection in {"no_flags", "keys"}:  # removed commits cannot be told from the others
        commits += whole["totals"]["removed"]
    assert facts["totals"]["commits"] == commits
    assert ">None<" not in text
    assert "<td></td>" not in text


@pytest.mark.parametrize("selection", LEFT_OUT)
def test_what_cannot_be_known_is_not_shown(loaded: Loaded, whole: str, selection: str) -> None:
    reasons, gone = LEFT_OUT[selection]
    loaded.database.copy(selection, SELECTIONS[selection])
    facts = read(loaded.database.url, selection)
    said = dict(sentence.removesuffix(".").split(", because ") for sentence in facts["left_out"])
    assert said == reasons
    body = page(facts).partition("<main>")[2]
    assert (facts["bots"], facts["now"]["by_bots"]) == ([], 0)
    for text in gone:
        assert text in whole
        assert text not in body


def test_repositories_without_their_table_have_the_names_of_their_commits(loaded: Loaded) -> None:
    loaded.database.copy("only_commits", SELECTIONS["only_commits"])
    names = {row["name"] for row in read(loaded.database.url, "only_commits")["repositories"]}
    assert names == {
        name
        for name, git in loaded.world.repositories.items()
        if git.branch_tip() and name != "OPS/secret"
    }


def _facts(
    database: Warehouse,
    schema: str,
    commits: Iterable[dict[str, Any]],
    sql: str = "",
    weeks: int = 52,
) -> dict[str, Any]:
    """Return what the report shows of some commits."""
    default = {"repository": 1, "name": "", "email": "", "user": None, "kind": "null"}
    rows = [
        COMMIT.format(**{**default, "day": MONDAY, **commit, "id": index}).replace("None", "null")
        for index, commit in enumerate(commits)
    ]
    database.copy(schema, EMPTY + sql + ";".join(rows))
    return read(database.url, schema, weeks)
