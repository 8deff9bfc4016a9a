"""Dots with intervals on one line a brand: quality, and the lift of a lookalike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from fed_audience.report.charts.canvas import Rows, draw, rows_frame, values
from fed_audience.report.palette import LIGHT

if TYPE_CHECKING:
    from markupsafe import Markup

    from fed_audience.report.data import Estimate, Lookalike, Quality


@dataclass(frozen=True, slots=True)
class _Look:
    """How one kind of estimate is drawn: colour by its name in the palette, and Vega's shape."""

    name: str
    colour: str
    shape: str


_ALONE = _Look("alone", "baseline", "circle")
_FEDERATED = _Look("federated", "accent", "circle")
_POOLED = _Look("pooled", "ink", "diamond")
_LIFT = _Look("lookalike", "accent", "circle")
_RFM = _Look("RFM", "series-3", "square")
_RANDOM = _Look("random", "baseline", "cross")
_CEILING = _Look("hidden truth", "ink", "diamond")


def quality_charts(quality: Quality) -> list[Markup]:
    """Draw the measure alone, federated and pooled with intervals, one line a brand."""
    rows: Rows = []
    for brand in quality.brands:
        rows += _row(brand.brand, _ALONE, brand.alone)
        rows += _row(brand.brand, _FEDERATED, brand.federated)
        rows += _row(brand.brand, _POOLED, brand.pooled)
    names = [brand.brand for brand in quality.brands]
    measure = quality.measure
    label = f"{measure} with intervals of {', '.join(names)}: alone, federated and pooled"
    axis = f"{measure} on the brand's own rows"
    return _both(rows, names, [_ALONE, _FEDERATED, _POOLED], label, axis)


def lookalike_charts(lookalike: Lookalike) -> list[Markup]:
    """Draw each target's lift beside random, recency-frequency-money and the hidden truth."""
    rows: Rows = []
    for target in lookalike.targets:
        rows += _row(target.brand, _RANDOM, target.random)
        rows += _row(target.brand, _RFM, target.rfm)
        rows += _row(target.brand, _LIFT, target.lift)
        rows += _row(target.brand, _CEILING, target.ceiling)
    names = [target.brand for target in lookalike.targets]
    share = f"{100 * lookalike.share:g}%"
    label = f"Lift among the best {share} at {', '.join(names)}, beside the baselines"
    looks = [_RANDOM, _RFM, _LIFT, _CEILING]
    return _both(rows, names, looks, label, f"Lift among the best {share} (1 = no better)")


def _row(brand: str, look: _Look, estimate: Estimate | float | None) -> Rows:
    if estimate is None:
        return []
    value, low, high = (
        (float(estimate), None, None)
        if isinstance(estimate, int | float)
        else (estimate.value, estimate.low, estimate.high)
    )
    return [{"brand": brand, "kind": look.name, "value": value, "low": low, "high": high}]


def _both(rows: Rows, names: list[str], looks: list[_Look], label: str, axis: str) -> list[Markup]:
    present = [look for look in looks if any(row["kind"] == look.name for row in rows)]
    return [
        draw(
            _chart(rows, names, present, axis, wide=wide),
            rows_frame(len(names), wide=wide, row_height=26 + 14 * len(present)),
            label=label,
            style="wide" if wide else "narrow",
        )
        for wide in (True, False)
    ]


def _chart(rows: Rows, names: list[str], looks: list[_Look], axis: str, *, wide: bool) -> Any:
    kinds = [look.name for look in looks]
    legend = alt.Legend(title=None, columns=4 if wide else 2)
    y_axis = alt.Axis(
        title=None,
        labelColor=LIGHT["ink"],
        labelFontSize=14 if wide else 13,
        labelLimit=150 if wide else 84,
        grid=False,
        ticks=False,
        domain=False,
        labelPadding=10,
    )
    place = {
        "y": alt.Y("brand:N", sort=names, axis=y_axis, scale=alt.Scale(padding=0.25)),
        "yOffset": alt.YOffset("kind:N", sort=kinds, scale=alt.Scale(domain=kinds)),
    }
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[LIGHT[look.colour] for look in looks]),
        legend=legend,
    )
    shape = alt.Shape(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=[look.shape for look in looks]),
        legend=legend,
    )
    scale = alt.Scale(zero=False, nice=True, padding=12)
    x = alt.X("value:Q", title=axis, scale=scale, axis=alt.Axis(tickCount=7 if wide else 4))
    base = alt.Chart(values(rows))
    intervals = base.transform_filter("isValid(datum.low)").mark_rule(opacity=0.75)
    dots = base.mark_point(filled=True, size=110, opacity=1)
    return intervals.encode(
        x=alt.X("low:Q", title=axis, scale=scale), x2="high:Q", color=colour, **place
    ) + dots.encode(x=x, color=colour, shape=shape, **place)
