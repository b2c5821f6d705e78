"""A report about the tables, as a single HTML file that needs no network.

PostgreSQL does the counting: it returns a few hundred rows, however many commits there are. The
template escapes all texts, and the page's content security policy allows only its own script.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tap_bitbucket_dc.warehouse import charts
from tap_bitbucket_dc.warehouse.database import connected

HERE = Path(__file__).parent
SHOWN = {"weeks": 52, "top": 20, "rows": 100}
MEMORY = "set work_mem = '128MB'"  # with less, counting ten million commits spills to disk


def write_report(dsn: str, path: str | Path, schema: str = "bitbucket") -> None:
    """Write the report about the tables in a schema.

    Args:
        dsn: A connection string of libpq or of SQLAlchemy (``postgresql+psycopg://…``). What it
            leaves out is taken from libpq's environment variables.
        path: The file to write; an existing one is overwritten.
        schema: The schema of the tables.

    Raises:
        psycopg.Error: The connection failed, or a table or column is missing.
    """
    Path(path).write_text(page(read(dsn, schema)), "utf-8")


def read(dsn: str, schema: str) -> dict[str, Any]:
    """Return what the page shows, as a JSON object built by ``report.sql``."""
    statement = (HERE / "report.sql").read_text("utf-8")
    with connected(dsn, schema) as connection:
        connection.execute(MEMORY)
        row = connection.execute(statement.encode(), SHOWN).fetchone()
    return row[0] if row else {}


def page(facts: dict[str, Any]) -> str:
    """Return the report as HTML."""
    facts = charts.clean(facts)
    script = (HERE / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = "{:,}".format
    drawings = {
        "weeks": charts.weeks(facts["weeks"]),
        "people_per_week": charts.people_per_week(facts["weeks"]),
        "co_authored_per_week": charts.co_authored_per_week(facts["weeks"]),
        "busy_repositories": charts.busy_repositories(facts["busy_repositories"]),
        "busy_people": charts.busy_people(facts["busy_people"]),
        "freshness": charts.freshness(facts["freshness"]),
    }
    return environment.get_template("report.html").render(
        facts,
        shown=SHOWN,
        made=datetime.now(UTC),
        # Altair has already escaped the texts in a chart.
        charts={name: Markup(svg) for name, svg in drawings.items()},  # noqa: S704
        script=Markup(script),  # noqa: S704
        digest=digest,
    )
