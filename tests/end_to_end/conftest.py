"""A database that the tap and target-postgres loaded twice, with views created in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tap_bitbucket_dc.emulator import Bitbucket, User
from tap_bitbucket_dc.warehouse.__main__ import main
from tests.end_to_end.warehouse import Warehouse, warehouse
from tests.end_to_end.world import MARY, START, WEEK, World, made
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.world import Commits

PROGRAMS = Path(sys.executable).parent
# Text that a browser must show, not interpret as markup.
HOSTILE = "<script>alert(1)</script>&\"'"
IDS = """\
select 'commit ' || repository_id || sha, id from bitbucket.bitbucket_server_commits
 union all
select 'user ' || email || name, id::text from bitbucket.bitbucket_server_users"""


class Loaded(NamedTuple):
    """What was loaded, and from what."""

    database: Warehouse
    world: World
    before: Commits
    first_ids: dict[str, Any]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path / "git")


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Two loads. Between them come a force push, a late merge and new accounts."""
    directory = tmp_path_factory.mktemp("loaded")
    world = _world(directory / "git")
    with warehouse() as database, Bitbucket(directory / "git") as bitbucket:
        bitbucket.denied["OPS/secret"] = 403
        state = _load(bitbucket, database, directory)
        main(["views", "--dsn", database.url])
        before, ids = world.commits(), dict(database.query(IDS))
        world.push_late_merge("PAY/ledger")
        world.rewrite("PAY/api")
        mary = User(7, "mary", email="Mary@example.com", display_name="Mary W. Shelley")
        bitbucket.users += [mary, User(8, "eve", display_name=HOSTILE)]
        for author in (MARY, "Eve <eve@example.com>"):
            world.repositories["LAB/notes"].commit(
                "By an account", author=author, date=START + 9 * WEEK
            )
        _load(bitbucket, database, directory, state)
        yield Loaded(database, world, before, ids)


def _world(root: Path) -> World:
    """Add rare cases: no address, another committer, no branch, no permission."""
    made(root)
    notes = GitRepository(root / "LAB" / "notes")
    notes.commit("Without an address", author="Nobody <>")
    notes.commit("In capitals", author="ADA <ADA@EXAMPLE.COM>", committer="CI <ci@example.com>")
    GitRepository(root / "OPS" / "secret").commit("Not for everybody")
    GitRepository(root / "OPS" / "moved", "gone").commit(branch="other")
    strange = GitRepository(root / "OPS" / "strange", HOSTILE)
    strange.commit("On a strange branch")
    return World(root)


def _load(
    bitbucket: Bitbucket, database: Warehouse, directory: Path, state: Path | None = None
) -> Path:
    """Run the tap and the target, and return the path of the state."""
    settings = {
        "tap": {"base_url": bitbucket.url, "token": "token"},
        "target": {
            "sqlalchemy_url": database.url,
            "default_target_schema": "bitbucket",
            "load_method": "upsert",
        },
    }
    for name, values in settings.items():
        (directory / f"{name}.json").write_text(json.dumps(values))
    tap = (PROGRAMS / "tap-bitbucket-dc", "--config", directory / "tap.json")
    target = (PROGRAMS / "target-postgres", "--config", directory / "target.json")
    messages = subprocess.run(
        (*tap, "--state", state) if state else tap, stdout=subprocess.PIPE, check=True
    ).stdout
    states = subprocess.run(target, input=messages, stdout=subprocess.PIPE, check=True).stdout
    path = directory / "state.json"
    path.write_bytes(states.splitlines()[-1])
    return path
