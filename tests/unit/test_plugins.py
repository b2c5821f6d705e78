"""The plugin files: complete, of the form of Meltano and its hub, in step with the project."""

from __future__ import annotations

import json
from importlib import resources
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]

from tap_bitbucket_dc.settings import SETTINGS
from tap_bitbucket_dc.tap import TapBitbucketDC
from tap_bitbucket_dc.warehouse import __main__ as warehouse

ROOT = Path(__file__).parents[2]
TYPES = {
    "tap-bitbucket-dc": "extractors",
    "target-postgres": "loaders",
    "bitbucket-report": "utilities",
}
FILES: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((ROOT / f".github/meltano/{name}.yml").read_text("utf-8"))
    for name in TYPES
}
PLUGIN, LOADER, REPORT = FILES.values()
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text("utf-8"))["plugins"]
EXTRACTOR: dict[str, Any] = PROJECT["extractors"][0]
OF_THE_HUB = {"domain_url", "keywords", "maintenance_status", "quality"}
# Meltano 4.4 reads it, and its schema does not know it.
NEW = {"supported_python_versions"}
# What Meltano's hub asks of an extractor, as far as it is used here.
# Source: https://github.com/meltano/hub/tree/main/schemas/plugin_definitions
TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT, "uniqueItems": True}
KINDS = ["string", "integer", "boolean", "array", "object", "date_iso8601", "file"]
SETTING = {
    "type": "object",
    "required": ["name", "kind", "label", "description"],
    "additionalProperties": False,
    "properties": {
        "name": TEXT,
        "kind": {"enum": KINDS},
        "label": TEXT,
        "description": TEXT,
        "placeholder": TEXT,
        "sensitive": {"type": "boolean"},
        "value": True,
    },
}
SCHEMA = {
    "type": "object",
    "required": [
        *("name", "namespace", "variant", "label", "pip_url", "repo", "logo_url"),
        *("quality", "maintenance_status", "capabilities", "settings"),
    ],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("name", "namespace", "variant", "label", "description"), TEXT),
        **dict.fromkeys(("pip_url", "executable", "domain_url", "log_parser"), TEXT),
        "variant": {"pattern": "^[a-z][a-z-]+$"},
        "repo": {"pattern": "^https://"},
        "logo_url": {"pattern": r"^/assets/logos/extractors/[a-z]+\.svg$"},
        "capabilities": TEXTS,
        "keywords": TEXTS,
        "maintenance_status": {"enum": ["active", "beta", "development", "inactive", "unknown"]},
        "quality": {"enum": ["gold", "silver", "bronze", "unknown"]},
        "settings": {"type": "array", "items": SETTING},
        "settings_group_validation": {"type": "array", "items": TEXTS},
        "supported_python_versions": {**TEXTS, "items": {"pattern": r"^3\.\d+$"}},
    },
}


def test_the_plugin_has_the_form_that_the_hub_asks_for() -> None:
    jsonschema.validate(PLUGIN, SCHEMA)


@pytest.mark.parametrize("name", FILES)
def test_meltano_takes_the_file_as_a_plugin(name: str) -> None:
    schema = json.loads(
        resources.files("meltano.schemas").joinpath("meltano.schema.json").read_text()
    )
    plugin = {key: value for key, value in FILES[name].items() if key not in OF_THE_HUB | NEW}
    jsonschema.validate({"plugins": {TYPES[name]: [plugin]}}, schema)
    assert plugin["name"] == name


@pytest.mark.parametrize("name", FILES)
def test_each_setting_of_a_plugin_says_what_it_is(name: str) -> None:
    settings = FILES[name]["settings"]
    assert len(by_name(settings)) == len(settings)
    assert all(each["description"].endswith(".") and each["label"] for each in settings)
    groups = FILES[name].get("settings_group_validation", [])
    assert {setting for group in groups for setting in group} <= by_name(settings).keys()


def test_the_tap_asks_for_one_of_two_logins() -> None:
    assert PLUGIN["settings_group_validation"] == [
        ["base_url", "token"],
        ["base_url", "username", "password"],
    ]


def test_the_tap_declares_every_setting_that_it_knows() -> None:
    TapBitbucketDC.append_builtin_config(SETTINGS)
    # The tap does not install faker.
    assert by_name(PLUGIN["settings"]).keys() == SETTINGS["properties"].keys() - {"faker_config"}


def test_the_hub_and_meltano_yml_have_the_same_settings() -> None:
    assert by_name(PLUGIN["settings"]) == by_name(EXTRACTOR["settings"])


def test_the_hub_and_meltano_yml_say_the_same_of_the_rest() -> None:
    both = PLUGIN.keys() & EXTRACTOR.keys() - {"settings"}
    assert {key: PLUGIN[key] for key in both} == {key: EXTRACTOR[key] for key in both}
    assert EXTRACTOR.keys() - {"select"} <= PLUGIN.keys()


def test_target_postgres_loads_as_the_one_of_meltano_yml() -> None:
    [loader] = [each for each in PROJECT["loaders"] if each["name"] == "target-postgres"]
    added, declared = by_name(LOADER["settings"]), by_name(loader["settings"])
    assert added.keys() >= declared.keys()
    for name, setting in declared.items():
        assert (name, added[name].get("value")) == (name, setting.get("value"))
        assert added[name].get("sensitive") == setting.get("sensitive")


def test_the_report_is_connected_as_the_loader_is() -> None:
    assert REPORT["namespace"] == LOADER["namespace"]
    loader = by_name(LOADER["settings"])
    for name, setting in by_name(REPORT["settings"]).items():
        if name != "output":
            assert setting["kind"] == loader[name]["kind"]
            assert setting.get("sensitive") == loader[name].get("sensitive")
    schema = by_name(REPORT["settings"])["default_target_schema"]
    assert schema["value"] == loader["default_target_schema"]["value"]


def test_the_report_reads_each_of_its_settings() -> None:
    variables = set(warehouse.MELTANO.values())
    for name, setting in by_name(REPORT["settings"]).items():
        own = f"{REPORT['name']}_{name}".replace("-", "_").upper()
        assert own in variables or setting["env"].startswith("PG"), name


def test_the_keys_are_sorted_as_the_hub_wants_them() -> None:
    assert json.dumps(PLUGIN) == json.dumps(PLUGIN, sort_keys=True)
    names = [setting["name"] for setting in PLUGIN["settings"]]
    assert names == sorted(names)


def test_the_plugins_come_from_the_repository_of_the_package() -> None:
    package = distribution("tap-bitbucket-dc")
    urls = dict(each.split(", ") for each in package.metadata.get_all("Project-URL", []))
    git = f"git+{urls['Repository']}.git"
    assert PLUGIN["repo"] == REPORT["repo"] == urls["Repository"]
    assert PLUGIN["pip_url"] == git
    assert REPORT["pip_url"] == f"tap-bitbucket-dc[warehouse]@{git}"
    assert PLUGIN["variant"] == REPORT["variant"] == urls["Repository"].split("/")[-2]


def test_the_hub_and_the_package_agree() -> None:
    package = distribution("tap-bitbucket-dc")
    assert {PLUGIN["executable"], REPORT["executable"]} <= set(package.entry_points.names)
    prefix = "Programming Language :: Python :: "
    assert PLUGIN["supported_python_versions"] == [
        classifier.removeprefix(prefix)
        for classifier in package.metadata.get_all("Classifier", [])
        if classifier.startswith(f"{prefix}3.")
    ]


def by_name(settings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {setting["name"]: setting for setting in settings}
