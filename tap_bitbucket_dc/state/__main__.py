"""Merges the states of shards into one, to change the number of shards.

::

    tap-bitbucket-dc-state merge 0.json 1.json 2.json > merged.json

Each of the new shards starts from the merged state and continues with its own part. Accepts states
as the tap writes them or as ``meltano state get`` prints them, and prints the same format.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_bitbucket_dc.state import MELTANO, STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]


class StateError(Exception):
    """A file contains no state, or two files contradict each other about a repository."""


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
    """Return one state with all partitions.

    Args:
        states: The states, by the names to use in errors.

    Raises:
        StateError: Two states contradict each other about a repository, so their shards did
            not share the work.
    """
    merged: dict[str, tuple[str, Json]] = {}
    for name, state in states.items():
        for partition in _partitions(name, state):
            context = json.dumps(partition.get("context"), sort_keys=True)
            other, known = merged.setdefault(context, (name, partition))
            if known != partition:
                msg = f"{other} and {name} contradict each other about {context}"
                raise StateError(msg)
    partitions = [partition for _, partition in merged.values()]
    result = {"bookmarks": {STREAM: {"partitions": partitions}}}
    return {MELTANO: result} if any(MELTANO in state for state in states.values()) else result


def _partitions(name: str, state: Json) -> list[Json]:
    if not state.get(MELTANO, state):
        msg = f"{name} is empty: {NOT_RUN}"
        raise StateError(msg)
    try:
        found = state.get(MELTANO, state)["bookmarks"][STREAM]["partitions"]
        if all(isinstance(partition, dict) for partition in found):
            return list(found)
    except (AttributeError, KeyError, TypeError):
        pass
    msg = f"{name} is not a state with bookmarks, {STREAM}, partitions"
    raise StateError(msg)


def _read(file: Path) -> Json:
    try:
        state = json.loads(file.read_text("utf-8").strip() or "{}")
    except FileNotFoundError:
        msg = f"{file} does not exist: {NOT_RUN}"
        raise StateError(msg) from None
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{file} cannot be read: {error}"
        raise StateError(msg) from None
    if not isinstance(state, dict):
        msg = f"{file} is not a state, which is a JSON object"
        raise StateError(msg)
    return state


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="tap-bitbucket-dc-state", description="Work with the states of shards."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        "merge",
        help="merge the states in all files and print the result",
        description=MERGE,
    )
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
