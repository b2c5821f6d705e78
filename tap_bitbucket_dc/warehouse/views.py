"""SQL for views with the names and columns of DX's Bitbucket Server tables.

The comments in the SQL say which columns cannot be filled, and how ids are derived.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_bitbucket_dc.warehouse.tables import Tables

VIEWS = Path(__file__).with_name("views.sql")


def script(schema: str, tables: Tables) -> str:
    """Return SQL that creates the views in the schema of the tables, in one transaction."""
    name = '"' + schema.replace('"', '""') + '"'
    views = tables.fill(VIEWS.read_text("utf-8"))
    return f"begin;\nset local search_path to {name};\n\n{views}\ncommit;\n"
