from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from markupsafe import Markup

from fed_audience.report.charts import bars, curves, intervals
from fed_audience.report.data import Estimate, LiftCurve, LiftPoint
from tests.report import sample

SITES = sample.BRANDS


def every_chart() -> dict[str, Markup]:
    data = sample.full()
    assert data.quality
    drawn = {
        "lift": curves.lift_chart(data.lift, SITES),
        "gain": curves.gain_chart(data.lift, SITES),
        "calibration": curves.calibration_chart(data.calibration, SITES),
    }
    several = {
        "quality": intervals.quality_charts(data.quality),
        "lookalike": intervals.lookalike_charts(data.lookalikes[0]),
        "importance": bars.importance_charts(data.importance),
        "reach": curves.reach_charts(data.audiences[0], SITES),
    }
    for name, charts in several.items():
        drawn |= {f"{name}-{number}": chart for number, chart in enumerate(charts)}
    return drawn


@pytest.fixture(scope="module")
def charts() -> dict[str, Markup]:
    return every_chart()


def parse(chart: Markup) -> ET.Element:
    return ET.fromstring(str(chart))  # noqa: S314 - our own drawing


def texts(chart: Markup) -> list[str]:
    return [node.text or "" for node in parse(chart).iter("text")]


def test_each_is_an_image_with_a_name_that_scales_with_its_column(
    charts: dict[str, Markup],
) -> None:
    for name, chart in charts.items():
        root = parse(chart)
        assert root.get("role") == "img", name
        assert len(root.get("aria-label", "")) > 10, name
        assert re.fullmatch(r"0 0 \d+(\.\d+)? \d+(\.\d+)?", root.get("viewBox", "")), name
        assert root.get("width") is None, name


def test_every_colour_follows_the_theme(charts: dict[str, Markup]) -> None:
    for name, chart in charts.items():
        for node in parse(chart).iter():
            for attribute in ("fill", "stroke"):
                colour = node.get(attribute, "none")
                allowed = colour in {"none", "transparent"} or colour.startswith("var(--")
                assert allowed, (name, node.tag, attribute, colour)


def test_nothing_inside_can_clash_with_another_chart_or_reach_out(
    charts: dict[str, Markup],
) -> None:
    for name, chart in charts.items():
        for node in parse(chart).iter():
            assert node.tag in {"svg", "g", "path", "line", "rect", "text"}, (name, node.tag)
            assert not {"id", "href", "clip-path"} & node.attrib.keys(), name


def test_charts_stay_small(charts: dict[str, Markup]) -> None:
    for name, chart in charts.items():
        assert len(chart) < 20_000, name


def test_full_width_charts_come_for_a_desk_and_for_a_phone() -> None:
    wide, narrow = bars.importance_charts(sample.importance())
    assert (parse(wide).get("class"), parse(narrow).get("class")) == ("wide", "narrow")


def test_the_bars_are_as_long_as_their_shares() -> None:
    wide, _ = bars.importance_charts(sample.importance())
    lengths = [float(m) for m in re.findall(r'd="M0,[\d.]+h([\d.]+)v[\d.]+h-[\d.]+Z"', wide)]
    assert len(lengths) == bars.MAX_BARS
    assert lengths == sorted(lengths, reverse=True)
    gains = [item.gain for item in sample.importance()][: bars.MAX_BARS]
    assert lengths[5] / lengths[0] == pytest.approx(gains[5] / gains[0], rel=1e-6)


def test_no_gain_at_all_draws_without_dividing_by_zero() -> None:
    flat = tuple(replace(item, gain=0.0) for item in sample.importance())
    assert "0.0%" in texts(bars.importance_charts(flat)[0])


def test_a_brand_keeps_its_colour_and_dash_in_every_chart() -> None:
    travel = replace(sample.full().lift[2])
    chart = curves.lift_chart((travel,), SITES)
    assert "var(--series-3)" in chart
    assert "var(--series-1)" not in chart


def test_a_curve_of_the_whole_federation_is_drawn_in_ink() -> None:
    whole = LiftCurve("all brands", (LiftPoint(0.1, 2.0, 0.2), LiftPoint(1.0, 1.0, 1.0)))
    chart = curves.lift_chart((whole,), SITES)
    assert 'stroke="var(--ink)"' in chart


def test_more_brands_than_colours_draw_the_first_and_say_nothing_wrong() -> None:
    many = tuple(sample.lift(f"brand {number}", 2.0) for number in range(20))
    drawn = texts(curves.lift_chart(many, tuple(curve.name for curve in many)))
    named = [text for text in drawn if text.startswith("brand ")]
    assert named == [f"brand {number}" for number in range(curves.MAX_SERIES)]


def test_an_estimate_that_is_missing_leaves_its_mark_out() -> None:
    quality = sample.quality()
    brands = tuple(replace(brand, alone=None, pooled=None) for brand in quality.brands)
    drawn = texts(intervals.quality_charts(replace(quality, brands=brands))[0])
    assert "federated" in drawn
    assert not {"alone", "pooled"} & set(drawn)


def test_an_estimate_without_an_interval_is_a_dot_without_a_line() -> None:
    quality = sample.quality()
    dots = tuple(
        replace(b, alone=None, pooled=None, federated=Estimate(0.7)) for b in quality.brands
    )
    without = intervals.quality_charts(replace(quality, brands=dots))[0]
    lines = tuple(replace(b, alone=None, pooled=None) for b in quality.brands)
    with_lines = intervals.quality_charts(replace(quality, brands=lines))[0]
    accent = 'stroke="var(--accent)"'
    assert without.count(accent) < with_lines.count(accent)


def test_a_rank_shows_its_score_and_promises_no_positives() -> None:
    audience = sample.audience()
    ranked = tuple(
        replace(
            brand,
            score="rank",
            reach=tuple(replace(p, expected=None, lift=None) for p in brand.reach),
        )
        for brand in audience.brands
    )
    (chart,) = curves.reach_charts(replace(audience, brands=ranked), SITES)
    assert "Lowest rank score reached" in texts(chart)
    assert "reach 10%" in texts(chart)


def test_an_amount_is_no_number_of_positives() -> None:
    audience = sample.audience()
    amounts = tuple(replace(brand, score="amount") for brand in audience.brands)
    drawn = curves.reach_charts(replace(audience, brands=amounts), SITES)
    assert [texts(chart).count("Expected amount") for chart in drawn] == [0, 1]
    assert not [chart for chart in drawn if "ositives" in chart]


def test_a_name_that_is_markup_is_only_text() -> None:
    name = '<script>alert("x")</script>&'
    chart = curves.lift_chart((replace(sample.full().lift[0], name=name), *sample.full().lift), ())
    assert "<script" not in chart
    assert any(text.startswith("<script>") for text in texts(chart))


def test_a_name_that_svg_cannot_hold_is_marked_and_a_number_that_is_none_left_out() -> None:
    broken = LiftCurve("a\x00b\ud800c", (LiftPoint(0.1, float("nan"), 0.3), LiftPoint(1, 1.0, 1.0)))
    chart = curves.lift_chart((broken, *sample.full().lift), SITES)
    assert "a\ufffdb\ufffdc" in texts(chart)
    assert "a\ufffdb\ufffdc" in parse(chart).get("aria-label", "")
    assert "NaN" not in chart


def test_the_same_data_draws_the_same_bytes(charts: dict[str, Markup]) -> None:
    assert every_chart() == charts


@pytest.mark.parametrize("length", [5, 12, 30])
def test_a_legend_of_many_names_stays_within_the_chart(length: int) -> None:
    names = [f"{number}{'n' * length}" for number in range(curves.MAX_SERIES)]
    chart = parse(curves.lift_chart(tuple(sample.lift(name, 2.0) for name in names), names))
    _, _, width, height = (float(part) for part in chart.get("viewBox", "").split())
    assert width == pytest.approx(340, abs=1)
    assert 260 <= height <= 450
