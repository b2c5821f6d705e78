"""Which projects and repositories the settings choose, and which settings are mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from tap_bitbucket_dc.bitbucket import Origin, Project, Repository
from tap_bitbucket_dc.bitbucket.errors import ConfigError
from tap_bitbucket_dc.extract.filters import Filters
from tap_bitbucket_dc.tap import TapBitbucketDC


def filters(**settings: Any) -> Filters:
    """Return the filters of some settings, the others at their defaults."""
    config = {"base_url": "https://git.example.com", "token": "t", **settings}
    return Filters(TapBitbucketDC(config=config).config)


def chosen(chooses: Filters, *names: str, **facts: Any) -> list[str]:
    """List all names, ``KEY`` or ``KEY/slug``, as the tap does; return those chosen."""
    found = []
    for key in dict.fromkeys(name.partition("/")[0] for name in names):
        if chooses.project(key):
            slugs = [name.partition("/")[2] for name in names if name.startswith(f"{key}/")]
            project = Project(id=1, key=key)
            found += [
                f"{key}/{slug}"
                for slug in slugs
                if chooses.repository(Repository(id=1, slug=slug, project=project, **facts))
            ]
    return found


ALL = ("PAY/ledger", "PAY/api", "OPS/tools", "OPS/api", "~ada/notes")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["PAY/ledger", "PAY/api", "OPS/tools", "OPS/api"]),
        ({"personal_projects": True}, list(ALL)),
        ({"projects": ["PAY"]}, ["PAY/ledger", "PAY/api"]),
        ({"projects": ["pay"]}, ["PAY/ledger", "PAY/api"]),
        ({"projects": [" PAY "]}, ["PAY/ledger", "PAY/api"]),
        ({"projects": ["P*", "o?s"]}, ["PAY/ledger", "PAY/api", "OPS/tools", "OPS/api"]),
        ({"projects": ["[!P]*"]}, ["OPS/tools", "OPS/api"]),
        ({"projects": ["PAY", "~ada"]}, ["PAY/ledger", "PAY/api", "~ada/notes"]),
        ({"projects": ["~ADA"]}, ["~ada/notes"]),
        ({"projects": ["~*"]}, ["~ada/notes"]),
        # A star without ~ means projects, not people, unless people are asked for.
        ({"projects": ["*"]}, ["PAY/ledger", "PAY/api", "OPS/tools", "OPS/api"]),
        ({"projects": ["*"], "personal_projects": True}, list(ALL)),
        ({"projects": ["PAY"], "personal_projects": True}, ["PAY/ledger", "PAY/api"]),
        ({"exclude_projects": ["pay"]}, ["OPS/tools", "OPS/api"]),
        ({"exclude_projects": ["*"], "personal_projects": True}, []),
        ({"projects": ["PAY"], "exclude_projects": ["P*"]}, []),
        ({"repositories": ["PAY/ledger"]}, ["PAY/ledger"]),
        ({"repositories": ["pay/LEDGER"]}, ["PAY/ledger"]),
        ({"repositories": ["*/api"]}, ["PAY/api", "OPS/api"]),
        ({"repositories": ["PAY/*"]}, ["PAY/ledger", "PAY/api"]),
        ({"repositories": ["~ada/*"]}, ["~ada/notes"]),
        ({"repositories": ["PAY/api", "OPS/tools"]}, ["PAY/api", "OPS/tools"]),
        ({"projects": ["PAY"], "repositories": ["*/api"]}, ["PAY/api"]),
        ({"exclude_repositories": ["*/api"]}, ["PAY/ledger", "OPS/tools"]),
        ({"repositories": ["PAY/*"], "exclude_repositories": ["PAY/api"]}, ["PAY/ledger"]),
    ],
)
def test_filters_choose(settings: dict[str, Any], expected: list[str]) -> None:
    chooses = filters(**settings)
    assert chosen(chooses, *ALL) == expected
    assert chooses.unmatched() == []


@pytest.mark.parametrize(
    ("switch", "facts"), [("forks", {"origin": Origin(id=1)}), ("archived", {"archived": True})]
)
def test_a_switch_leaves_out_what_it_names(switch: str, facts: dict[str, object]) -> None:
    assert chosen(filters(), "PAY/x", **facts) == ["PAY/x"]
    assert chosen(filters(**{switch: False}), "PAY/x", **facts) == []
    assert chosen(filters(**{switch: False}), "PAY/x") == ["PAY/x"]


@pytest.mark.parametrize(
    ("settings", "unmatched"),
    [
        ({"projects": ["PAY", "NO"]}, ["NO"]),
        ({"projects": ["pay", "no*"]}, []),
        ({"exclude_projects": ["NO"]}, ["NO"]),
        ({"repositories": ["PAY/ledger", "PAY/No"]}, ["PAY/No"]),
        ({"repositories": ["PAY/*", "NO/*"]}, []),
        ({"exclude_repositories": ["PAY/no"]}, ["PAY/no"]),
        ({"projects": ["PAY", "NO"], "exclude_repositories": ["NO/*"]}, ["NO"]),
        # What other filters leave out is not listed, or matched nevertheless: no mistake.
        ({"projects": ["PAY"], "exclude_projects": ["OPS"]}, []),
        ({"projects": ["PAY"], "exclude_repositories": ["OPS/api"]}, []),
        ({"exclude_projects": ["~ada"]}, []),
        ({"exclude_projects": ["~ada"], "personal_projects": True}, []),
        ({"exclude_projects": ["~bob"], "personal_projects": True}, ["~bob"]),
        ({"exclude_repositories": ["~ada/notes"]}, []),
        ({"repositories": ["PAY/ledger"], "exclude_repositories": ["PAY/ledger"]}, []),
    ],
)
def test_a_pattern_without_a_wildcard_that_matches_nothing_is_found(
    settings: dict[str, Any], unmatched: list[str]
) -> None:
    chooses = filters(**settings)
    chosen(chooses, *ALL)
    assert chooses.unmatched() == unmatched


def test_a_fork_that_is_left_out_has_matched_its_pattern() -> None:
    chooses = filters(repositories=["PAY/fork"], forks=False)
    assert chosen(chooses, "PAY/fork", origin=Origin(id=1)) == []
    assert chooses.unmatched() == []


def test_where_only_projects_were_listed_no_repository_is_missed() -> None:
    chooses = filters(repositories=["PAY/ledger"], exclude_repositories=["PAY/no"])
    assert chooses.project("PAY")
    assert chooses.unmatched(repositories=False) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, []),
        ({"projects": ["PAY", "O*", "~Ada", "[x]"]}, ["PAY", "~Ada"]),
        ({"repositories": ["PAY/a", "PAY/b*", "*/c", "~ada/*"]}, ["PAY", "~ada"]),
        ({"projects": ["PAY"], "repositories": ["OPS/x"]}, ["PAY"]),
    ],
)
def test_projects_that_patterns_name_are_known(settings: dict[str, Any], named: list[str]) -> None:
    assert filters(**settings).named_projects() == named


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"personal_projects": True}, True),
        ({"personal_projects": True, "projects": ["PAY"]}, False),
        ({"personal_projects": True, "projects": ["PAY", "~*"]}, True),
        ({"personal_projects": True, "repositories": ["~ada/x"]}, False),
        ({"personal_projects": True, "repositories": ["*/x"]}, True),
    ],
)
def test_personal_projects_are_listed_only_if_some_may_be_read(
    settings: dict[str, Any], *, expected: bool
) -> None:
    assert filters(**settings).all_personal() == expected


@pytest.mark.parametrize(
    ("setting", "pattern"),
    [
        ("projects", ""),
        ("projects", " "),
        ("projects", "PAY/ledger"),
        ("exclude_projects", "PAY/"),
        ("repositories", "ledger"),
        ("repositories", "PAY/"),
        ("repositories", "/ledger"),
        ("exclude_repositories", "PAY"),
    ],
)
def test_a_pattern_of_another_kind_is_refused_by_name(setting: str, pattern: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        filters(**{setting: [pattern]})
    assert f"`{setting}`: {pattern!r}" in str(refusal.value)
