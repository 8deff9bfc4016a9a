"""Lines against a share or a probability: lift, gain, calibration and reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt

from fed_audience.report.charts.canvas import Rows, brand_colours, draw, half_frame, values
from fed_audience.report.palette import LIGHT, SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from fed_audience.report.data import Audience, AudienceBrand, CalibrationCurve, LiftCurve

MAX_SERIES: Final = len(SERIES)
"""Lines beyond this many could not be told apart; the tables hold every brand."""

_EXPECTED: Final = {"probability": "Expected positives", "amount": "Expected amount"}
"""What the scores of people together mean, by what a score is; ranks have no sum."""


def lift_chart(curves: Sequence[LiftCurve], brands: Sequence[str]) -> Markup:
    """Draw lift over the share of customers reached, best first."""
    rows: Rows = [
        {"name": curve.name, "share": point.share, "value": point.lift}
        for curve in curves[:MAX_SERIES]
        for point in curve.points
    ]
    names = _names(curves)
    colours = brand_colours(names, brands)
    chart = _lines(rows, colours, "Share of customers, best first", "Lift over the average")
    return draw(
        _level(1.0) + chart,
        half_frame(names),
        label=f"Lift by share of customers reached: {', '.join(names)}",
    )


def gain_chart(curves: Sequence[LiftCurve], brands: Sequence[str]) -> Markup:
    """Draw the share of all positives found over the share of customers reached."""
    rows: Rows = [
        {"name": curve.name, "share": share, "value": gain}
        for curve in curves[:MAX_SERIES]
        for share, gain in [(0.0, 0.0), *((point.share, point.gain) for point in curve.points)]
    ]
    names = _names(curves)
    colours = brand_colours(names, brands)
    chart = _lines(
        rows, colours, "Share of customers, best first", "Share of positives found", form=".0%"
    )
    return draw(
        _diagonal(1.0) + chart,
        half_frame(names),
        label=f"Positives found by share reached: {', '.join(names)}",
    )


def calibration_chart(curves: Sequence[CalibrationCurve], brands: Sequence[str]) -> Markup:
    """Draw the observed rate over the predicted probability, with the diagonal of honesty."""
    rows: Rows = [
        {"name": curve.name, "predicted": point.predicted, "observed": point.observed}
        for curve in curves[:MAX_SERIES]
        for point in curve.points
    ]
    names = _names(curves)
    top = max((max(row["predicted"], row["observed"]) for row in rows), default=1.0)
    axis = alt.Axis(format="%", tickCount=5)
    scale = alt.Scale(domain=[0, top], nice=True)
    lines = alt.Chart(values(rows)).encode(
        x=alt.X("predicted:Q", title="Predicted probability", axis=axis, scale=scale),
        y=alt.Y("observed:Q", title="Observed rate", axis=axis, scale=scale),
        **brand_colours(names, brands),
    )
    dots = lines.mark_point(filled=True, size=34, opacity=1).encode(strokeDash=alt.Undefined)
    chart = _diagonal(top) + lines.mark_line() + dots
    return draw(
        chart,
        half_frame(names),
        label=f"Observed rate by predicted probability: {', '.join(names)}",
    )


def reach_charts(audience: Audience, brands: Sequence[str]) -> list[Markup]:
    """Draw what a wider reach buys: lift (or score), and what is expected of the people."""
    shown = [part for part in audience.brands if part.reach][:MAX_SERIES]
    scored = [part for part in shown if part.score != "rank"]
    of = {kind: [part for part in shown if part.score == kind] for kind in (*_EXPECTED, "rank")}
    wanted = [
        (scored, "lift", "Expected lift", "~g"),
        *((of[kind], "expected", title, "~s") for kind, title in _EXPECTED.items()),
        (of["rank"], "threshold", "Lowest rank score reached", "~g"),
    ]
    return [
        _reach(rows, [part.brand for part in parts], brands, audience.share, axis, form)
        for parts, field, axis, form in wanted
        if (rows := _reach_rows(parts, field))
    ]


def _reach_rows(parts: Sequence[AudienceBrand], field: str) -> Rows:
    return [
        {"name": part.brand, "share": point.share, "value": getattr(point, field)}
        for part in parts
        for point in part.reach
        if getattr(point, field) is not None
    ]


def _reach(
    rows: Rows, names: list[str], brands: Sequence[str], share: float, axis: str, form: str
) -> Markup:
    chosen = alt.Chart(values([{"share": share, "text": f"reach {100 * share:g}%"}]))
    rule = chosen.mark_rule(color=LIGHT["ink"], strokeDash=[3, 3], strokeWidth=1).encode(
        x="share:Q"
    )
    text = chosen.mark_text(
        align="left" if share < 0.5 else "right",  # noqa: PLR2004 - the half of the chart it is in
        dx=5 if share < 0.5 else -5,  # noqa: PLR2004 - the same
        dy=-2,
        baseline="top",
        color=LIGHT["ink"],
    ).encode(x="share:Q", y=alt.value(0), text="text:N")
    colours = brand_colours(names, brands)
    lines = _lines(rows, colours, "Share of eligible people reached", axis, form=form)
    return draw(
        rule + lines + text, half_frame(names), label=f"{axis} by reach: {', '.join(names)}"
    )


def _names(curves: Sequence[LiftCurve] | Sequence[CalibrationCurve]) -> list[str]:
    return [curve.name for curve in curves[:MAX_SERIES]]


def _lines(
    rows: Rows, colours: dict[str, Any], x_title: str, y_title: str, form: str = "~g"
) -> Any:
    return (
        alt.Chart(values(rows))
        .mark_line()
        .encode(
            x=alt.X(
                "share:Q",
                title=x_title,
                axis=alt.Axis(format="%", tickCount=5),
                scale=alt.Scale(domain=[0, 1]),
            ),
            y=alt.Y("value:Q", title=y_title, axis=alt.Axis(format=form, tickCount=5)),
            **colours,
        )
    )


def _level(at: float) -> Any:
    return (
        alt.Chart(values([{"at": at}]))
        .mark_rule(color=LIGHT["baseline"], strokeDash=[3, 3], strokeWidth=1)
        .encode(y="at:Q")
    )


def _diagonal(to: float) -> Any:
    return (
        alt.Chart(values([{"x": 0.0, "y": 0.0}, {"x": to, "y": to}]))
        .mark_line(color=LIGHT["baseline"], strokeDash=[3, 3], strokeWidth=1)
        .encode(x="x:Q", y="y:Q")
    )
