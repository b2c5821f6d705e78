"""The wheel and the sdist: whole, of good form, and of use in an empty environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

from tests.end_to_end.project import MeltanoProject

CHECKOUT = Path(__file__).parents[2]
UV = os.environ.get("UV") or shutil.which("uv")

pytestmark = pytest.mark.skipif(UV is None, reason="needs uv on the PATH, or `uv run`")


class Built(NamedTuple):
    """What would be published."""

    wheel: Path
    sdist: Path


def uv(*arguments: str | Path, **environment: str) -> str:
    """Run uv in the checkout, with the packages of the same day, and return what it prints."""
    done = subprocess.run(
        (str(UV), *arguments),
        cwd=CHECKOUT,
        env={**os.environ, "UV_EXCLUDE_NEWER": exclude_newer(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exclude_newer() -> str:
    project = (CHECKOUT / "pyproject.toml").read_text("utf-8")
    found = re.search(r'^exclude-newer = "(.*)"$', project, re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A sdist from the checkout, and a wheel from that sdist."""
    directory = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", directory)
    [wheel], [sdist] = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return Built(wheel, sdist)


def source(*directories: str) -> set[str]:
    """Return the files of the checkout below some directories."""
    return {
        path.relative_to(CHECKOUT).as_posix()
        for directory in directories
        for path in (CHECKOUT / directory).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == source("tap_bitbucket_dc")
    assert "tap_bitbucket_dc/py.typed" in names


def test_the_sdist_holds_what_the_tests_need(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {"/".join(PurePosixPath(name).parts[1:]) for name in sdist.getnames()}
    assert names >= source("tap_bitbucket_dc", "tests")
    assert names >= {"pyproject.toml", "meltano.yml", ".github/meltano-hub.yml", "README.md"}


def test_the_registry_would_take_it(built: Built) -> None:
    run = ("run", "--isolated", "--only-group", "package")
    assert uv(*run, "twine", "check", "--strict", *built).count("PASSED") == 2
    uv(*run, "check-wheel-contents", built.wheel)


def test_the_command_runs_in_an_environment_of_its_own(built: Built, tmp_path: Path) -> None:
    uv(
        *("tool", "install", "--quiet", built.wheel),
        UV_TOOL_DIR=str(tmp_path / "tools"),
        UV_TOOL_BIN_DIR=str(tmp_path / "bin"),
    )
    about = json.loads(tap(tmp_path, "--about", "--format=json"))
    assert built.wheel.name.split("-")[1] == about["version"]
    assert "shard_count" in about["settings"]["properties"]
    streams = json.loads(tap(tmp_path, "--discover"))["streams"]
    names = {stream["tap_stream_id"] for stream in streams}
    assert names == {"projects", "repositories", "default_branches", "commits"}


def test_meltano_adds_and_installs_it_by_the_definition_for_the_hub(
    built: Built, tmp_path: Path
) -> None:
    project = MeltanoProject(tmp_path, {})
    file = tmp_path / "meltano.yml"
    file.write_text("default_environment: dev\nenvironments: [{name: dev}]\n")
    definition = CHECKOUT / ".github/meltano-hub.yml"
    plugin = ("--plugin-type", "extractor", "tap-bitbucket-dc")
    assert meltano(project, "add", "--no-install", "--from-ref", definition, *plugin)
    text = file.read_text("utf-8")
    assert text.count("pip_url: tap-bitbucket-dc\n") == 1
    file.write_text(text.replace("pip_url: tap-bitbucket-dc\n", f"pip_url: {built.wheel}\n"))
    about = json.loads(meltano(project, "invoke", "tap-bitbucket-dc", "--about", "--format=json"))
    assert about["name"] == "tap-bitbucket-dc"
    assert (tmp_path / ".meltano/extractors/tap-bitbucket-dc/venv").is_dir()


def meltano(project: MeltanoProject, *arguments: str | Path) -> str:
    return subprocess.run(
        (Path(sys.executable).with_name("meltano"), *arguments),
        cwd=project.directory,
        env=project.environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def tap(directory: Path, *arguments: str) -> str:
    """Run the installed command away from the checkout and return what it prints."""
    return subprocess.run(
        (directory / "bin" / "tap-bitbucket-dc", *arguments),
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
