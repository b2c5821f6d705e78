"""The README's commands as they stand, in an empty home and without Meltano's plugin hub.

Everything is installed as users install it, and the tap from the wheel that would be published.
Of the machine, only uv's cache is shared. Of the text, only ``Place.replacements`` are replaced.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tap_bitbucket_dc.emulator import Bitbucket
from tests.end_to_end.project import FOREIGN, SLOW
from tests.end_to_end.test_package import CHECKOUT, UV, exclude_newer, uv
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import World, loaded, made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.world import Commits

pytestmark = pytest.mark.skipif(UV is None, reason="needs uv on the PATH, or `uv run`")

README = (CHECKOUT / "README.md").read_text("utf-8")
LOADING = (CHECKOUT / "tap_bitbucket_dc" / "loading.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMITS = re.compile(r"/projects/([^/]+)/repos/([^/]+)/commits")
REPOSITORY = "https://github.com/tap-bitbucket-dc/tap-bitbucket-dc"
STEPS = "A Meltano project, step by step"
PROJECTS = ("PAY", "OPS")
"""The projects that the README names."""
MOST_COMMANDS = 12
"""From nothing to the first rows."""
COLUMNS = """\
select column_name from information_schema.columns
 where table_schema = 'bitbucket' and table_name = 'commits'"""


def blocks(heading: str, *languages: str, document: str = README) -> list[str]:
    """Return the blocks of a section of a document, which must be in these languages."""
    section = document.split(f"\n## {heading}\n", 1)[1].partition("\n## ")[0]
    found = BLOCK.findall(section)
    assert tuple(language for language, _ in found) == languages
    return [text for _, text in found]


class Shell:
    """One shell for all blocks, so that a ``cd`` or a variable lasts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, commands: str) -> str:
        """Return what the commands print; each of them must end with 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = "the end of the block"
        self._process.stdin.write(f"{{\n{commands}\n}} </dev/null\necho\necho {end}\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line == f"{end}\n":
                return "".join(lines)
            lines.append(line)
        pytest.fail("".join(lines))


@dataclass
class Place:
    """Somebody's machine with a Bitbucket and a database within reach."""

    home: Path
    world: World
    bitbucket: Bitbucket
    database: Warehouse
    wheel: Path

    def replacements(self) -> dict[str, str]:
        """What a user replaces, and the repository's addresses, which lead to this checkout."""
        raw = REPOSITORY.replace("github.com", "raw.githubusercontent.com")
        return {
            "https://bitbucket.example.com": self.bitbucket.url,
            "TAP_BITBUCKET_DC_TOKEN=…": "TAP_BITBUCKET_DC_TOKEN=token",
            "an HTTP access token with read permission": "token",
            "postgresql+psycopg://loader:password@db.example.com:5432/warehouse": self.database.url,
            f"{raw}/main/.github/meltano": str(self.home / "published"),
            f"git+{REPOSITORY}.git": self.wheel.as_uri(),
        }

    def here(self, text: str) -> str:
        """Return a text with everything replaced."""
        for theirs, ours in self.replacements().items():
            text = text.replace(theirs, ours)
        return text

    def publish(self) -> None:
        """Copy the plugin files, of which the installed wheel takes the repository's place."""
        published = self.home / "published"
        published.mkdir()
        for file in (CHECKOUT / ".github" / "meltano").iterdir():
            (published / file.name).write_text(self.here(file.read_text("utf-8")), "utf-8")

    def environment(self) -> dict[str, str]:
        """The environment of a new terminal: nothing of the project's own is on its PATH."""
        ours = Path(sys.executable).parent
        path = [p for p in os.environ.get("PATH", "").split(os.pathsep) if Path(p) != ours]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in {*SLOW, "VIRTUAL_ENV"} and not name.startswith(FOREIGN)
        }
        return inherited | {
            "HOME": str(self.home),
            "PATH": os.pathsep.join([f"{self.home}/.local/bin", str(Path(str(UV)).parent), *path]),
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"])),
            "UV_CACHE_DIR": uv("cache", "dir").strip(),
            "UV_EXCLUDE_NEWER": exclude_newer(),
            "MELTANO_HUB_URL": "http://127.0.0.1:9",  # nothing listens there
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    @contextmanager
    def shell(self) -> Iterator[Shell]:
        """Yield a shell in the home, which ends at the first command that fails."""
        with subprocess.Popen(
            ("bash", "-euo", "pipefail"),
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            yield Shell(process)

    def cron(self, line: str, **environment: str) -> str:
        """Run a line of a crontab as cron does, with next to no environment."""
        *_, command = line.split(maxsplit=5)
        bare = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
        done = subprocess.run(
            ("/bin/sh", "-c", command),
            cwd=self.home,
            env=bare | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    @property
    def project(self) -> Path:
        """The directory that the README lets Meltano make."""
        return self.home / "bitbucket-load"

    def read(self) -> set[str]:
        """Return the repositories whose commits were requested."""
        found = [COMMITS.search(request.path) for request in self.bitbucket.requests]
        return {f"{match[1]}/{match[2]}" for match in found if match}

    def loaded(self) -> Commits:
        return loaded(self.database)

    def in_git(self, before: Commits | None = None) -> Commits:
        """Return what the tables should hold of the projects that the README names."""
        commits = self.world.commits(before)
        return {name: commits[name] for name in commits if name.startswith(PROJECTS)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--wheel", "--out-dir", directory)
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture
def place(tmp_path: Path, wheel: Path) -> Iterator[Place]:
    world = made(tmp_path / "git")
    home = tmp_path / "home"
    home.mkdir()
    with warehouse() as database, Bitbucket(tmp_path / "git") as bitbucket:
        place = Place(home, world, bitbucket, database, wheel)
        place.publish()
        yield place


def test_the_readme_leads_from_nothing_to_a_nightly_job(place: Place) -> None:
    steps = blocks(STEPS, "bash", "dotenv", "bash", "sql", "bash", "bash", "bash")
    install, settings, load, newest, again, report, verify = map(place.here, steps)
    assert len([*commands(install), settings, *commands(load)]) <= MOST_COMMANDS
    with place.shell() as shell:
        shell.run(install)
        with (place.project / ".env").open("a", encoding="utf-8") as file:
            file.write(settings)
        assert "A sync would work." in shell.run(load)
        assert place.loaded() == place.in_git()
        found = {f"{key}/{slug}" for key, slug, *_ in place.database.query(newest)}
        assert found == {name for name, commits in place.in_git().items() if commits}

        before = place.in_git()
        place.world.push_late_merge("PAY/ledger")
        place.world.rewrite("PAY/api")
        place.bitbucket.requests.clear()
        printed = shell.run(again)
        assert place.loaded() == place.in_git(before)
        assert place.read() == {"PAY/ledger", "PAY/api"}
        assert all(place.world.repositories[name].rev_list()[0] in printed for name in found)
        shell.run(report)
        assert "PAY/ledger" in (place.project / "report.html").read_text("utf-8")
        assert "all equal" in shell.run(verify)

        place.database.execute("drop schema bitbucket cascade")  # nothing is loaded yet
        load_every_night(place, shell)


def load_every_night(place: Place, shell: Shell) -> None:
    """Follow the README from a project that runs to one that runs every night."""
    night = blocks("Every night", "bash", "bash", "cron", "sql")
    select, schedule, line, inaccessible = map(place.here, night)
    shell.run(select)
    shell.run(schedule)
    assert place.loaded() == place.in_git()
    columns = {name for [name] in place.database.query(COLUMNS)}
    assert "author_name" in columns
    assert not columns & {"author_email", "committer_email"}

    place.bitbucket.denied["OPS/runbooks"] = 403
    place.world.push_late_merge("PAY/ledger")
    assert place.cron(line) == ""
    assert place.loaded() == place.in_git()
    assert place.database.query(inaccessible) == [("OPS", "runbooks")]
    assert "invalid_credentials" in place.cron(line, TAP_BITBUCKET_DC_TOKEN="expired")


def test_the_readme_leads_to_a_load_without_meltano(place: Place) -> None:
    [install_tap] = blocks("Installation", "bash")
    languages = ("bash", "json", "json", "bash", "bash")
    steps = blocks("Without Meltano", *languages, document=LOADING)
    install_target, config, target, script, load = map(place.here, steps)
    files = {"config.json": config, "target.json": target, "load.sh": script}
    for name, text in files.items():
        (place.home / name).write_text(text, "utf-8")
    with place.shell() as shell:
        shell.run(place.here(install_tap))
        shell.run(install_target)
        assert "A sync would work." in shell.run(load)
        assert place.loaded() == place.in_git()
        before = place.in_git()
        place.world.push_late_merge("PAY/ledger")
        place.bitbucket.requests.clear()
        shell.run(commands(load)[-1])
    assert place.loaded() == place.in_git(before)
    assert place.read() == {"PAY/ledger"}


def commands(block: str) -> list[str]:
    """Return the commands of a block, one a line."""
    return [line for line in block.splitlines() if line and not line.startswith("#")]
