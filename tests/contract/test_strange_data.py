"""Whatever git and servers allow leads to a record that fits its schema, or to one clear error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tap_bitbucket_dc.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator import Bitbucket
    from tests import singer
    from tests.conftest import Sync
    from tests.git_repository import GitRepository

    Tell = Callable[..., singer.Json]

REPLACED = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(autouse=True)
def ledger(repository: Callable[[str], GitRepository]) -> GitRepository:
    ledger = repository("PAY/ledger")
    ledger.commit("first", author="Ada Lovelace <ada@example.com>")
    return ledger


@pytest.fixture
def told(bitbucket: Bitbucket, sync: Sync) -> Tell:
    """Changes values of the commit that the server sends, and returns the tap's record of it."""

    def read(**changes: object) -> singer.Json:
        def change(body: singer.Json) -> singer.Json:
            values = [{**commit, **changes} for commit in body["values"]]
            return {**body, "values": values}

        bitbucket.faults[:] = [Fault("/commits", kind="replace", replace=change, times=None)]
        output = sync()
        assert output.exit_code == 0, output.log
        assert_fits(output)
        return output.records("commits")[0]

    return read


def assert_fits(output: singer.Output) -> None:
    """Check that each record fits the schema that was written before it."""
    schemas: dict[str, Any] = {}
    for message in output.messages:
        if message["type"] == "SCHEMA":
            schema = jsonschema.Draft202012Validator(
                message["schema"], format_checker=jsonschema.FormatChecker()
            )
            schemas[message["stream"]] = schema
        elif message["type"] == "RECORD":
            schemas[message["stream"]].validate(message["record"])


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (2**31 * 1000, "2038-01-19T03:14:08Z"),
        (-62135596800000, "0001-01-01T00:00:00Z"),
        (-62135596800001, None),
        (253402300799000, "9999-12-31T23:59:59Z"),
        (253402300800000, None),
        (2**62, None),
        (2**63, None),
        (2**70, None),
        (-(2**70), None),
        (10**4000, None),
        (float("nan"), None),
        (float("inf"), None),
        ("1700137400000", None),
        (True, None),
        (None, None),
        ([], None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_date_is_a_time_of_the_years_1_to_9999_or_null(
    told: Tell, milliseconds: object, expected: str | None
) -> None:
    record = told(authorTimestamp=milliseconds, committerTimestamp=milliseconds)
    assert record["author_timestamp"] == expected
    assert record["committer_timestamp"] == expected


def test_dates_of_git_itself_come_through(sync: Sync, ledger: GitRepository) -> None:
    for seconds in (-86400, 2**33, 253402300800, 2**40):
        ledger.commit(date=seconds)
    output = sync()
    assert_fits(output)
    times = {r["committer_timestamp"] for r in output.records("commits")}
    assert {"1969-12-31T00:00:00Z", "2242-03-16T12:56:32Z", None} < times


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (None, (None, None, None, None)),
        ({}, (None, None, None, None)),
        ("Ada", (None, None, None, None)),
        ([{"name": "Ada"}], (None, None, None, None)),
        ({"name": "Ada"}, ("Ada", None, None, None)),
        ({"name": "Ada", "emailAddress": None}, ("Ada", None, None, None)),
        ({"name": "", "emailAddress": ""}, ("", "", None, None)),
        ({"name": "ada", "displayName": "Ada L", "id": 7}, ("Ada L", None, "ada", 7)),
        ({"name": "ada", "displayName": "Ada L", "id": 7.0}, ("Ada L", None, "ada", None)),
        ({"name": "ada", "displayName": "Ada L", "id": "7"}, ("Ada L", None, "ada", None)),
        ({"name": 5, "emailAddress": [], "id": {}}, (None, None, None, None)),
    ],
    ids=str,
)
@pytest.mark.parametrize("role", ["author", "committer"])
def test_a_person_has_whatever_is_known(
    told: Tell, role: str, person: object, expected: tuple[object, ...]
) -> None:
    record = told(**{role: person})
    columns = ("name", "email", "username", "user_id")
    assert tuple(record[f"{role}_{column}"] for column in columns) == expected


def test_a_commit_with_nothing_but_an_id_is_a_record(bitbucket: Bitbucket, sync: Sync) -> None:
    def strip(body: singer.Json) -> singer.Json:
        return {**body, "values": [{"id": body["values"][0]["id"]}]}

    bitbucket.faults.append(Fault("/commits", kind="replace", replace=strip))
    output = sync()
    assert_fits(output)
    record = output.records("commits")[0]
    unknown = {column for column, value in record.items() if value is None}
    assert {"message", "author_name", "committer_timestamp", "display_id"} <= unknown
    assert (record["parent_ids"], record["is_merge"], record["issue_keys"]) == (None, None, [])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", ""),
        ("x" * 20_000, "x" * 20_000),
        ("a\u2028b\u2029c\x85d", "a\u2028b\u2029c\x85d"),
        ("tab\tand\r\nlines\x1b[31m", "tab\tand\r\nlines\x1b[31m"),
        ("\N{GRINNING FACE} ü", "\N{GRINNING FACE} ü"),
        ("NUL\0NUL", f"NUL{REPLACED}NUL"),
        ("\ud800", REPLACED),
        ("a\udc00b\ud83d", f"a{REPLACED}b{REPLACED}"),
        (5, None),
        (None, None),
        (["x"], None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_message_is_unchanged_except_for_what_databases_reject(
    told: Tell, message: object, expected: str | None
) -> None:
    assert told(message=message)["message"] == expected


@pytest.mark.parametrize(
    ("name", "value", "column", "expected"),
    [
        ("parents", None, "parent_ids", None),
        ("parents", 5, "parent_ids", None),
        ("parents", {"id": "a"}, "parent_ids", None),
        ("parents", ["a", None, {"id": 5}, {}], "parent_ids", None),
        ("properties", None, "issue_keys", []),
        ("properties", {"jira-key": None}, "issue_keys", []),
        ("properties", {"jira-key": "PAY-1"}, "issue_keys", []),
        ("properties", {"jira-key": ["PAY-1", 5, None]}, "issue_keys", ["PAY-1"]),
        ("properties", {"jira-key": ["PAY-1"], "new": {"a": [1]}}, "issue_keys", ["PAY-1"]),
        ("displayId", 5, "display_id", None),
        ("unknown", {"x": [1, 2, {"y": None}]}, "message", "first"),
        ("unknown", float("nan"), "message", "first"),
    ],
    ids=str,
)
def test_a_part_of_another_shape_is_left_out_and_the_rest_is_kept(
    told: Tell, name: str, value: object, column: str, expected: object
) -> None:
    record = told(**{name: value})
    assert record[column] == expected
    assert record["message"] == "first"


def raw(bitbucket: Bitbucket, change: Callable[[str], str]) -> None:
    def replace(body: singer.Json) -> bytes:
        return change(json.dumps(body)).encode()

    bitbucket.faults.append(Fault("/commits", kind="replace", replace=replace, times=None))


def test_the_last_of_two_equal_keys_counts(bitbucket: Bitbucket, sync: Sync) -> None:
    raw(bitbucket, lambda text: text.replace('"message":', '"message": "no", "message":'))
    assert [r["message"] for r in sync().records("commits")] == ["first"]


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_nesting_is_read_or_an_error(bitbucket: Bitbucket, sync: Sync, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    raw(bitbucket, lambda text: text.replace('"message":', f'"deep": {nested}, "message":'))
    output = sync(max_retries=0)
    if output.exit_code:
        assert output.code == "unexpected_answer"
        assert "PAY/ledger" in output.last_line
    else:
        assert [r["message"] for r in output.records("commits")] == ["first"]


def test_a_number_without_end_is_an_error(bitbucket: Bitbucket, sync: Sync) -> None:
    body = b'{"values": [], "isLastPage": false, "nextPageStart": %s}' % (b"1" * 5000)
    bitbucket.faults.append(Fault("/projects", 200, {}, body, "application/json", None))
    output = sync(max_retries=0)
    assert output.code == "unexpected_answer"
    assert "is not JSON" in output.last_line


def test_pages_without_rows_that_are_not_the_last_are_passed(
    bitbucket: Bitbucket, sync: Sync, ledger: GitRepository
) -> None:
    ledger.commits(4)
    bitbucket.page_caps["commits"] = 2

    def hide(body: singer.Json) -> singer.Json:
        return {**body, "values": [], "size": 0}

    bitbucket.faults.append(Fault("commits.*start=2", kind="replace", replace=hide))
    output = sync()
    assert output.exit_code == 0, output.log
    assert len(output.records("commits")) == 5


def test_a_listing_of_empty_pages_without_end_is_an_error(bitbucket: Bitbucket, sync: Sync) -> None:
    def endless(body: singer.Json) -> singer.Json:
        after = body["start"] + 1
        return {**body, "values": [], "isLastPage": False, "nextPageStart": after}

    bitbucket.faults.append(Fault("/projects\\?", kind="replace", replace=endless, times=None))
    output = sync()
    assert output.code == "unexpected_answer"
    assert "empty pages" in output.last_line


@pytest.mark.parametrize("wrong", [None, 5.0, "5", True, [], {}], ids=repr)
@pytest.mark.parametrize("listing", ["/projects\\?", "/PAY/repos\\?", "/commits"])
def test_a_row_without_its_key_is_an_error_and_no_record(
    bitbucket: Bitbucket, sync: Sync, listing: str, wrong: object
) -> None:
    def spoil(body: singer.Json) -> singer.Json:
        values = [{**row, "id": 5 if listing == "/commits" else wrong} for row in body["values"]]
        return {**body, "values": values}

    bitbucket.faults.append(Fault(listing, kind="replace", replace=spoil, times=None))
    output = sync()
    assert output.code == "unexpected_answer", output.log
    assert output.records("commits") == []


def test_repositories_and_projects_may_be_bare(bitbucket: Bitbucket, sync: Sync) -> None:
    def bare(body: singer.Json) -> singer.Json:
        keys = ("id", "key", "slug")
        values = [{key: row[key] for key in keys if key in row} for row in body["values"]]
        return {**body, "values": values}

    bitbucket.faults += [
        Fault("/projects\\?", kind="replace", replace=bare),
        Fault("/PAY/repos\\?", kind="replace", replace=bare),
    ]
    output = sync()
    assert output.exit_code == 0, output.log
    assert_fits(output)
    assert len(output.records("commits")) == 1


def test_links_and_origins_of_other_shapes_are_left_out(bitbucket: Bitbucket, sync: Sync) -> None:
    odd: dict[str, Any] = {
        "links": {"self": [5], "clone": [{"name": "http", "href": "http://[bad"}, None, {}]},
        "origin": {"id": 2**62, "project": [], "slug": 5},
        "description": 5,
        "archived": "no",
    }

    def spoil(body: singer.Json) -> singer.Json:
        return {**body, "values": [{**row, **odd} for row in body["values"]]}

    bitbucket.faults.append(Fault("/PAY/repos\\?", kind="replace", replace=spoil))
    output = sync()
    assert output.exit_code == 0, output.log
    assert_fits(output)
    row = output.records("repositories")[0]
    assert row["origin_id"] == 2**62
    left_out = ("url", "clone_url_http", "origin_project_key", "origin_slug", "archived")
    assert [row[column] for column in left_out] == [None] * 5
