"""Runs the tap, and reads what it writes as a target does."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import logging
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_bitbucket_dc.bitbucket.errors import BitbucketError
from tap_bitbucket_dc.tap import TapBitbucketDC

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]
TAP = Path(sysconfig.get_path("scripts")) / "tap-bitbucket-dc"


class Output(NamedTuple):
    """What one run of the tap wrote, and how it ended."""

    messages: list[Json]
    exit_code: int
    log: str

    def records(self, stream: str) -> list[Json]:
        found = unpacked(self.messages)
        return [m["record"] for m in found if m["type"] == "RECORD" and m["stream"] == stream]

    @property
    def states(self) -> list[Json]:
        return [m["value"] for m in self.messages if m["type"] == "STATE"]

    @property
    def state(self) -> Json:
        return self.states[-1]

    @property
    def last_line(self) -> str:
        return self.log.strip().splitlines()[-1]

    @property
    def code(self) -> str:
        """The code of the error in the last line of the log, "" if all went well."""
        if not self.exit_code:
            return ""
        return self.last_line.rpartition("| ")[2].partition(":")[0]


class Table:
    """The commits and the state in a target that upserts by key, after any number of runs."""

    def __init__(self) -> None:
        self.commits: dict[tuple[int, str], Json] = {}
        self.state: Json | None = None

    def take(self, messages: Iterable[Json]) -> None:
        """Apply messages in their order; a STATE takes effect as soon as it is read."""
        for message in unpacked(messages):
            if message["type"] == "STATE":
                self.state = message["value"]
            elif message["type"] == "RECORD" and message["stream"] == "commits":
                record = message["record"]
                self.commits[record["repository_id"], record["id"]] = record

    def on_default_branch(self, repository_id: int) -> set[str]:
        return {
            id_
            for (repository, id_), record in self.commits.items()
            if repository == repository_id and record["on_default_branch"]
        }


def unpacked(messages: Iterable[Json]) -> Iterator[Json]:
    """Yield the messages, with each BATCH message replaced by the records in its files."""
    for message in messages:
        if message["type"] != "BATCH":
            yield message
            continue
        assert message["encoding"]["format"] == "jsonl"
        for url in message["manifest"]:
            content = Path(url.removeprefix("file://")).read_bytes()
            if message["encoding"]["compression"] == "gzip":
                content = gzip.decompress(content)
            assert content.endswith(b"\n"), "the file is not complete"
            for line in content.splitlines():
                yield {"type": "RECORD", "stream": message["stream"], "record": json.loads(line)}


def sync(
    config: Json,
    state: Json | None = None,
    catalog: Json | None = None,
    *,
    tap: type[TapBitbucketDC] = TapBitbucketDC,
) -> Output:
    """Run the tap in this process, which is faster than running its command."""
    out, log = io.StringIO(), io.StringIO()
    exit_code = 0
    with contextlib.redirect_stdout(out), _logged_to(log):
        try:
            copy = json.loads(json.dumps(state)) if state is not None else None
            tap(config=dict(config), state=copy, catalog=catalog).sync_all()
        except BitbucketError as error:
            exit_code = 1
            logging.getLogger("tap-bitbucket-dc").error("%s", error)  # noqa: TRY400
    return Output(_messages(out.getvalue()), exit_code, log.getvalue())


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the tap's command as users do."""
    return subprocess.run(
        [TAP, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )


def run(
    config: Json, directory: Path, state: Json | None = None, *more: str, **options: Any
) -> Output:
    """Run the tap's command with files in a directory."""
    (directory / "config.json").write_text(json.dumps(config))
    arguments: list[str | Path] = ["--config", directory / "config.json", *more]
    if state is not None:
        (directory / "state.json").write_text(json.dumps(state))
        arguments += ["--state", directory / "state.json"]
    done = command(*arguments, **options)
    return Output(_messages(done.stdout), done.returncode, done.stderr)


def _messages(text: str) -> list[Json]:
    return [json.loads(line) for line in text.split("\n") if line]


@contextlib.contextmanager
def _logged_to(log: io.StringIO) -> Iterator[None]:
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(levelname)s | %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
