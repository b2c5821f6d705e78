"""The Singer SDK's own suite, and the private parts of the SDK that we build on."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from singer_sdk import Stream, Tap
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_bitbucket_dc import schemas, streams
from tap_bitbucket_dc.command import Command
from tap_bitbucket_dc.emulator import ADMIN, Bitbucket, User
from tap_bitbucket_dc.tap import TapBitbucketDC
from tests.git_repository import GitRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from singer_sdk.helpers.types import Context

    from tests.conftest import Sync

CONFIG: dict[str, Any] = {"base_url": "http://127.0.0.1:9/bitbucket", "token": "token"}


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A small server, whose address gets into the suite's configuration."""
    root = tmp_path_factory.mktemp("bitbucket")
    for name in ("PAY/ledger", "PAY/api", "OPS/tools"):
        one = GitRepository(root / name).facts(description="Tools", public=True)
        first = one.commits(30)[0]
        one.merge(str(one.branch_tip()), one.commit("PAY-7", parents=[first], branch="side"))
    GitRepository(root / "OPS" / "empty")
    one.fork(root / "OPS" / "fork")
    with Bitbucket(root, users=[ADMIN, User(7, "ada")]) as bitbucket:
        CONFIG["base_url"] = bitbucket.url
        yield


TestSuiteOfTheSDK = get_tap_test_class(
    TapBitbucketDC,
    config=CONFIG,
    suite_config=SuiteConfig(max_records_limit=20),
    parse_env_config=False,
)


# What is overridden, and what of the SDK is called in its place.

OVERRIDDEN = {
    "_sync_records": "(self, context: 'types.Context | None' = None, *, "
    "write_messages: 'bool' = True) -> 't.Generator[dict, t.Any, t.Any]'",
    "_write_schema_message": "(self) -> 'None'",
    "_write_state_message": "(self) -> 'None'",
}
CALLED = {
    "_check_max_record_limit": "(self, current_record_index: 'int') -> 'None'",
    "_sync_children": "(self, child_context: 'types.Context | None') -> 'None'",
    "_write_record_message": "(self, record: 'types.Record') -> 'None'",
}
OF_THE_TAP = {
    "_handle_termination": "(self, signum: 'int', frame: 'FrameType | None') -> 'None'",
    "_validate_config": "(self, *, raise_errors: 'bool' = True) -> 'list[str]'",
}


def private(ours: type, theirs: type) -> set[str]:
    """Return the private names that our class defines and the SDK's class has, too."""
    return {
        name
        for name in vars(ours)
        if name.startswith("_") and not name.startswith(("__", "_abc_")) and hasattr(theirs, name)
    }


@pytest.mark.parametrize(
    "stream", [streams.Projects, streams.Repositories, streams.DefaultBranches, streams.Commits]
)
def test_no_private_name_of_the_sdk_is_overridden_unawares(stream: type) -> None:
    assert private(stream, Stream) <= set(OVERRIDDEN)


def test_the_private_names_that_are_overridden_are_still_the_sdks() -> None:
    assert private(streams.BitbucketStream, Stream) == set(OVERRIDDEN)
    assert private(TapBitbucketDC, Tap) == set(OF_THE_TAP)
    assert private(Command, SingerCommand) == set()


@pytest.mark.parametrize(("name", "signature"), [*OVERRIDDEN.items(), *CALLED.items()])
def test_a_method_of_the_sdks_stream_takes_what_it_took(name: str, signature: str) -> None:
    assert str(inspect.signature(getattr(Stream, name))) == signature


@pytest.mark.parametrize(("name", "signature"), OF_THE_TAP.items())
def test_a_method_of_the_sdks_tap_takes_what_it_took(name: str, signature: str) -> None:
    assert str(inspect.signature(getattr(Tap, name))) == signature


def test_a_record_that_nothing_maps_is_let_through() -> None:
    signature = str(inspect.signature(SameRecordTransform.get_filter_result))
    assert signature == "(self, record: 'dict') -> 'bool'"


class Noting(Stream):
    """A stream of the SDK that records which of the overridden methods are called."""

    name = "noting"
    schema = schemas.PROJECT
    called: ClassVar[list[str]] = []

    def get_records(self, context: Context | None) -> Iterator[dict[str, Any]]:
        assert context is None
        yield {"id": 1}

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        self.called.append("_sync_records")
        yield from super()._sync_records(context, write_messages=write_messages)

    def _write_schema_message(self) -> None:
        self.called.append("_write_schema_message")

    def _write_state_message(self) -> None:
        self.called.append("_write_state_message")

    def _write_record_message(self, record: dict[str, Any]) -> None:
        assert record == {"id": 1}
        self.called.append("_write_record_message")


class NotingTap(Tap):
    """A tap of that stream alone."""

    name = "tap-noting"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}

    def discover_streams(self) -> list[Stream]:
        return [Noting(self)]


def test_the_sdk_calls_what_is_overridden() -> None:
    NotingTap(config={}).sync_all()
    assert set(Noting.called) == {*OVERRIDDEN, "_write_record_message"}


# What it is overridden for: time and size must not grow with the square.


def test_state_and_schemas_are_not_written_for_each_repository(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    for n in range(60):
        repository(f"P{n % 20}/r{n}").commit()
    output = sync()
    types = [message["type"] for message in output.messages]
    assert types.count("RECORD") == 20 + 60 + 60 + 60
    assert types.count("SCHEMA") == 4
    assert types.count("STATE") <= 5


def test_full_table_streams_have_no_partitions_in_the_state(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    for n in range(5):
        repository(f"PAY/r{n}").commit()
    assert set(sync().state["bookmarks"]) == {"commits"}


def test_what_the_sdk_says_for_each_context_is_not_in_the_log(
    sync: Sync, repository: Callable[[str], GitRepository]
) -> None:
    for n in range(30):
        repository(f"PAY/r{n}").commit()
    lines = [line for line in sync().log.splitlines() if "METRIC" not in line]
    assert len(lines) < 10
