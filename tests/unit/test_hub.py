"""The plugin as Meltano's hub has it: complete, of the hub's form, in step with the project."""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
PLUGIN: dict[str, Any] = yaml.safe_load((ROOT / ".github/meltano-hub.yml").read_text("utf-8"))
EXTRACTOR: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text("utf-8"))["plugins"][
    "extractors"
][0]
# What Meltano's hub asks of an extractor, as far as it is used here.
# Source: https://github.com/meltano/hub/tree/main/schemas/plugin_definitions
TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT, "uniqueItems": True}
KINDS = ["string", "integer", "decimal", "boolean", "array", "object", "date_iso8601", "file"]
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
    "required": ["name", "namespace", "variant", "quality", "settings", "capabilities", "pip_url"],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("name", "namespace", "variant", "label", "description"), TEXT),
        **dict.fromkeys(("pip_url", "executable", "domain_url", "log_parser"), TEXT),
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


def test_the_hub_and_meltano_yml_have_the_same_settings() -> None:
    assert by_name(PLUGIN["settings"]) == by_name(EXTRACTOR["settings"])


def test_the_hub_and_meltano_yml_say_the_same_of_the_rest() -> None:
    both = PLUGIN.keys() & EXTRACTOR.keys() - {"settings"}
    assert {key: PLUGIN[key] for key in both} == {key: EXTRACTOR[key] for key in both}
    assert EXTRACTOR.keys() <= PLUGIN.keys()


def test_the_keys_are_sorted_as_the_hub_wants_them() -> None:
    assert json.dumps(PLUGIN) == json.dumps(PLUGIN, sort_keys=True)
    names = [setting["name"] for setting in PLUGIN["settings"]]
    assert names == sorted(names)


def test_the_hub_and_the_package_agree() -> None:
    package = distribution(PLUGIN["pip_url"])
    assert PLUGIN["executable"] in package.entry_points.names
    prefix = "Programming Language :: Python :: "
    assert PLUGIN["supported_python_versions"] == [
        classifier.removeprefix(prefix)
        for classifier in package.metadata.get_all("Classifier", [])
        if classifier.startswith(f"{prefix}3.")
    ]


def by_name(settings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {setting["name"]: setting for setting in settings}
