"""Completes catalogs that users have written or shortened, as the SDK requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.singerlib import CatalogEntry, Metadata, MetadataMapping, Schema

from tap_bitbucket_dc.bitbucket.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk import Stream
    from singer_sdk.singerlib import Catalog


SELECT = (
    "Select at least one; `meltano select --list --all tap-bitbucket-dc` shows what your patterns "
    "select."
)


def complete(catalog: Catalog, streams: Iterable[Stream]) -> None:
    """Add the streams that a catalog omits, as deselected, and everything that keys require."""
    for stream in streams:
        keys = list(stream.primary_keys or ())
        entry = catalog.get_stream(stream.name)
        if entry is None:
            entry = CatalogEntry(
                tap_stream_id=stream.name,
                metadata=MetadataMapping.get_standard_metadata(
                    schema=stream.schema, key_properties=keys
                ),
                schema=Schema.from_dict(stream.schema),
                stream=stream.name,
            )
            entry.metadata.root.selected = False
            catalog.add_stream(entry)
        if not entry.schema.properties:
            entry.schema = Schema.from_dict(stream.schema)
        entry.key_properties = keys
        entry.replication_key = stream.replication_key
        if entry.metadata:
            # Without metadata, everything is selected. A row without its key would replace others.
            for column in filter(None, [*keys, stream.replication_key]):
                automatic = Metadata.InclusionType.AUTOMATIC
                entry.metadata["properties", column].inclusion = automatic


def require_selection(catalog: Catalog, streams: Iterable[Stream]) -> None:
    """Raise a ConfigError if a complete catalog selects none of the tap's streams."""
    names = [stream.name for stream in streams]
    if not any(catalog[name].metadata.resolve_selection()[()] for name in names):
        what = f"No stream is selected. The streams are {', '.join(names)}."
        raise ConfigError(what, remedy=SELECT)
