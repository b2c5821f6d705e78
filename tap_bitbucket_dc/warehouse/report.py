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

from tap_bitbucket_dc.warehouse import charts, omissions
from tap_bitbucket_dc.warehouse.database import connected
from tap_bitbucket_dc.warehouse.tables import Tables

HERE = Path(__file__).parent
WEEKS = 52
SHOWN = {"top": 20, "rows": 100}
SESSION = (
    "set work_mem = '128MB'",  # with less, counting ten million commits spills to disk
    "set enable_nestloop = off",  # the planner cannot know how many rows each step returns
    "set jit = off",
)


def write_report(
    dsn: str, path: str | Path, schema: str = "bitbucket", weeks: int = WEEKS
) -> list[str]:
    """Write the report about the tables in a schema, and return what it leaves out, and why.

    Args:
        dsn: A connection string of libpq or of SQLAlchemy (``postgresql+psycopg://…``). What it
            leaves out is taken from libpq's environment variables.
        path: The file to write; an existing one is overwritten.
        schema: The schema of the tables.
        weeks: How many weeks the report shows; it compares them with as many weeks before.

    Raises:
        psycopg.Error: The connection failed, or none of the tables exists.
    """
    facts = read(dsn, schema, weeks)
    Path(path).write_text(page(facts), "utf-8")
    left_out: list[str] = facts["left_out"]
    return left_out


def read(dsn: str, schema: str, weeks: int = WEEKS) -> dict[str, Any]:
    """Return what the page shows, as a JSON object built by ``report.sql``."""
    statement = (HERE / "report.sql").read_text("utf-8")
    with connected(dsn, schema) as connection:
        tables = Tables.existing(connection)
        has = _has(tables)
        shown = {**SHOWN, "weeks": weeks}
        for setting in SESSION:
            connection.execute(setting)
        row = connection.execute(
            tables.fill(statement).encode(),
            {**shown, "statuses": has["statuses"], "people": has["people"]},
        ).fetchone()
    left_out = omissions.left_out(omissions.REPORT, tables)
    return {**(row[0] if row else {}), "shown": shown, "has": has, "left_out": left_out}


def page(facts: dict[str, Any]) -> str:
    """Return the report as HTML."""
    facts = charts.clean(facts)
    script = (HERE / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(number="{:,}".format, change=_change)
    return environment.get_template("report.html").render(
        facts,
        made=datetime.now(UTC),
        chart=_chart,
        script=Markup(script),  # noqa: S704
        digest=digest,
    )


def _has(tables: Tables) -> dict[str, bool]:
    """Return for each part of the page whether the columns that it needs exist."""
    return {
        "statuses": tables.has("default_branches", "status"),
        "branches": tables.has("default_branches", "display_id"),
        "commits": tables.has("commits"),
        "weeks": tables.has("commits", "committer_timestamp"),
        "people": tables.has_any("commits", *omissions.AUTHOR),
        "merges": tables.has("commits", "is_merge"),
        "removed": tables.has("commits", "on_default_branch"),
    }


def _chart(name: str, rows: list[charts.Row]) -> dict[str, Markup]:
    """Return a chart for a wide page and for a phone; Altair has already escaped its texts."""
    draw = getattr(charts, name)
    return {
        "wide": Markup(draw(rows, charts.WIDE)),  # noqa: S704
        "phone": Markup(draw(rows, charts.PHONE)),  # noqa: S704
    }


def _change(now: int, before: int) -> str:
    """Return by how many percent a number has changed, as text."""
    if not before:
        return "new" if now else "\N{EN DASH}"
    percent = round(100 * (now - before) / before)
    return f"{percent:+,} %".replace("-", "\N{MINUS SIGN}") if percent else "\N{PLUS-MINUS SIGN}0 %"
