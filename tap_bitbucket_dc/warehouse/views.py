"""The views with the names and columns of DX's Bitbucket Server tables, as SQL.

Which columns cannot be filled, and what an id is made of, is said in the comments of the views.
"""

from __future__ import annotations

from pathlib import Path

VIEWS = Path(__file__).with_name("views.sql")


def script(schema: str) -> str:
    """Return SQL that makes the views beside the tables in ``schema``, all or none of them."""
    name = '"' + schema.replace('"', '""') + '"'
    return f"begin;\nset local search_path to {name};\n\n{VIEWS.read_text('utf-8')}\ncommit;\n"
