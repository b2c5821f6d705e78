"""Catalogs: which streams and columns are selected, and how they are replicated."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from tap_bitbucket_dc.tap import TapBitbucketDC

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.singer import Json

STREAMS = ("projects", "repositories", "default_branches", "commits")


@functools.cache
def _discovered() -> str:
    return json.dumps(TapBitbucketDC(config={"base_url": "https://git.example.com"}).catalog_dict)


def catalog(
    selected: Collection[str] = STREAMS,
    *,
    without: Collection[tuple[str, str]] = (),
    full_table: Collection[str] = (),
) -> Json:
    """Return the discovered catalog with changes.

    Args:
        selected: Streams.
        without: Columns that are not selected: (stream, column).
        full_table: Streams whose replication method is FULL_TABLE.
    """
    found: Json = json.loads(_discovered())
    for stream in found["streams"]:
        name = stream["tap_stream_id"]
        for each in stream["metadata"]:
            breadcrumb, metadata = each["breadcrumb"], each["metadata"]
            if not breadcrumb:
                metadata["selected"] = name in selected
            elif (name, breadcrumb[-1]) in without:
                metadata["selected"] = False
            if not breadcrumb and name in full_table:
                stream["replication_method"] = "FULL_TABLE"
                metadata["forced-replication-method"] = "FULL_TABLE"
    return found


def metadata(stream: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the metadata of a discovered stream by breadcrumb."""
    found = json.loads(_discovered())["streams"]
    entry = next(each for each in found if each["tap_stream_id"] == stream)
    return {tuple(each["breadcrumb"]): each["metadata"] for each in entry["metadata"]}
