"""Bitbucket's JSON to records: both shapes of a person, odd dates, wrong types."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from msgspec.json import Decoder

from tap_bitbucket_dc import records, schemas
from tap_bitbucket_dc.bitbucket import Branch, Commit, Project, Repository
from tap_bitbucket_dc.bitbucket.errors import BitbucketError
from tap_bitbucket_dc.bitbucket.lenient import lenient
from tap_bitbucket_dc.bitbucket.paging import PageBody
from tap_bitbucket_dc.extract.found import CommitPage, DefaultBranch
from tap_bitbucket_dc.state import Bookmark

UNHURRIED = settings(deadline=None)  # other tests may run beside it
ID = "0123456789abcdef0123456789abcdef01234567"
BROWSE = "https://git.example.com/projects/PAY/repos/ledger/browse"
MATCHED = {
    "name": "ada",
    "emailAddress": "ada@example.com",
    "id": 7,
    "displayName": "Ada Lovelace",
    "active": True,
    "slug": "ada",
    "type": "NORMAL",
}
TEXT = st.none() | st.text()
NUMBER = st.none() | st.integers(-(2**63), 2**63 - 1)
PERSON = st.none() | st.fixed_dictionaries(
    {}, optional={"name": TEXT, "displayName": TEXT, "emailAddress": TEXT, "id": NUMBER}
)
COMMIT_KEYS = [
    "displayId",
    "message",
    "author",
    "committer",
    "authorTimestamp",
    "committerTimestamp",
    "parents",
    "properties",
    "links",
]
PAGE_OF_COMMITS = Decoder(PageBody[Commit])
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOAT | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=3,
)


def project(**found: Any) -> Project:
    """Return a project that Bitbucket sends."""
    return lenient(Project, {"id": 3, "key": "PAY", **found})


def repository(**found: Any) -> Repository:
    """Return a repository that Bitbucket sends."""
    return lenient(Repository, {"id": 12, "slug": "ledger", **found})


PROJECT = project()
LEDGER = repository(links={"self": [{"href": BROWSE}]})


def record_of(
    found: Commit,
    start: int | None = None,
    *,
    of: Repository = LEDGER,
    on_default_branch: bool = True,
) -> Any:
    """Return the record of a commit, None if it has none."""
    page = CommitPage([found], on_default_branch, Bookmark(), Bookmark())
    return next(records.commits(page, of, "PAY", "main", start), None)


def commit(start: int | None = None, /, **found: Any) -> Any:
    """Return the record of a commit that Bitbucket sends."""
    return record_of(lenient(Commit, {"id": ID, **found}), start)


def some(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw objects with some of the keys, of any type."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, JSON))


# People.


@pytest.mark.parametrize("role", ["author", "committer"])
def test_the_name_of_a_person_without_an_account_is_what_git_says(role: str) -> None:
    record = commit(**{role: {"name": "Ada Lovelace", "emailAddress": "ada@example.com"}})
    assert record[f"{role}_name"] == "Ada Lovelace"
    assert record[f"{role}_email"] == "ada@example.com"
    assert record[f"{role}_username"] is None
    assert record[f"{role}_user_id"] is None


@pytest.mark.parametrize("role", ["author", "committer"])
def test_the_name_of_a_user_is_the_display_name_and_never_the_login(role: str) -> None:
    record = commit(**{role: MATCHED})
    assert record[f"{role}_name"] == "Ada Lovelace"
    assert record[f"{role}_email"] == "ada@example.com"
    assert record[f"{role}_username"] == "ada"
    assert record[f"{role}_user_id"] == 7


def test_author_and_committer_are_told_apart() -> None:
    record = commit(author=MATCHED, committer={"name": "GitHub", "emailAddress": ""})
    assert (record["author_name"], record["committer_name"]) == ("Ada Lovelace", "GitHub")
    assert (record["author_user_id"], record["committer_user_id"]) == (7, None)
    assert record["committer_email"] == ""


def test_a_user_whose_address_is_hidden_has_none() -> None:
    record = commit(author={**MATCHED, "emailAddress": None}, committer={"name": "x"})
    assert record["author_email"] is None
    assert record["committer_email"] is None


@pytest.mark.parametrize("person", [None, "Ada", 7, [], {}, {"name": 1, "id": "7"}])
def test_a_person_of_another_shape_is_null(person: object) -> None:
    record = commit(author=person, committer=MATCHED)
    assert [record[f"author_{name}"] for name in ("name", "email", "username", "user_id")] == [
        None
    ] * 4
    assert record["committer_username"] == "ada"


# Times.


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (1_700_137_400_000, "2023-11-16T12:23:20Z"),
        (1_700_137_400_123, "2023-11-16T12:23:20.123Z"),
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-86_400_000, "1969-12-31T00:00:00Z"),
        (2**31 * 1000, "2038-01-19T03:14:08Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
        (-62_135_596_800_001, None),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, None),
        (2**62, None),
        (-(2**62), None),
        (2**200, None),
        (True, None),
        (1.7e12, None),
        ("1700137400000", None),
        (None, None),
        ([], None),
        ({}, None),
    ],
)
def test_a_time_is_rfc_3339_in_utc_or_null(milliseconds: object, expected: str | None) -> None:
    assert records.timestamp(milliseconds) == expected


@UNHURRIED
@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_time_means_the_same_moment_as_before(milliseconds: int) -> None:
    text = records.timestamp(milliseconds)
    assert text is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", text)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert datetime.fromisoformat(text) == moment


def test_author_and_committer_times_are_told_apart() -> None:
    record = commit(authorTimestamp=0, committerTimestamp=1000)
    assert record["author_timestamp"] == "1970-01-01T00:00:00Z"
    assert record["committer_timestamp"] == "1970-01-01T00:00:01Z"


@pytest.mark.parametrize(
    ("committed", "emitted"),
    [
        (999, False),
        (1000, True),
        (1001, True),
        (-(10**17), False),  # before year 1: no date, and yet older
        (10**17, True),
        (None, True),
    ],
)
def test_a_commit_before_the_start_date_gives_no_record(
    committed: object, *, emitted: bool
) -> None:
    found = commit(1000, authorTimestamp=0, committerTimestamp=committed)
    assert (found is not None) == emitted


def test_the_start_date_is_about_the_committer_not_the_author() -> None:
    assert commit(1000, authorTimestamp=0, committerTimestamp=2000)
    assert commit(1000, authorTimestamp=2000, committerTimestamp=0) is None


# Commits.


def test_a_commit_has_its_parents_in_order() -> None:
    record = commit(parents=[{"id": "b" * 40, "displayId": "b" * 11}, {"id": "a" * 40}])
    assert record["parent_ids"] == ["b" * 40, "a" * 40]
    assert record["is_merge"] is True


def test_a_commit_without_parents_is_no_merge() -> None:
    record = commit(parents=[])
    assert record["parent_ids"] == []
    assert record["is_merge"] is False


@pytest.mark.parametrize("parents", [None, 1, "a", {}, [None], [{}], [{"id": ID}, {"id": 1}]])
def test_parents_that_bitbucket_does_not_tell_are_null(parents: object) -> None:
    record = commit(parents=parents)
    assert record["parent_ids"] is None
    assert record["is_merge"] is None


def test_issue_keys_are_those_that_bitbucket_found() -> None:
    assert commit(properties={"jira-key": ["PAY-1", "PAY-2"]})["issue_keys"] == ["PAY-1", "PAY-2"]


@pytest.mark.parametrize("properties", [None, {}, [], 1, {"jira-key": "PAY-1"}, {"jira-key": [1]}])
def test_without_issue_keys_the_list_is_empty(properties: object) -> None:
    assert commit(properties=properties)["issue_keys"] == []


def test_the_url_of_a_commit_is_made_of_its_repository() -> None:
    assert commit()["url"] == f"https://git.example.com/projects/PAY/repos/ledger/commits/{ID}"


@pytest.mark.parametrize("links", [None, {}, {"self": []}, {"self": [{}]}, {"self": 1}, [1]])
def test_without_a_link_there_is_no_url(links: object) -> None:
    record = record_of(Commit(id=ID), of=repository(links=links), on_default_branch=False)
    assert record["url"] is None
    assert record["on_default_branch"] is False


@pytest.mark.parametrize("commit_id", [None, 1, [], True])
def test_a_commit_without_an_id_is_an_error(commit_id: object) -> None:
    with pytest.raises(BitbucketError, match=r"\bid\b"):
        commit(id=commit_id)


# Projects, repositories, default branches.


def test_a_project_without_anything_but_its_key_has_nulls() -> None:
    record = records.project(PROJECT)
    assert {name for name, value in record.items() if value is not None} == {"id", "key"}


def test_a_personal_project_names_its_owner_by_login() -> None:
    owner = {"name": "ada", "slug": "ada-slug", "displayName": "Ada Lovelace"}
    record = records.project(project(id=9, key="~ADA", type="PERSONAL", owner=owner))
    assert record["owner_username"] == "ada"
    assert record["owner_user_id"] is None
    assert record["type"] == "PERSONAL"
    assert record["public"] is None


def test_a_repository_without_anything_but_its_key_has_nulls() -> None:
    record = records.repository(repository(), PROJECT)
    known = {name: value for name, value in record.items() if value is not None}
    assert known == {"id": 12, "slug": "ledger", "project_id": 3, "project_key": "PAY"}


@pytest.mark.parametrize("reverse", [False, True])
def test_clone_links_are_told_apart_by_name_whatever_their_order(*, reverse: bool) -> None:
    links = [
        {"href": "https://ada@git.example.com:8443/bb/scm/pay/ledger.git", "name": "http"},
        {"href": "ssh://git@git.example.com:7999/pay/ledger.git", "name": "ssh"},
    ]
    found = repository(links={"clone": links[:: -1 if reverse else 1]})
    record = records.repository(found, PROJECT)
    assert record["clone_url_http"] == "https://git.example.com:8443/bb/scm/pay/ledger.git"
    assert record["clone_url_ssh"] == "ssh://git@git.example.com:7999/pay/ledger.git"


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("https://git.example.com/a.git", "https://git.example.com/a.git"),
        ("https://ada:secret@git.example.com/a.git", "https://git.example.com/a.git"),
        ("https://a@b@git.example.com/a.git", "https://git.example.com/a.git"),
        ("http://[::1/a.git", None),
        (None, None),
        (7, None),
    ],
)
def test_no_user_name_is_in_the_http_clone_url(href: object, expected: str | None) -> None:
    links = {"clone": [None, {"name": "http", "href": href}]}
    record = records.repository(repository(links=links), PROJECT)
    assert record["clone_url_http"] == expected
    assert record["clone_url_ssh"] is None


def test_a_fork_names_its_origin() -> None:
    origin = {"id": 5, "slug": "ledger", "project": {"key": "OPS"}}
    record = records.repository(repository(origin=origin), PROJECT)
    assert [record[f"origin_{name}"] for name in ("id", "project_key", "slug")] == [
        5,
        "OPS",
        "ledger",
    ]


def test_a_fork_whose_origin_is_not_visible_has_what_there_is() -> None:
    record = records.repository(repository(origin={"id": 5}), PROJECT)
    assert record["origin_id"] == 5
    assert record["origin_project_key"] is None
    assert record["origin_slug"] is None


@pytest.mark.parametrize("key", ["id", "slug"])
@pytest.mark.parametrize("value", [None, [], True, 1.5])
def test_a_repository_without_its_key_is_an_error(key: str, value: object) -> None:
    with pytest.raises(BitbucketError, match=f"'{key}'"):
        repository(**{key: value})


def test_a_default_branch_has_a_row_also_when_there_is_none() -> None:
    record = records.default_branch(LEDGER, "PAY", DefaultBranch("empty"))
    known = {name: value for name, value in record.items() if value is not None}
    assert known == {
        "repository_id": 12,
        "project_key": "PAY",
        "repository_slug": "ledger",
        "status": "empty",
    }


def test_a_default_branch_that_exists_has_its_ref_its_name_and_its_latest_commit() -> None:
    branch = lenient(
        Branch,
        {"id": "refs/heads/main", "displayId": "main", "type": "BRANCH", "latestCommit": ID},
    )
    record = records.default_branch(LEDGER, "PAY", DefaultBranch("ok", branch))
    assert record == {
        "repository_id": 12,
        "project_key": "PAY",
        "repository_slug": "ledger",
        "status": "ok",
        "id": "refs/heads/main",
        "display_id": "main",
        "type": "BRANCH",
        "latest_commit": ID,
    }


# Whatever comes, a record is valid.


@UNHURRIED
@given(some(COMMIT_KEYS))
@example({"author": {"name": []}, "committerTimestamp": [], "authorTimestamp": {}})
def test_any_commit_gives_a_record_valid_by_its_schema(found: dict[str, Any]) -> None:
    record = commit(**found)
    Draft7Validator(schemas.COMMIT).validate(record)
    assert list(record) == list(schemas.COMMIT["properties"])


@UNHURRIED
@given(
    st.fixed_dictionaries(
        {"id": st.text()},
        optional={
            "displayId": TEXT,
            "message": TEXT,
            "author": PERSON,
            "committer": PERSON,
            "authorTimestamp": NUMBER,
            "committerTimestamp": NUMBER,
            "parents": st.lists(st.fixed_dictionaries({"id": st.text()}, optional={"x": JSON})),
            "properties": st.none()
            | st.fixed_dictionaries({}, optional={"jira-key": st.lists(st.text()), "x": JSON}),
            "unknown": JSON,
        },
    )
)
def test_the_quick_parser_finds_what_the_lenient_one_finds(found: dict[str, Any]) -> None:
    body = json.dumps({"values": [found], "isLastPage": True}).encode()
    [quick] = PAGE_OF_COMMITS.decode(body).values
    assert record_of(quick) == record_of(lenient(Commit, found))


@UNHURRIED
@given(some(["name", "description", "public", "type", "owner", "links"]))
def test_any_project_gives_a_record_valid_by_its_schema(found: dict[str, Any]) -> None:
    record = records.project(project(**found))
    Draft7Validator(schemas.PROJECT).validate(record)
    assert list(record) == list(schemas.PROJECT["properties"])


@UNHURRIED
@given(some(["name", "description", "state", "origin", "links", "archived", "project", "public"]))
def test_any_repository_gives_a_record_valid_by_its_schema(found: dict[str, Any]) -> None:
    record = records.repository(repository(**found), PROJECT)
    Draft7Validator(schemas.REPOSITORY).validate(record)
    assert list(record) == list(schemas.REPOSITORY["properties"])


def test_equal_people_of_many_commits_are_not_mixed_up() -> None:
    draw = random.Random(7)  # noqa: S311 to repeat it
    people: list[dict[str, Any]] = [MATCHED, {"name": "Bob", "emailAddress": "b@x"}, {}]
    for _ in range(50):
        author, committer = draw.choice(people), draw.choice(people)
        record = commit(author=author, committer=committer)
        assert record["author_email"] == author.get("emailAddress")
        assert record["committer_email"] == committer.get("emailAddress")
