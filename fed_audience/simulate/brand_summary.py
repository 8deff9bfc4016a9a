"""What brands gain by something of their own, in the terminal: one line a brand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fed_audience.simulate.outcome import BrandComparison, BrandOutcome, Measured

BRAND_FOOTNOTE: Final = (
    "Each brand's own test rows; ± is the widest 95 % interval of the line. [bold]Bold[/] is best. "
    "* chose its own trees, on rows held out at home; elsewhere the trunk stays.\n"
)
_SHOWN: Final = 20
_COLUMNS: Final = {
    "trunk": "trunk",
    "brand_base": "+ base",
    "brand_feature": "+ feature",
    "continued": "+ own trees",
    "alone": "alone",
    "average": "average",
}


def brand_table(comparison: BrandComparison) -> Table:
    """Make one line a brand, one column a choice."""
    table = Table("brand", *_COLUMNS.values(), "±", box=None, header_style="dim")
    table.padding = (0, 2, 0, 0)
    for column in table.columns[1:]:
        column.justify = "right"
    for brand in comparison.brands[:_SHOWN]:
        table.add_row(*_line(brand, comparison))
    if len(comparison.brands) > _SHOWN:
        more = f"... and {len(comparison.brands) - _SHOWN} more"
        table.add_row(more, *[""] * (len(_COLUMNS) + 1))
    return table


def brand_meaning(comparison: BrandComparison) -> Iterator[str]:
    """Say in plain words what brands gained by trees of their own."""
    chose = [brand for brand in comparison.brands if brand.chosen]
    if not chose:
        yield "No brand gains by trees of its own: the shared model serves them all."
        return
    sign = 1.0 if comparison.higher_is_better else -1.0
    gains = [
        sign * (brand.continued.value - brand.trunk.value)
        for brand in chose
        if brand.continued and brand.trunk
    ]
    names = _listed([brand.name for brand in chose])
    said = f"; {min(gains):+.4f} to {max(gains):+.4f} over the trunk" if gains else ""
    yield f"Trees of their own, grown and kept at home, were chosen by {names}{said}."


def _line(brand: BrandOutcome, comparison: BrandComparison) -> list[str]:
    found: dict[str, Measured | None] = {field: getattr(brand, field) for field in _COLUMNS}
    known = [measured for measured in found.values() if measured]
    best = None
    if known:
        pick = max if comparison.higher_is_better else min
        best = pick(round(measured.value, 4) for measured in known)
    cells = []
    for field, measured in found.items():
        text = "-" if measured is None else f"{measured.value:.4f}"
        if measured is not None and round(measured.value, 4) == best:
            text = f"[bold]{text}[/]"
        cells.append(text + ("*" if field == "continued" and brand.chosen else ""))
    reach = max(((m.high - m.low) / 2 for m in known), default=None)
    return [escape(brand.name), *cells, "-" if reach is None else f"{reach:.4f}"]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 - as shown
