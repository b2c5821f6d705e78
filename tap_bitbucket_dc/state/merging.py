"""Merges the states of shards into one, to change the number of shards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from tap_bitbucket_dc.state import MELTANO, STREAM, Json, unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_RUN = (
    "if its shard has not run yet, run it first, or leave the file out, in which case the "
    "repositories of that shard are read in full"
)


class StateError(Exception):
    """A file contains no state, or two states disagree about a repository."""


def merge(states: Mapping[str, Json]) -> Json:
    """Return one state with all partitions, wrapped as Meltano stores it if one of them is.

    Args:
        states: The states, by the names to use in errors.

    Raises:
        StateError: One of them is not a state, or two disagree about a repository.
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
    if not (found := unwrapped(state)):
        raise StateError(f"{name} is empty; {NOT_RUN}")
    try:
        return msgspec.convert(found["bookmarks"][STREAM]["partitions"], list[Json])
    except (LookupError, TypeError, ValueError):
        what = f"{name} is not a state of this tap: it has no bookmarks.{STREAM}.partitions"
        raise StateError(what) from None
