"""What is written for users agrees with the code."""

from __future__ import annotations

import ast
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tap_bitbucket_dc import schemas, settings
from tap_bitbucket_dc.bitbucket import errors
from tap_bitbucket_dc.tap import TapBitbucketDC

ROOT = Path(__file__).parents[2]
# Read anew: the SDK adds its own settings to the dictionary in use.
SETTINGS: dict[str, Any] = runpy.run_path(settings.__file__)["SETTINGS"]
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for top in ("*.md", ".github/**/*.md", "tap_bitbucket_dc/**/*.md", "tests/**/*.md")
    for path in sorted(ROOT.glob(top))
}
README = DOCUMENTS["README.md"]
STREAMS = DOCUMENTS["tap_bitbucket_dc/streams.md"]
LOADING = DOCUMENTS["tap_bitbucket_dc/loading.md"]
CONTRIBUTING = DOCUMENTS[".github/CONTRIBUTING.md"]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PLUGINS: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text("utf-8"))["plugins"]
EXTRACTOR: dict[str, Any] = PLUGINS["extractors"][0]
SCHEMAS = {
    "projects": schemas.PROJECT,
    "repositories": schemas.REPOSITORY,
    "default_branches": schemas.DEFAULT_BRANCH,
    "commits": schemas.COMMIT,
}
PROPERTIES = [(name, column) for name, schema in SCHEMAS.items() for column in schema["properties"]]


def section(title: str, document: str = README) -> str:
    """Return a section of a document, to the next heading of its level or above."""
    level = title.partition(" ")[0]
    text = document.split(f"\n{title}\n", 1)[1]
    return re.split(rf"\n#{{1,{len(level)}}} ", text)[0]


def rows(title: str, document: str = README) -> dict[str, list[str]]:
    """Return the rows of a table in a section, by what stands in their first column."""
    found = {}
    for line in section(title, document).splitlines():
        if line.startswith("| `"):
            first, *others = [cell.strip() for cell in line.strip("| ").split(" | ")]
            found[first.strip("`")] = others
    return found


@pytest.mark.parametrize("setting", SETTINGS["properties"])
def test_every_setting_is_in_the_readme_in_the_same_words(setting: str) -> None:
    documented = " ".join(rows("## Settings")[setting])
    assert SETTINGS["properties"][setting]["description"] in documented


def test_the_readme_has_no_setting_that_does_not_exist() -> None:
    assert set(rows("## Settings")) == set(SETTINGS["properties"])


@pytest.mark.parametrize("setting", SETTINGS["properties"])
def test_the_readme_says_the_default_of_every_setting(setting: str) -> None:
    row = next(line for line in section("## Settings").splitlines() if f"| `{setting}` |" in line)
    shown = row.split(" | ")[1].strip(" `")
    default = SETTINGS["properties"][setting].get("default")
    expected = "required" if setting in SETTINGS["required"] else ""
    assert shown == (expected if default is None else json.dumps(default))


@pytest.mark.parametrize("setting", SETTINGS["properties"])
def test_every_setting_is_in_meltano_yml(setting: str) -> None:
    declared = {each["name"]: each for each in EXTRACTOR["settings"]}[setting]
    described = SETTINGS["properties"][setting]
    assert " ".join(declared["description"].split()) == described["description"]
    assert declared["label"] == described["title"]
    assert declared.get("value") == described.get("default")
    assert declared.get("sensitive", False) == described.get("secret", False)


@pytest.mark.parametrize("setting", SETTINGS["properties"])
def test_every_setting_of_meltano_yml_has_a_kind_that_fits(setting: str) -> None:
    kinds = {
        "string": {"string", "file", "password"},
        "date-time": {"date_iso8601"},
        "boolean": {"boolean"},
        "integer": {"integer"},
        "number": {"integer"},  # Meltano 4.4 cannot pass on a decimal from the environment
        "array": {"array"},
        "object": {"object"},
    }
    described = SETTINGS["properties"][setting]
    types = described["type"]
    found = next(t for t in (types if isinstance(types, list) else [types]) if t != "null")
    declared = {each["name"]: each for each in EXTRACTOR["settings"]}[setting]
    assert declared["kind"] in kinds[described.get("format", found)]


def test_meltano_yml_claims_what_the_tap_can_do() -> None:
    assert sorted(EXTRACTOR["capabilities"]) == sorted(c.value for c in TapBitbucketDC.capabilities)


def test_the_fast_settings_of_target_postgres_are_those_of_meltano_yml() -> None:
    [loader] = [each for each in PLUGINS["loaders"] if each["name"] == "target-postgres"]
    declared = {each["name"]: each.get("value") for each in loader["settings"]}
    documented = {
        name: cells[0].strip("`")
        for name, cells in rows("## Fast settings for target-postgres", LOADING).items()
    }
    fast = {name: value for name, value in documented.items() if name in declared}
    assert fast.keys() >= {"validate_records", "use_copy", "load_method", "batch_size_rows"}
    for name, shown in fast.items():
        value = declared[name]
        expected = "not set" if value is None else value
        assert shown == (expected if isinstance(expected, str) else json.dumps(expected))


@pytest.mark.parametrize(("stream", "column"), PROPERTIES)
def test_every_column_is_described_and_documented_in_the_same_words(
    stream: str, column: str
) -> None:
    description = SCHEMAS[stream]["properties"][column]["description"]
    assert description.endswith(".")
    assert rows(f"## {stream}", STREAMS)[column][1] == description


@pytest.mark.parametrize("stream", SCHEMAS)
def test_no_column_is_documented_that_does_not_exist(stream: str) -> None:
    assert list(rows(f"## {stream}", STREAMS)) == list(SCHEMAS[stream]["properties"])


@pytest.mark.parametrize(("stream", "column"), PROPERTIES)
def test_every_column_has_a_name_that_sql_needs_no_quotes_for(stream: str, column: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", column), stream


@pytest.mark.parametrize("stream", SCHEMAS)
def test_every_column_but_the_keys_may_be_null(stream: str) -> None:
    schema = SCHEMAS[stream]
    keys = set(TapBitbucketDC(config={"base_url": "x"}).streams[stream].primary_keys)
    required = {name for name, each in schema["properties"].items() if "null" not in each["type"]}
    assert required == keys == set(schema["required"])


CODES = {
    "basic_auth_disabled",
    "captcha_required",
    "insecure_url",
    "invalid_config",
    "invalid_credentials",
    "invalid_permissions",
    "no_resources",
    "not_bitbucket",
    "rate_limited",
    "tls_error",
    "unavailable",
    "unexpected_answer",
    "unreachable",
}


def codes(module: Path) -> set[str]:
    """Return the codes that a module gives to errors: as an attribute, or as an argument."""
    nodes = list(ast.walk(ast.parse(module.read_text("utf-8"))))
    places = {
        node.name: [argument.arg for argument in node.args.args].index("code")
        for node in nodes
        if isinstance(node, ast.FunctionDef) and any(a.arg == "code" for a in node.args.args)
    }
    given: list[ast.expr] = []
    for node in nodes:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
            given.append(node.value)
        if isinstance(node, ast.Call):
            given += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if (place := places.get(ast.unparse(node.func))) is not None:
                given += node.args[place : place + 1]
    values = [node.value for node in given if isinstance(node, ast.Constant)]
    return {value for value in values if isinstance(value, str)}


def test_the_codes_of_errors_are_those_promised() -> None:
    modules = (ROOT / "tap_bitbucket_dc").rglob("*.py")
    assert set().union(*map(codes, modules)) == CODES


def test_the_readme_explains_every_code_of_an_error_and_no_other() -> None:
    assert set(rows("## Errors")) == CODES


@pytest.mark.parametrize(
    "error",
    [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.BitbucketError)
    ],
)
def test_every_kind_of_error_is_in_the_tree(error: type) -> None:
    assert error.__name__ in str(errors.__doc__)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_to_a_file_and_heading_that_exist(name: str) -> None:
    for link in LINK.findall(CODE.sub("", DOCUMENTS[name])):
        if ":" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


def anchors(document: str) -> set[str]:
    """Return the names by which GitHub links to the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", CODE.sub("", document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_contents_of_the_readme_are_its_headings() -> None:
    contents = README.split("\n## ", 1)[0]
    linked = re.findall(r"\[([^\]]*)\]\(#", contents)
    assert linked == re.findall(r"^## (.*)$", CODE.sub("", README), re.MULTILINE)


def test_every_module_has_a_place_in_the_architecture() -> None:
    package = ROOT / "tap_bitbucket_dc"
    names = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    names += [path.name for path in package.glob("[!_]*.py")]
    described = section("## Architecture", CONTRIBUTING)
    assert [name for name in names if f"`{name}`" not in described] == []


def test_the_sample_state_is_a_state() -> None:
    [sample] = re.findall(r"```json\n(\{\"bookmarks\".*?)```", STREAMS, re.DOTALL)
    [partition] = json.loads(sample)["bookmarks"]["commits"]["partitions"]
    assert re.fullmatch("[0-9a-f]{40}", partition["head"])
    assert partition["context"] == {"repository_id": 12}


def test_the_script_without_meltano_is_the_one_that_is_tested() -> None:
    [script] = re.findall(r"`load.sh`:\n\n```bash\n(.*?)```", LOADING, re.DOTALL)
    assert script == (ROOT / "tests/end_to_end/load.sh").read_text("utf-8")


def test_the_sample_configuration_is_valid() -> None:
    [sample] = re.findall(r"`config.json`:\n\n```json\n(.*?)```", LOADING, re.DOTALL)
    tap = TapBitbucketDC(config=json.loads(sample), validate_config=True)
    assert tap.config["projects"] == ["PAY", "OPS"]
