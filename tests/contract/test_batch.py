"""BATCH: files that span repositories, complete, in the right order with STATE, and cleaned up."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from upath import UPath

from tap_bitbucket_dc import batch
from tap_bitbucket_dc.batch import KEPT
from tests import singer
from tests.contract.catalogs import STREAMS, catalog
from tests.contract.target import Target, partitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Sync
    from tests.git_repository import GitRepository

COMPRESSIONS = ["none", "gzip"]
MAPS = {
    "commits": {"author_email": None, "subject": "message.split('\\n')[0]"},
    "repositories": {"__filter__": "slug != 'r3'"},
    "projects": {"__alias__": "'all projects'"},
}


@pytest.fixture(autouse=True)
def repositories(repository: Callable[[str], GitRepository]) -> list[GitRepository]:
    """Thirty repositories in three projects, each with a few commits."""
    made = [repository(f"P{n % 3}/r{n}").facts(id=n + 1) for n in range(30)]
    for each in made:
        each.commits(3)
    return made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "the files"


def batches(files: Path, compression: str = "none", **more: Any) -> singer.Json:
    """Return a value of the setting ``batch_config``."""
    encoding = {"format": "jsonl", "compression": compression}
    return {"encoding": encoding, "storage": {"root": str(files), "prefix": "x-"}} | more


def messages(output: singer.Output, kind: str) -> list[singer.Json]:
    return [message for message in output.messages if message["type"] == kind]


def named(output: singer.Output) -> set[Path]:
    """Return the files that the messages name."""
    urls = [url for message in messages(output, "BATCH") for url in message["manifest"]]
    assert len(urls) == len(set(urls))
    return {Path(url.removeprefix("file://")) for url in urls}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_records_in_the_files_are_those_of_record_messages(
    sync: Sync, files: Path, compression: str
) -> None:
    plain, other = sync(), sync(batch_config=batches(files, compression))
    assert not messages(other, "RECORD")
    for stream in STREAMS:
        assert other.records(stream) == plain.records(stream)
        assert plain.records(stream)
    assert other.state["bookmarks"] == plain.state["bookmarks"]
    assert messages(other, "SCHEMA") == messages(plain, "SCHEMA")
    assert named(other) == set(files.iterdir())


def test_a_file_spans_repositories(sync: Sync, files: Path) -> None:
    output = sync(batch_config=batches(files))
    assert sorted(m["stream"] for m in messages(output, "BATCH")) == sorted(STREAMS)
    assert len(named(output)) == len(STREAMS)


def test_a_file_has_no_more_records_than_asked_for(sync: Sync, files: Path) -> None:
    output = sync(batch_config=batches(files, batch_size=20))
    assert len(output.records("commits")) == 90
    commits = [m for m in messages(output, "BATCH") if m["stream"] == "commits"]
    sizes = [
        len([*singer.unpacked([{**m, "manifest": [f]}])]) for m in commits for f in m["manifest"]
    ]
    assert max(sizes) == 20
    assert len(sizes) < 10, "a flush does not make a file of each repository"


def test_long_messages_make_a_file_of_fewer_records(
    sync: Sync, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = sync()
    monkeypatch.setattr(batch, "MOST_BYTES", 5000)
    output = sync(batch_config=batches(files))
    assert output.records("commits") == plain.records("commits")
    assert len(named(output)) > 2 * len(STREAMS)
    assert max(path.stat().st_size for path in files.iterdir()) < 2 * 5000


def test_selection_stream_maps_and_flattening_apply_to_the_files(sync: Sync, files: Path) -> None:
    chosen = catalog(("projects", "repositories", "commits"), without=[("commits", "url")])
    settings: singer.Json = {
        "stream_maps": MAPS,
        "flattening_enabled": True,
        "flattening_max_depth": 1,
    }
    plain = sync(catalog=chosen, **settings)
    other = sync(catalog=chosen, batch_config=batches(files), **settings)
    names = ("all projects", "repositories", "commits")
    assert {message["stream"] for message in messages(other, "BATCH")} == set(names)
    for name in names:
        assert other.records(name) == plain.records(name)
        assert plain.records(name)


def test_a_state_names_the_ranges_before_the_files_and_the_heads_after_them(
    sync: Sync, files: Path
) -> None:
    output = sync(batch_config=batches(files, batch_size=10))
    known: dict[int, singer.Json] = {}
    out: dict[int, set[str]] = {}
    for message in output.messages:
        if message["type"] == "STATE":
            known = partitions(message["value"])
            for id_, place in known.items():
                assert "head" not in place or len(out[id_]) == 3
        for record in [m["record"] for m in singer.unpacked([message]) if m["type"] == "RECORD"]:
            if "parent_ids" in record:
                assert "reading" in known[record["repository_id"]]
                out.setdefault(record["repository_id"], set()).add(record["id"])
    assert all("head" in place for place in known.values())


# What happens to the files.


def test_the_next_run_removes_the_files_that_were_read(sync: Sync, files: Path) -> None:
    first = sync(batch_config=batches(files))
    second = sync(first.state, batch_config=batches(files))
    assert not any(path.exists() for path in named(first))
    assert named(second) == set(files.iterdir())


def test_files_that_the_state_does_not_confirm_stay(sync: Sync, files: Path) -> None:
    setting = batches(files, batch_size=10)
    first, other = sync(batch_config=setting), sync(batch_config=setting)
    middle = first.states[len(first.states) // 2]
    index = first.messages.index({"type": "STATE", "value": middle})
    read = named(first._replace(messages=first.messages[:index]))
    assert read
    assert read < named(first)
    sync(middle, batch_config=setting)
    assert {path for path in named(first) if path.exists()} == named(first) - read
    assert all(path.exists() for path in named(other))


def test_files_left_behind_are_removed_after_a_day(sync: Sync, files: Path) -> None:
    left, fresh = (sync(batch_config=batches(files)) for _ in range(2))
    foreign = files / "x-tap-other--commits-0-1.jsonl"
    foreign.touch()
    for path in (*named(left), foreign):
        os.utime(path, (time.time() - KEPT - 60,) * 2)
    third = sync(batch_config=batches(files))
    assert set(files.iterdir()) == named(fresh) | named(third) | {foreign}


def test_a_run_without_files_leaves_the_state_of_the_files_as_it_is(
    sync: Sync, files: Path
) -> None:
    first = sync(batch_config=batches(files))
    between = sync(first.state)
    sync(between.state, batch_config=batches(files))
    assert not any(path.exists() for path in named(first))


@pytest.mark.parametrize("strange", [7, {"run": 1}, {"run": "a", "count": "b"}, ["x"]])
def test_a_strange_state_of_the_files_is_no_obstacle(
    sync: Sync, files: Path, strange: object
) -> None:
    state = {**sync().state, "batch_files": strange}
    output = sync(state, batch_config=batches(files))
    assert output.exit_code == 0
    assert output.state["batch_files"]["count"] == len(named(output))


# Where the files are.


def test_the_root_may_be_a_url(sync: Sync) -> None:
    setting = {"encoding": {"format": "jsonl"}, "storage": {"root": "memory://bucket/of/ours"}}
    first = sync(batch_config=setting)
    [url] = [m["manifest"][0] for m in messages(first, "BATCH") if m["stream"] == "commits"]
    assert url.startswith("memory://bucket/of/ours/")
    assert len(UPath(url).read_text().splitlines()) == 90
    sync(first.state, batch_config=setting)
    assert not UPath(url).exists()


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_the_root_may_be_a_path_or_a_file_url(sync: Sync, tmp_path: Path, form: str) -> None:
    files = tmp_path / "größe"
    output = sync(batch_config=batches(Path("x"), storage={"root": form.format(files)}))
    assert named(output) == set(files.iterdir())
    assert len(output.records("commits")) == 90


def test_the_target_finds_a_file_whose_path_has_spaces(sync: Sync, files: Path) -> None:
    from singer_sdk.helpers._batch import StorageTarget  # noqa: PLC0415 as targets do

    output = sync(batch_config=batches(files))
    for message in messages(output, "BATCH"):
        for url in message["manifest"]:
            head, tail = StorageTarget.split_url(url)
            with StorageTarget.from_url(head).open(tail) as file:
                assert file.readline()


JSONL = {"format": "jsonl"}
WRONG: list[Any] = [
    {"encoding": {"format": "parquet"}, "storage": {"root": "x"}},
    {"encoding": {"format": "jsonl", "compression": "zip"}, "storage": {"root": "x"}},
    {"encoding": JSONL},
    {"encoding": JSONL, "storage": {}},
    {"encoding": JSONL, "storage": {"root": ""}},
    {"encoding": JSONL, "storage": {"root": 7}},
    {"encoding": JSONL, "storage": {"root": "x", "prefix": 7}},
    {"encoding": JSONL, "storage": {"root": "x"}, "batch_size": 0},
    {"encoding": JSONL, "storage": {"root": "x"}, "unknown": 1},
    {"encoding": JSONL, "storage": {"root": "unknown://x"}},
    {"encoding": JSONL, "storage": {"root": "sftp://me:geheim@127.0.0.1/x"}},
    {"encoding": JSONL, "storage": {"root": "s3://x", "params": {"secret": "geheim"}}},
    {"encoding": JSONL, "storage": {"root": "/dev/null/x"}},
    {"storage": {"root": "x"}},
    "files",
]


@pytest.mark.parametrize("setting", WRONG, ids=json.dumps)
def test_a_wrong_setting_is_named(sync: Sync, setting: Any) -> None:
    output = sync(batch_config=setting)
    assert output.code == "invalid_config"
    assert "batch_config" in output.last_line
    assert "Traceback" not in output.log
    assert "geheim" not in output.log


def test_a_full_disk_ends_the_run_and_the_state_stays_true(
    sync: Sync, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sizes = UPath("/").__class__.write_bytes, [1, 1, 1, 1, 1]

    def full(path: Any, data: bytes) -> int:
        if not sizes:
            raise OSError(28, "No space left on device")
        sizes.pop()
        return int(write(path, data))

    monkeypatch.setattr(type(UPath(files)), "write_bytes", full)
    output = sync(batch_config=batches(files, batch_size=10))
    assert output.code == "invalid_config"
    assert "No space left on device" in output.last_line
    monkeypatch.undo()
    target = Target(sync)
    target.take(output.messages)
    taken = len(target.commits)
    assert taken < 90
    target.read()
    assert len(target.commits) == 90
