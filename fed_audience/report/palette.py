"""The report's colours, by light and by dark, as CSS variables that the charts use too."""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "page": "#f6f6f3",
    "card": "#ffffff",
    "raised": "#f8fafc",
    "ink": "#0f172a",
    "muted": "#475569",
    "line": "#e2e4e8",
    "grid": "#eceef1",
    "baseline": "#64748b",
    "accent": "#0f766e",
    "wash": "#ecf6f4",
    "good": "#166534",
    "good-wash": "#e8f5ec",
    "bad": "#b91c1c",
    "bad-wash": "#fdeeee",
    "warn": "#92400e",
    "warn-wash": "#fdf4e3",
    "series-1": "#0e766d",
    "series-2": "#6d28d9",
    "series-3": "#b45309",
    "series-4": "#1d4ed8",
    "series-5": "#be185d",
    "series-6": "#4d7c0f",
    "series-7": "#0e7490",
    "series-8": "#7c2d12",
}

DARK: Final = {
    "page": "#0c1220",
    "card": "#131b2c",
    "raised": "#1a2438",
    "ink": "#e6eaf2",
    "muted": "#a3afc2",
    "line": "#2a3650",
    "grid": "#222d43",
    "baseline": "#8b9ab3",
    "accent": "#4fd1c0",
    "wash": "#12302f",
    "good": "#7fdca0",
    "good-wash": "#13301f",
    "bad": "#fca5a5",
    "bad-wash": "#3a1a20",
    "warn": "#fbcf7a",
    "warn-wash": "#35270f",
    "series-1": "#4ecfbf",
    "series-2": "#b79bff",
    "series-3": "#f2ad55",
    "series-4": "#7fb0ff",
    "series-5": "#f58fb8",
    "series-6": "#a8d163",
    "series-7": "#5cc8e6",
    "series-8": "#e0987a",
}

SERIES: Final = tuple(name for name in LIGHT if name.startswith("series-"))
"""Names of the colours that tell brands apart, in the order in which brands get them."""


def css_variables(colours: dict[str, str]) -> str:
    """Return the colours as CSS declarations."""
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
