"""Draws what was measured: the tap and its alternatives in colour, the bare loops in grey."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import altair as alt

if TYPE_CHECKING:
    from pathlib import Path

OURS, OTHERS, LIMIT = "#1558bc", "#b9772d", "#b5bac0"


class Panel(NamedTuple):
    """Bars of one kind."""

    title: str
    bars: list[tuple[str, float]]
    """Name and value, ours first."""
    shown: str
    """How a value is written, such as ``",.0f"``."""


def draw(panels: list[Panel], path: Path) -> None:
    """Write the panels, one below the other, as SVG."""
    chart = alt.vconcat(*map(_panel, panels)).resolve_scale(x="independent")
    path.parent.mkdir(exist_ok=True)
    chart.configure(background="white", view=alt.ViewConfig(stroke=None)).save(path)


def _panel(panel: Panel) -> alt.LayerChart | alt.FacetChart:
    rows = [{"name": n, "value": v, "kind": _kind(n, i)} for i, (n, v) in enumerate(panel.bars)]
    colour = alt.Color("kind:N", scale=None, legend=None)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("value:Q", axis=None),
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False)),
    )
    bars = base.mark_bar(height=13).encode(color=colour)
    numbers = base.mark_text(align="left", dx=4).encode(
        text=alt.Text("value:Q", format=panel.shown)
    )
    title = alt.TitleParams(panel.title, anchor="start")
    return alt.layer(bars, numbers).properties(title=title, width=420, height=alt.Step(20))


def _kind(name: str, index: int) -> str:
    if index == 0 or name.startswith("meltano run"):
        return OURS
    return LIMIT if name.startswith("bare") else OTHERS
