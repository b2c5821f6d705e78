"""Merges the states of shards into one, to change the number of shards.

::

    tap-bitbucket-dc-state merge 0.json 1.json 2.json > merged.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tap_bitbucket_dc.state import MELTANO, STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]


class StateError(Exception):
    """A file contains no state, or two states disagree about a repository."""


MERGE = (
    "Merge the states of all shards into one and print it, to change the number of shards: each of "
    "the new shards starts from the merged state and continues with its own part."
)
FILE = "state of one shard, as the tap writes it or as `meltano state get` prints it"
NOT_RUN = (
    "its shard has not run yet. Let it run first, or leave the file out; then that shard reads its "
    "repositories in full"
)


def merge(states: Mapping[str, Json]) -> Json:
    """Return one state with all partitions, in the format of the states.

    Args:
        states: By the names to use in errors.

    Raises:
        StateError: One is no state, or two shards have not shared the work.
    """
    merged: dict[str, tuple[str, Json]] = {}
    for name, state in states.items():
        for partition in _partitions(name, state):
            context = json.dumps(partition.get("context"), sort_keys=True)
            other, known = merged.setdefault(context, (name, partition))
            if known != partition:
                raise StateError(f"{other} and {name} disagree about {context}")
    partitions = [partition for _, partition in merged.values()]
    result = {"bookmarks": {STREAM: {"partitions": partitions}}}
    return {MELTANO: result} if any(MELTANO in state for state in states.values()) else result


def _partitions(name: str, state: Json) -> list[Json]:
    if not (found := state.get(MELTANO, state)):
        raise StateError(f"{name} is empty: {NOT_RUN}")
    try:
        return msgspec.convert(found["bookmarks"][STREAM]["partitions"], list[Json])
    except (LookupError, TypeError, ValueError):
        what = f"{name} is not a state of this tap: it has no bookmarks.{STREAM}.partitions"
        raise StateError(what) from None


def _read(file: Path) -> Json:
    try:
        state = json.loads(file.read_text("utf-8").strip() or "{}")
    except FileNotFoundError:
        raise StateError(f"{file} does not exist: {NOT_RUN}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StateError(f"{file} cannot be read: {error}") from None
    if not isinstance(state, dict):
        raise StateError(f"{file} is not a state, which is a JSON object")
    return state


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="tap-bitbucket-dc-state", description="Work with the states of shards."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    brief = "merge the states in all files and print the result"
    command = commands.add_parser("merge", help=brief, description=MERGE)
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help=FILE)
    files = parser.parse_args(arguments).files
    try:
        print(json.dumps(merge({str(file): _read(file) for file in files})))  # noqa: T201 its output
    except StateError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
