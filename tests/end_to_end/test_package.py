"""The wheel and the sdist: whole, of good form, and of use in an empty environment."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tap_bitbucket_dc.emulator import Bitbucket
from tests.end_to_end.project import MeltanoError, MeltanoProject
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import World, loaded, made

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    assert names >= source(".github/meltano")
    assert names >= {"pyproject.toml", "meltano.yml", "README.md"}


def test_the_registry_would_take_it(built: Built) -> None:
    run = ("run", "--isolated", "--only-group", "package")
    assert uv(*run, "twine", "check", "--strict", *built).count("PASSED") == 2
    uv(*run, "check-wheel-contents", built.wheel)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the commands of the wheel, installed without an extra."""
    directory = tmp_path_factory.mktemp("installed")
    uv(
        *("tool", "install", "--quiet", built.wheel),
        UV_TOOL_DIR=str(directory / "tools"),
        UV_TOOL_BIN_DIR=str(directory / "bin"),
    )
    return directory


def test_the_command_runs_in_an_environment_of_its_own(built: Built, installed: Path) -> None:
    about = json.loads(tap(installed, "--about", "--format=json"))
    assert built.wheel.name.split("-")[1] == about["version"]
    assert "shard_count" in about["settings"]["properties"]
    streams = json.loads(tap(installed, "--discover"))["streams"]
    names = {stream["tap_stream_id"] for stream in streams}
    assert names == {"projects", "repositories", "default_branches", "commits"}


def test_the_states_of_shards_are_merged_by_a_command_of_its_own(installed: Path) -> None:
    state = {"bookmarks": {"commits": {"partitions": [{"context": {"repository_id": 1}}]}}}
    (installed / "0.json").write_text(json.dumps(state))
    command = (installed / "bin" / "tap-bitbucket-dc-state", "merge", installed / "0.json")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == state


@pytest.mark.parametrize("command", ["report", "views", "verify"])
def test_without_its_extra_the_warehouse_says_in_one_line_what_to_install(
    installed: Path, command: str
) -> None:
    config = ("--config", installed / "c.json") if command == "verify" else ()
    (installed / "c.json").write_text('{"base_url": "http://127.0.0.1:9", "token": "t"}')
    done = subprocess.run(
        (installed / "bin" / "tap-bitbucket-dc-warehouse", command, *config),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "with its extra: tap-bitbucket-dc[warehouse]" in done.stderr


PLUGINS = ("tap-bitbucket-dc", "target-postgres", "bitbucket-report")


class Added(NamedTuple):
    """A Meltano project to which the plugins were added, and what they read and fill."""

    project: MeltanoProject
    world: World
    database: Warehouse


@pytest.fixture(scope="module")
def added(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Added]:
    """A new project of a new user; the hub takes connections and never answers."""
    directory = tmp_path_factory.mktemp("new")
    definitions = shutil.copytree(CHECKOUT / ".github/meltano", directory / "definitions")
    for path in definitions.iterdir():
        text = path.read_text("utf-8")
        path.write_text(re.sub(r"git\+https://\S+", built.wheel.as_uri(), text))
    world = made(directory / "git")
    with (
        socket.create_server(("127.0.0.1", 0)) as hub,
        warehouse() as database,
        Bitbucket(directory / "git") as bitbucket,
    ):
        settings = {
            "HOME": str(directory),
            "MELTANO_HUB_URL": f"http://127.0.0.1:{hub.getsockname()[1]}",
            "UV_EXCLUDE_NEWER": exclude_newer(),
            "TAP_BITBUCKET_DC_BASE_URL": bitbucket.url,
            "TAP_BITBUCKET_DC_TOKEN": "token",
            "TARGET_POSTGRES_SQLALCHEMY_URL": database.url,
        }
        project = MeltanoProject(directory / "project", settings)
        (project.directory / "meltano.yml").unlink()
        meltano(project, "init", ".")
        for name in PLUGINS:
            meltano(project, "add", "--from-ref", definitions / f"{name}.yml", name)
        yield Added(project, world, database)


@pytest.fixture
def new(added: Added) -> Added:
    """The project, with an empty database."""
    added.database.execute("drop schema if exists bitbucket cascade")
    return added


def test_meltano_adds_the_plugins_from_their_files_loads_and_writes_the_report(new: Added) -> None:
    directory = new.project.directory
    for name, kind in zip(PLUGINS, ("extractors", "loaders", "utilities"), strict=True):
        assert (directory / ".meltano" / kind / name / "venv").is_dir()
    log = new.project.run(*PLUGINS)
    assert "Wrote report.html." in log
    assert "did not reach" not in log
    assert loaded(new.database) == new.world.commits()
    assert "<html" in (directory / "report.html").read_text("utf-8")
    assert 'schema "bitbucket"' in meltano(new.project, "invoke", "bitbucket-report:views")
    [(commits,)] = new.database.query("select count(*) from bitbucket.bitbucket_server_commits")
    assert commits > 0
    assert "all equal" in meltano(new.project, "invoke", "bitbucket-report:verify")


def test_a_shard_whose_settings_meltano_drops_says_why_it_does_not_run(new: Added) -> None:
    file = new.project.directory / "meltano.yml"
    declared = file.read_text("utf-8")
    file.write_text(declared.replace("name: shard_", "name: other_"))
    shard = copy.copy(new.project)
    shard.environment = new.project.environment | {"TAP_BITBUCKET_DC_SHARD_COUNT": "2"}
    try:
        with pytest.raises(MeltanoError) as raised:
            shard.run("--state-id-suffix=0-of-2", *PLUGINS[:2])
    finally:
        file.write_text(declared)
    said = "`shard_count` did not reach the tap, although `TAP_BITBUCKET_DC_SHARD_COUNT` is set."
    assert f"invalid_config: {said} Declare it" in str(raised.value)


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
