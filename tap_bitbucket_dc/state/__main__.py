"""The command that merges the states of shards with ``merging``.

::

    tap-bitbucket-dc-state merge 0.json 1.json 2.json > merged.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tap_bitbucket_dc.state.merging import NOT_RUN, StateError, merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_bitbucket_dc.state import Json


MERGE = (
    "Merge the states of all shards into one and print it. Use this to change the number of "
    "shards: each new shard starts from the merged state and continues with its own part."
)
FILE = "state of one shard, as the tap writes it or as `meltano state get` prints it"


def _read(file: Path) -> Json:
    try:
        state = json.loads(file.read_text("utf-8").strip() or "{}")
    except FileNotFoundError:
        raise StateError(f"{file} does not exist; {NOT_RUN}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StateError(f"{file} cannot be read: {error}") from None
    if not isinstance(state, dict):
        raise StateError(f"{file} is not a state: it does not contain a JSON object")
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
