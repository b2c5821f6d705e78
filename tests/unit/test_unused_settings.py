"""Settings that were given and have no effect are named, with the one that was meant."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tap_bitbucket_dc.bitbucket.errors import ConfigError
from tap_bitbucket_dc.unused_settings import Unused, find, require_none, warn

KNOWN = (
    *("base_url", "token", "projects", "exclude_projects", "forks", "concurrency"),
    *("shard_count", "shard_index", "batch_config", "stream_maps"),
)
TAP = "TAP_BITBUCKET_DC_"
IN_MELTANO = {
    "MELTANO_EXTRACTOR_NAME": "tap-bitbucket-dc",
    "MELTANO_EXTRACTOR_NAMESPACE": "tap_bitbucket_dc",
}
INHERITED = {
    "MELTANO_EXTRACTOR_NAME": "tap-bitbucket-dc-eu",
    "MELTANO_EXTRACTOR_NAMESPACE": "tap_bitbucket_dc_eu",
}


def meant(config: dict[str, Any], environment: dict[str, str]) -> list[str]:
    """Return what was meant by each setting without effect."""
    return [unused.meant for unused in find(config, environment, KNOWN)]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("project", "projects"),
        ("baseUrl", "base_url"),
        ("excluded_projects", "exclude_projects"),
        ("shards", "shard_count"),
        ("shard", "shard_index"),
        ("shard_idx", "shard_index"),
        ("foo", ""),
    ],
)
@pytest.mark.parametrize("where", ["configuration", "environment"])
def test_a_misspelt_setting_is_named_with_the_nearest(name: str, nearest: str, where: str) -> None:
    variable = f"{TAP}{name.upper()}"
    in_file = where == "configuration"
    [unused] = find({name: 1} if in_file else {}, {} if in_file else {variable: "1"}, KNOWN)
    assert unused.meant == nearest
    said = f"`{name}` is not a setting." if in_file else f"`{variable}` matches no setting."
    assert said in unused.what
    question = nearest if in_file else f"{TAP}{nearest.upper()}"
    assert (f"Did you mean `{question}`?" in unused.what) == bool(nearest)


@pytest.mark.parametrize(
    ("environment", "remedy"), [({}, "--config ENV"), (IN_MELTANO, "meltano.yml")]
)
def test_a_variable_that_did_not_reach_its_setting_is_named_with_what_to_do(
    environment: dict[str, str], remedy: str
) -> None:
    environment = {**environment, f"{TAP}FORKS": "geheim", f"{TAP}TOKEN": "geheim"}
    [unused] = find({"token": "t"}, environment, KNOWN)
    assert unused.meant == "forks"
    assert f"`{TAP}FORKS`" in unused.what
    assert remedy in unused.remedy
    assert "geheim" not in str(unused)


@pytest.mark.parametrize(
    "variables",
    [
        {"TOKEN": "t"},
        {"STREAM_MAPS": "{}", "STREAM_MAPS_COMMITS_BRANCH_NAME": "'a'"},
        {"FORKS": ""},
        {"LOGLEVEL": "DEBUG"},
        {"_SELECT": '["*.*"]', "EU__SELECT": "[]"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "meltano", [{}, IN_MELTANO, INHERITED], ids=["alone", "in Meltano", "inherited"]
)
def test_what_has_an_effect_is_not_named(
    variables: dict[str, str], meltano: dict[str, str]
) -> None:
    config = {"token": "t", "stream_maps": {"commits": {"branch-name": "'a'"}}}
    environment = {f"{TAP}{name}": value for name, value in variables.items()}
    assert meant(config, {**environment, **meltano, "TAP_OTHER_FORKS": "1"}) == []


def test_a_member_of_an_object_that_did_not_reach_it_is_named() -> None:
    variables = {f"{TAP}BATCH_CONFIG_STORAGE_ROOT": "out"}
    assert meant({"batch_config": {"storage": {"root": "out"}}}, variables) == []
    assert meant({"batch_config": {"storage": {}}}, variables) == ["batch_config"]
    assert meant({}, variables) == ["batch_config"]


def test_a_plugin_that_inherits_has_variables_of_its_own() -> None:
    variables = {f"{TAP}EU_FORKS": "false"}
    assert meant({}, variables | INHERITED) == ["forks"]
    assert meant({"forks": False}, variables | INHERITED) == []
    assert meant({}, {"TAP_GIT_FORKS": "false", "MELTANO_EXTRACTOR_NAME": "tap-git"}) == ["forks"]


@pytest.mark.parametrize("name", ["US_TOKEN", "SHARD_1_SHARD_INDEX", "SHARD_1_TOKEN", "X_FORKS"])
def test_variables_of_other_plugins_are_left_alone_in_meltano(name: str) -> None:
    for plugin in (IN_MELTANO, INHERITED):
        assert meant({}, {f"{TAP}{name}": "1", **plugin}) == []
    assert len(meant({}, {f"{TAP}{name}": "1"})) == 1


@pytest.mark.parametrize("name", ["shard_count", "shard_index"])
def test_a_run_that_should_have_been_a_shard_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` did not reach the tap"):
        warn(find({}, {f"{TAP}{name.upper()}": "2"}, KNOWN), logging.getLogger())
    with pytest.raises(ConfigError, match="Did you mean `shard_count`"):
        warn(find({"shards": 2}, {}, KNOWN), logging.getLogger())


def test_anything_else_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    warn(find({"project": []}, {f"{TAP}FORKS": "1"}, KNOWN), logging.getLogger())
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_each_remedy_is_given_once() -> None:
    with pytest.raises(ConfigError) as raised:
        require_none([Unused("One."), Unused("Two.")])
    assert str(raised.value) == f"invalid_config: One. Two. {Unused('').remedy}"


def test_without_an_unused_setting_all_is_well() -> None:
    require_none([])
