"""Fixtures for all tests: a server, its repositories, and a run of the tap."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tap_bitbucket_dc import redaction
from tap_bitbucket_dc.emulator import Bitbucket
from tests import singer
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Sync(Protocol):
    """Runs the tap on the server of the test."""

    def __call__(
        self, state: singer.Json | None = None, catalog: singer.Json | None = None, **settings: Any
    ) -> singer.Output: ...


@pytest.fixture(autouse=True)
def _without_secrets_of_other_tests() -> None:
    redaction.forget()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory whose repositories the server shows: ``ROOT/PROJECT/repository``."""
    path = tmp_path / "bitbucket"
    path.mkdir()
    return path


@pytest.fixture
def repository(root: Path) -> Callable[[str], GitRepository]:
    """Makes an empty repository: ``repository("PAY/ledger").commit()``."""
    return lambda name: GitRepository(root / name)


@pytest.fixture
def bitbucket(root: Path) -> Iterator[Bitbucket]:
    """A server with a context path, as many companies have one."""
    with Bitbucket(root, context_path="/bitbucket") as server:
        yield server


@pytest.fixture
def config(bitbucket: Bitbucket) -> singer.Json:
    """The shortest valid configuration."""
    return {"base_url": bitbucket.url, "token": "token"}


@pytest.fixture
def sync(config: singer.Json) -> Sync:
    """Runs the tap in this process: ``sync(state, projects=["PAY"]).records("commits")``."""
    return functools.partial(_sync, config)


def _sync(
    config: singer.Json,
    state: singer.Json | None = None,
    catalog: singer.Json | None = None,
    **settings: Any,
) -> singer.Output:
    return singer.sync({**config, **settings}, state, catalog)
