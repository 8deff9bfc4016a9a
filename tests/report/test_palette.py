"""Contrast by WCAG 2.2: 4.5 for text (1.4.3), 3 for lines and bars (1.4.11)."""

from __future__ import annotations

import pytest

from fed_audience.report.palette import DARK, LIGHT, SERIES, css_variables

THEMES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])


def contrast(first: str, second: str) -> float:
    def luminance(colour: str) -> float:
        channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@THEMES
def test_text_can_be_read_wherever_it_stands(colours: dict[str, str]) -> None:
    for ground in ("page", "card", "raised", "wash", "warn-wash"):
        for text in ("ink", "muted"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for text, ground in (
        ("accent", "wash"),
        ("accent", "page"),
        ("good", "good-wash"),
        ("bad", "bad-wash"),
        ("warn", "warn-wash"),
    ):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


@THEMES
def test_lines_and_bars_stand_out(colours: dict[str, str]) -> None:
    for line in (*SERIES, "baseline", "accent", "ink"):
        for ground in ("card", "raised"):
            assert contrast(colours[line], colours[ground]) >= 3.0, (line, ground)


def test_both_themes_define_the_same_colours_each_once() -> None:
    assert list(LIGHT) == list(DARK)
    # A chart's colour is found again by its value.
    assert len(set(LIGHT.values())) == len(LIGHT)
    assert css_variables({"ink": "#000000"}) == "--ink:#000000;"
