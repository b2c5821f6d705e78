"""Bitbucket's objects: strict where they fit, lenient where they do not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tap_bitbucket_dc.bitbucket.errors import SkippableError
from tap_bitbucket_dc.bitbucket.lenient import lenient
from tap_bitbucket_dc.bitbucket.models import (
    UNTOLD,
    Commit,
    Link,
    Links,
    Model,
    Origin,
    OriginProject,
    Parent,
    Person,
    Project,
    Properties,
    Repository,
)

ODD: list[object] = [None, 5, True, 1.5, "x", [], [5], {}, {"a": 1}, [{}], [{"id": 5}]]
ADA = {"name": "ada", "displayName": "Ada", "emailAddress": "a@x.org", "id": 3, "slug": "ada"}
COMMIT = {
    "id": "a" * 40,
    "displayId": "aaa",
    "message": "first",
    "author": {**ADA, "type": "NORMAL"},
    "authorTimestamp": 1,
    "committer": {"name": "Bob", "emailAddress": "b@x.org"},
    "committerTimestamp": -2,
    "parents": [{"id": "b" * 40, "displayId": "bbb"}],
    "properties": {"jira-key": ["PAY-1"]},
}
PROJECT = {"id": 1, "key": "~ADA", "name": "Ada", "owner": ADA, "type": "PERSONAL"}
REPOSITORY = {
    "id": 7,
    "slug": "ledger",
    "hierarchyId": "h",
    "scmId": "git",
    "statusMessage": "Available",
    "archived": False,
    "origin": {"id": 5, "slug": "old", "project": {"key": "PAY", "id": 9}},
    "project": PROJECT,
    "links": {
        "clone": [{"href": "ssh://x", "name": "ssh"}, {"href": "https://ada@x", "name": "http"}],
        "self": [{"href": "https://x/browse"}],
    },
}


@pytest.mark.parametrize(
    ("kind", "found"), [(Commit, COMMIT), (Project, PROJECT), (Repository, REPOSITORY)]
)
def test_what_fits_is_read_alike_by_both_ways(kind: type[Model], found: dict[str, Any]) -> None:
    assert lenient(kind, found) == msgspec.json.decode(msgspec.json.encode(found), type=kind)


def test_a_commit_has_all_its_parts() -> None:
    author = Person("ada", "a@x.org", "Ada", 3, "ada", "NORMAL")
    assert lenient(Commit, COMMIT) == Commit(
        id="a" * 40,
        display_id="aaa",
        message="first",
        author=author,
        author_timestamp=1,
        committer=Person("Bob", "b@x.org"),
        committer_timestamp=-2,
        parents=(Parent("b" * 40),),
        properties=Properties(("PAY-1",)),
    )


def test_a_repository_has_all_its_parts() -> None:
    found = lenient(Repository, REPOSITORY)
    assert found.hierarchy_id == "h"
    assert found.archived is False
    assert found.origin == Origin(5, "old", OriginProject("PAY"))
    assert found.url == "https://x/browse"
    assert found.clone_url("http") == "https://ada@x"
    assert found.clone_url("ssh") == "ssh://x"
    assert found.clone_url("svn") is None
    assert str(found) == "~ada/ledger"


@pytest.mark.parametrize("value", ODD, ids=str)
@pytest.mark.parametrize(
    ("kind", "found"), [(Commit, COMMIT), (Project, PROJECT), (Repository, REPOSITORY)]
)
def test_a_field_of_another_type_becomes_its_default_and_the_others_stay(
    kind: type[Model], found: dict[str, Any], value: object
) -> None:
    whole = lenient(kind, found)
    for field in msgspec.structs.fields(kind):
        if field.required or field.encode_name not in found:
            continue
        odd = lenient(kind, {**found, field.encode_name: value})
        for other in msgspec.structs.fields(kind):
            if other.name != field.name:
                assert getattr(odd, other.name) == getattr(whole, other.name)
        msgspec.json.decode(msgspec.json.encode(odd), type=kind)  # every type is as declared


@pytest.mark.parametrize(
    ("kind", "found", "name"),
    [
        (Commit, {}, "id"),
        (Commit, {"id": 5}, "id"),
        (Project, {"id": 1}, "key"),
        (Project, {"id": True, "key": "PAY"}, "id"),
        (Repository, {"id": 1, "slug": None}, "slug"),
    ],
)
def test_an_object_without_its_key_is_an_error_that_names_both(
    kind: type[Model], found: dict[str, Any], name: str
) -> None:
    with pytest.raises(SkippableError, match=f"a {kind.__name__} whose '{name}' is"):
        lenient(kind, found)


def test_what_is_not_an_object_is_an_error() -> None:
    with pytest.raises(SkippableError, match="a Commit was expected"):
        lenient(Commit, [])


def test_items_that_do_not_fit_are_left_out() -> None:
    found = lenient(Commit, {"id": "a", "properties": {"jira-key": ["A", 5]}})
    assert found.properties == Properties(("A",))


@pytest.mark.parametrize("item", [{"id": 5}, {}, None, "c"])
def test_parents_are_untold_if_one_of_them_is(item: object) -> None:
    assert lenient(Commit, {"id": "a", "parents": [{"id": "b"}, item]}).parents is UNTOLD


def test_a_nested_object_keeps_the_fields_that_fit() -> None:
    found = lenient(Commit, {"id": "a", "author": {"name": "ada", "id": "x", "displayName": 5}})
    assert found.author == Person("ada")


def test_a_nested_object_without_its_key_is_left_out() -> None:
    found = lenient(Repository, {"id": 1, "slug": "x", "project": {"id": None, "key": "PAY"}})
    assert found == Repository(1, "x")


def test_dates_as_text_become_milliseconds() -> None:
    dates = {"authorTimestamp": "2018-09-21T14:09:51.000Z", "committerTimestamp": "2018-09-21"}
    found = lenient(Commit, {"id": "a", **dates})
    assert (found.author_timestamp, found.committer_timestamp) == (1537538991000, 1537488000000)


@pytest.mark.parametrize("value", ["soon", "10:00", "", 1.5, True, [], {}])
def test_other_dates_become_none_and_are_reported(value: object) -> None:
    told: list[object] = []
    found = lenient(Commit, {"id": "a", "authorTimestamp": value}, told.append)
    assert found.author_timestamp is None
    assert told == [value]


def test_a_missing_date_is_not_reported() -> None:
    told: list[object] = []
    lenient(Commit, {"id": "a", "authorTimestamp": None, "message": 5}, told.append)
    assert told == []


def test_a_number_without_bounds_is_a_date_nonetheless() -> None:
    assert lenient(Commit, {"id": "a", "authorTimestamp": 2**70}).author_timestamp == 2**70


@pytest.mark.parametrize(
    ("project", "path_key"),
    [
        (Project(1, "PAY"), "PAY"),
        (Project(1, "PAY", owner=Person(slug="ada")), "PAY"),
        (Project(1, "~ADA"), "~ADA"),
        (Project(1, "~ADA", owner=Person(name="ada")), "~ADA"),
        (Project(1, "~ADA.B", owner=Person(slug="ada.b")), "~ada.b"),
    ],
)
def test_a_personal_project_stands_in_urls_by_its_owners_slug(
    project: Project, path_key: str
) -> None:
    assert project.path_key == path_key
    assert project.is_personal == path_key.startswith("~")


def test_a_name_is_safe_to_print() -> None:
    assert str(Repository(1, "a\x1b[2J", project=Project(1, "PAY"))) == "PAY/a [2J"


def test_without_links_there_is_no_url() -> None:
    assert Project(1, "PAY").url is None
    assert Repository(1, "x", links=Links(clone=(Link(name="http"),))).url is None
    assert Repository(1, "x", links=Links(clone=(Link(name="http"),))).clone_url("http") is None
