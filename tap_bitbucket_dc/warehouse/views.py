"""SQL for views with the names and columns of DX's Bitbucket Server tables.

The comments in the SQL say which columns cannot be filled, and how ids are derived.
"""

from __future__ import annotations

from pathlib import Path

VIEWS = Path(__file__).with_name("views.sql")


def script(schema: str) -> str:
    """Return SQL that creates the views in the schema of the tables, in one transaction."""
    name = '"' + schema.replace('"', '""') + '"'
    return f"begin;\nset local search_path to {name};\n\n{VIEWS.read_text('utf-8')}\ncommit;\n"
