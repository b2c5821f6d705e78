"""Completes catalogs that users have written or shortened, as the SDK requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.singerlib import CatalogEntry, Metadata, MetadataMapping, Schema

from tap_bitbucket_dc.bitbucket.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk import Stream
    from singer_sdk.singerlib import Catalog


def complete(catalog: Catalog, streams: Iterable[Stream]) -> None:
    """Add what a catalog omits: other streams, deselected, and everything that keys require.

    Args:
        catalog: Modified in place.
        streams: All streams of the tap, as they are without a catalog.
    """
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
            needed = [*keys, stream.replication_key] if stream.replication_key else keys
            for column in needed:
                automatic = Metadata.InclusionType.AUTOMATIC
                entry.metadata["properties", column].inclusion = automatic


def require_selection(catalog: Catalog, streams: Iterable[Stream]) -> None:
    """Check that a complete catalog selects at least one of the tap's streams.

    Raises:
        ConfigError: It selects none.
    """
    names = [stream.name for stream in streams]
    if not any(catalog[name].metadata.resolve_selection()[()] for name in names):
        raise ConfigError(
            f"No stream is selected. The streams are {', '.join(names)}.",
            remedy=(
                "Select at least one; `meltano select --list --all tap-bitbucket-dc` shows what "
                "your patterns select."
            ),
        )
