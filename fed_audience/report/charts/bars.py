"""Horizontal bars, longest first: what the model's trees lean on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt

from fed_audience.report.charts.canvas import Frame, Rows, draw, values
from fed_audience.report.palette import LIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from fed_audience.report.data import FeatureImportance

MAX_BARS: Final = 15
"""Bars beyond this many are too short to tell apart; the table holds all."""


def importance_charts(importance: Sequence[FeatureImportance]) -> list[Markup]:
    """Draw each feature's share of the total gain: the best MAX_BARS, longest first."""
    ranked = sorted(importance, key=lambda item: (-item.gain, item.feature))
    total = sum(item.gain for item in ranked) or 1.0
    rows: Rows = [
        {"feature": item.feature, "share": item.gain / total, "text": f"{item.gain / total:.1%}"}
        for item in ranked[:MAX_BARS]
    ]
    label = f"Share of the model's gain by feature, {rows[0]['feature']} first"
    return [_bars(rows, label, wide=wide) for wide in (True, False)]


def _bars(rows: Rows, label: str, *, wide: bool) -> Markup:
    y_axis = alt.Axis(
        title=None,
        labelColor=LIGHT["ink"],
        labelLimit=260 if wide else 140,
        ticks=False,
        domain=False,
    )
    longest = max(row["share"] for row in rows)
    base = alt.Chart(values(rows)).encode(
        x=alt.X("share:Q", axis=None, scale=alt.Scale(domain=[0, longest * 1.16])),
        y=alt.Y("feature:N", sort=None, axis=y_axis, scale=alt.Scale(padding=0.28)),
    )
    bars = base.mark_bar(color=LIGHT["accent"])
    text = base.mark_text(align="left", dx=6, color=LIGHT["muted"]).encode(text="text:N")
    frame = Frame(800 if wide else 330, 16 + 26 * len(rows))
    return draw(bars + text, frame, label=label, style="wide" if wide else "narrow")
