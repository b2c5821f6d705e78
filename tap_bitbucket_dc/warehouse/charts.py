"""The charts of the report, as SVG, drawn from rows of ``report.sql``. No database access.

Each chart is drawn twice: for a wide page, and for a phone, with names above the rows instead of
beside them. The colours can be told apart by colour-blind readers, and are legible on a light and
on a dark page. Everything else that depends on the page's colour scheme is left to its style
sheet. Every mark has a description of what it shows in its ``aria-label``.
"""

from __future__ import annotations

import io
import itertools
import re
import unicodedata
from datetime import date, timedelta
from typing import Any, NamedTuple, TypeAlias

import altair as alt

Row: TypeAlias = dict[str, Any]


class Page(NamedTuple):
    """Where a chart is shown."""

    width: int
    """Width of the chart in pixels, including labels."""
    step: int
    """Height of a row in pixels."""
    dates: int
    """The largest number of weeks that are labelled."""
    columns: int
    """The largest width of a name in columns; a wide character takes two."""
    names_above: bool


WIDE = Page(width=950, step=22, dates=9, columns=34, names_above=False)
PHONE = Page(width=350, step=38, dates=3, columns=46, names_above=True)
STYLE = alt.Config(
    background="transparent",
    axis=alt.AxisConfig(labelFontSize=12),
    legend=alt.LegendConfig(labelFontSize=12),
    view=alt.ViewConfig(stroke=None),
)
BLUE, ORANGE, GREY = "#4477aa", "#cc6611", "#8c939c"
AGES = ("7 days or less", "8 to 30 days", "31 to 90 days", "91 to 365 days", "more than a year")
NO_XML = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
STATUSES = ("empty", "missing", "inaccessible", "not read")
KINDS = {"merges": ORANGE, "other commits": BLUE, "by bots": GREY}


def weeks(rows: list[Row], page: Page) -> str:
    """Draw the number of commits per week, with merges and those by bots in other colours."""
    bars = [bar for row in rows for bar in _split(row, f"Week of {row['week']}")]
    count = alt.Y(**_number("upto", bars))
    chart = _chart(bars, page).mark_rect()
    chart = chart.encode(_week(rows, page), x2="until:T", y=count, y2="from:Q", color=_kind(bars))
    return _svg(chart.properties(height=220))


def people_per_week(rows: list[Row], page: Page) -> str:
    """Draw the number of authors per week."""
    return _per_week(rows, "people", "authors", page)


def co_authored_per_week(rows: list[Row], page: Page) -> str:
    """Draw the number of commits per week that name co-authors."""
    return _per_week(rows, "co_authored", "co-authored commits", page)


def _per_week(rows: list[Row], column: str, what: str, page: Page) -> str:
    bars = [
        {
            **row,
            **_until(row),
            "from": 0,
            "label": f"Week of {row['week']}; {what}: {row[column]:,}",
        }
        for row in rows
    ]
    count = alt.Y(**_number(column, bars))
    chart = _chart(bars, page).mark_rect(color=BLUE)
    chart = chart.encode(_week(rows, page), x2="until:T", y=count, y2="from:Q")
    return _svg(chart.properties(height=110))


def busy_repositories(rows: list[Row], page: Page) -> str:
    """Draw a field for each repository and week. The more commits, the more opaque it is."""
    fields = [
        {
            **row,
            **_until(row),
            "label": f"{row['name']}, week of {row['week']}; commits: {row['commits']:,}",
        }
        for row in rows
    ]
    fields = _shortened(fields, page)
    most = max((row["commits"] for row in rows), default=1)
    shade = alt.Opacity(
        "commits:Q",
        scale=alt.Scale(type="log", domain=[1, max(most, 2)], range=[0.25, 1]),
        legend=alt.Legend(title=None, orient="top", symbolType="square", tickCount=4),
    )
    chart = _chart(fields, page).mark_rect(color=BLUE)
    chart = chart.encode(_week(rows, page), x2="until:T", y=_name(page), opacity=shade)
    return _svg(chart.properties(height=alt.Step(page.step)))


def busy_people(rows: list[Row], page: Page) -> str:
    """Draw the number of commits of each person, with merges in another colour."""
    bars = _shortened([bar for row in rows for bar in _split(row, row["name"])], page)
    x = alt.X(**_number("upto", bars))
    chart = _chart(bars, page).mark_bar()
    chart = chart.encode(x, x2="from:Q", y=_name(page), color=_kind(bars))
    return _svg(chart.properties(height=alt.Step(page.step)))


def freshness(rows: list[Row], page: Page) -> str:
    """Draw the number of repositories by the age of their newest commit, or by status."""
    counts = {_freshness(row): row["repositories"] for row in rows}
    bars = [
        {
            "name": name,
            "repositories": counts.get(name, 0),
            "color": ORANGE if name in STATUSES else BLUE,
            "label": f"{name}; repositories: {counts.get(name, 0):,}",
        }
        for name in (*AGES, "no commits loaded", *STATUSES)
        if name in counts or name in AGES
    ]
    x = alt.X(**_number("repositories", bars))
    chart = _chart(bars, page).mark_bar()
    chart = chart.encode(x=x, y=_name(page), color=alt.Color("color:N", scale=None))
    return _svg(chart.properties(height=alt.Step(page.step)))


def clean(value: Any) -> Any:  # noqa: ANN401 any JSON
    """Return a value without the characters that neither HTML nor SVG can contain."""
    if isinstance(value, str):
        return NO_XML.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    return value


def _freshness(row: Row) -> str:
    if row["status"] != "ok":
        return str(row["status"])
    return "no commits loaded" if row["age"] is None else AGES[row["age"]]


def _split(row: Row, name: str) -> list[Row]:
    """Return stacked bars for merges, other commits and commits by bots, without empty ones."""
    counts = {"merges": row["merges"], "by bots": row.get("by_bots", 0)}
    label = f"{name}; commits: {row['commits']:,}"
    label += "".join(f", {kind}: {count:,}" for kind, count in counts.items() if count)
    if "before" in row:
        label += f"; before: {row['before']:,}"
    if row.get("addresses", 0) > 1:
        label += f"; e-mail addresses: {row['addresses']:,}"
    counts["other commits"] = row["commits"] - sum(counts.values())
    bars, upto = [], 0
    for kind in KINDS:
        bar = {"kind": kind, "from": upto, "upto": upto + counts[kind]}
        bars += [{"name": name, "label": label, **_until(row), **bar}] if counts[kind] else []
        upto += counts[kind]
    return bars


def _kind(bars: list[Row]) -> alt.Color:
    """Return the colours of the kinds of commits, with a legend if there is more than one kind."""
    kinds = [kind for kind in KINDS if any(bar["kind"] == kind for bar in bars)]
    scale = alt.Scale(domain=kinds, range=[KINDS[kind] for kind in kinds])
    legend = alt.Legend(title=None, orient="top") if kinds[1:] else None
    return alt.Color("kind:N", scale=scale, legend=legend)


def _until(row: Row) -> Row:
    """Return where the bar of a week begins and ends, with a gap of one day to the next."""
    if "week" not in row:
        return {}
    until = date.fromisoformat(row["week"]) + timedelta(days=6)
    return {"week": row["week"], "until": until.isoformat()}


def _chart(rows: list[Row], page: Page) -> alt.Chart:
    size = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart: alt.Chart = alt.Chart({"values": clean(rows)}, width=page.width, autosize=size).encode(
        description="label:N"
    )
    return chart


def _week(rows: list[Row], page: Page) -> alt.X:
    """Return an axis of weeks, some of them labelled."""
    mondays = sorted({row["week"] for row in rows})
    marked = mondays[:: len(mondays) // page.dates + 1]
    axis = alt.Axis(
        values=marked, format="%Y-%m-%d", grid=False, labelAlign="left", labelBound=True
    )
    return alt.X("week:T", scale=alt.Scale(type="utc"), title=None, axis=axis)


def _name(page: Page) -> alt.Y:
    """Return an axis of names, in the order of the rows."""
    axis = alt.Axis(ticks=False, domain=False, labelLimit=0, labelPadding=6)
    gap = 0.12
    if page.names_above:
        axis.labelAlign, axis.labelPadding, axis.labelOffset = "left", 0, -page.step / 2
        gap = 0.5
    scale = alt.Scale(paddingInner=gap, paddingOuter=gap / 2)
    return alt.Y("name:N", sort=None, title=None, axis=axis, scale=scale)


def _shortened(rows: list[Row], page: Page) -> list[Row]:
    """Return rows whose names are short enough for the page, but still differ from each other.

    Vega could shorten names, too, but it cuts emoji in half, which crashes the whole process.
    """
    names: dict[str, str] = {}
    for row in rows:
        name = row["name"]
        if name not in names:
            short = shorten(name, page.columns)
            while short in names.values():
                short += "\u200b"  # has no width
            names[name] = short
    return [{**row, "name": names[row["name"]]} for row in rows]


def shorten(text: str, columns: int) -> str:
    """Return the text, shortened to ``columns`` columns; a wide character takes two."""
    widths = itertools.accumulate(
        2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text
    )
    fitting = sum(1 for width in widths if width < columns)
    return text if len(text) <= fitting + 1 else f"{text[:fitting]}…"


def _number(field: str, rows: list[Row]) -> dict[str, Any]:
    """Return the arguments of an axis with whole numbers."""
    most = max((row[field] for row in rows), default=0)
    # By default, Vega also labels halves on an axis of small counts.
    marked = {"values": list(range(most + 1))} if most < 6 else {"tickCount": 5}  # noqa: PLR2004
    axis = alt.Axis(**marked, format=",d", domain=False, ticks=False)
    return {"shorthand": f"{field}:Q", "title": None, "axis": axis}


def _svg(chart: alt.Chart) -> str:
    chart.config = STYLE
    text = io.StringIO()
    chart.save(text, format="svg")
    return text.getvalue()
