"""The sheet that all charts are drawn on: sizes, type, colours, and clean SVG at the end."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import altair as alt
import vl_convert as vlc
from markupsafe import Markup

from fed_audience.report.palette import LIGHT, SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

Rows = list[dict[str, Any]]

_NAMESPACE: Final = "http://www.w3.org/2000/svg"
_VARIABLE_OF: Final = {colour: f"var(--{name})" for name, colour in LIGHT.items()}
# Vega writes its own accessibility tree and font stack; the page brings both.
_DROPPED: Final = {"role", "class", "pointer-events", "font-family", "width", "height", "version"}
_DASHES: Final = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3], [5, 2], [1, 2], [12, 4], [4, 4])


@dataclass(frozen=True, slots=True)
class Frame:
    """A chart's size in its own units; on the page it fills its column."""

    width: int
    height: int


# XML 1.0, section 2.2.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_HALF_WIDTH: Final = 340
_LABEL_LIMIT: Final = 130
_ENTRY: Final = (7, 42)
"""Width of a legend's entry: of a character, and of symbol and gap."""


def half_frame(names: list[str]) -> Frame:
    """Return a frame for a half column whose legend holds ``names``."""
    return Frame(_HALF_WIDTH, 260 + 17 * (-(-len(names) // _legend_columns(names)) - 1))


def rows_frame(rows: int, *, wide: bool, row_height: int = 56) -> Frame:
    """Return a frame for ``rows`` horizontal rows: for a full column, or for a phone."""
    return Frame(800 if wide else 330, 74 + row_height * rows)


def values(rows: Rows) -> Any:
    """Hand rows to a chart as they are."""
    return alt.Data(values=rows)


def brand_colours(names: list[str], brands: Sequence[str]) -> dict[str, Any]:
    """Return colour and dash encodings of field ``name``, told apart even without colour.

    A brand keeps its place in ``brands`` in every chart; any other line is drawn in ink.
    """
    places = [brands.index(name) if name in brands else None for name in names]
    colours = [LIGHT["ink" if p is None else SERIES[p % len(SERIES)]] for p in places]
    dashes = [
        _DASHES[(own if place is None else place) % len(_DASHES)]
        for own, place in enumerate(places)
    ]
    columns = _legend_columns(names)
    legend = alt.Legend(title=None, symbolType="stroke", columns=columns, labelLimit=_LABEL_LIMIT)
    if len(names) == 1:
        legend = None
    return {
        "color": alt.Color("name:N", scale=alt.Scale(domain=names, range=colours), legend=legend),
        "strokeDash": alt.StrokeDash(
            "name:N", scale=alt.Scale(domain=names, range=dashes), legend=legend
        ),
    }


def draw(chart: Any, frame: Frame, *, label: str, style: str = "") -> Markup:
    """Render ``chart`` to an SVG named ``label``, its colours replaced by the page's variables."""
    sized = chart.properties(
        width=frame.width,
        height=frame.height,
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),
        padding=4,
    ).configure(**_configuration())
    svg = vlc.vegalite_to_svg(json.dumps(_drawable(sized.to_dict())))
    root = ET.fromstring(svg)  # noqa: S314 - our own renderer wrote it
    box = root.get("viewBox", f"0 0 {frame.width} {frame.height}")
    _clean(root)
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "aria-label": _drawable(label)})
    if style:
        root.set("class", style)
    text = ET.tostring(root, encoding="unicode")
    return Markup(text)  # noqa: S704 - the renderer and ElementTree escaped every text


def _drawable(value: Any) -> Any:
    """Replace what SVG cannot hold: control characters by a mark, numbers not finite by null."""
    if isinstance(value, dict):
        return {name: _drawable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_drawable(item) for item in value]
    if isinstance(value, str):
        return _NOT_XML.sub("\ufffd", value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _legend_columns(names: list[str]) -> int:
    character, around = _ENTRY
    widest = min(_LABEL_LIMIT, character * max((len(name) for name in names), default=1))
    return max(1, (_HALF_WIDTH - around) // (widest + around))


def _clean(node: ET.Element) -> None:
    node.tag = node.tag.removeprefix(f"{{{_NAMESPACE}}}")
    for name in list(node.attrib):
        if name.startswith("aria-") or (name in _DROPPED and node.tag != "rect"):
            del node.attrib[name]
        elif name in {"fill", "stroke"}:
            node.set(name, _VARIABLE_OF.get(node.attrib[name], node.attrib[name]))
    for child in list(node):
        _clean(child)
        if _is_invisible(child):
            node.remove(child)


def _is_invisible(node: ET.Element) -> bool:
    if node.get("display") == "none":
        return True
    if node.tag == "path":
        return not node.get("d") or not {"fill", "stroke", "style"} & node.attrib.keys()
    return node.tag == "g" and len(node) == 0


def _configuration() -> dict[str, Any]:
    ink, muted, grid, line = (LIGHT[name] for name in ("ink", "muted", "grid", "line"))
    return {
        "background": "transparent",
        "font": "Liberation Sans, Arial, Helvetica, sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": muted,
            "titleColor": muted,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelPadding": 6,
            "labelFlush": False,
            "gridColor": grid,
            "domainColor": line,
            "tickColor": line,
            "tickSize": 4,
        },
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "labelColor": ink,
            "labelFontSize": 12,
            "labelLimit": 150,
            "symbolStrokeWidth": 2.5,
            "symbolSize": 110,
            "symbolOpacity": 1,
            "columnPadding": 18,
            "offset": 10,
        },
        "line": {"strokeWidth": 2.5, "strokeCap": "round", "strokeJoin": "round"},
        "rule": {"strokeWidth": 2},
        "text": {"color": ink, "fontSize": 12},
    }
