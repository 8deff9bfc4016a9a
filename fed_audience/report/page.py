"""Fill the template and put the page on disk, whole or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from fed_audience import files
from fed_audience.errors import ResourceError
from fed_audience.report import formatting, summary
from fed_audience.report.palette import DARK, LIGHT, SERIES, css_variables

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.report.data import ReportData, WithdrawalStory

_FILTERS: Final = (
    "count",
    "decimal",
    "listing",
    "moment",
    "percent",
    "plural",
    "signed",
    "signed_span",
    "size",
    "span",
    "times",
)

_SECTIONS: Final = {
    "warnings": "Warnings",
    "consent": "Consent",
    "quality": "Quality",
    "lift": "Lift and gain",
    "calibration": "Calibration",
    "importance": "Features",
    "privacy": "Privacy",
    "egress": "What left each site",
    "audiences": "Audience",
    "lookalikes": "Lookalike",
    "syncs": "Syncs",
    "withdrawal": "A withdrawal",
    "next_steps": "What to try next",
}
"""Fields of ReportData that are sections of the page, in its order, with their titles."""


def write_report(data: ReportData, path: Path) -> Path:
    """Write ``data`` as one self-contained HTML file and return its path.

    A file already there is replaced in one step; folders on the way are made. Raises
    ResourceError when the charts' packages are missing or the disk refuses, and leaves then
    what was there before.
    """
    page = render(data).encode("utf-8", errors="replace")
    files.write_whole(path, page, "the report")
    return path


def check_place(path: Path) -> None:
    """Raise ResourceError when no report can be drawn or written there; before hours of work.

    Folders on the way are made.
    """
    _charts()
    files.check_place(path, "the report", "--report")


def render(data: ReportData) -> str:
    """Return the page as HTML; the same data gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("fed_audience.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(formatting, name) for name in _FILTERS}
    return environment.get_template("report.html.j2").render(
        data=data,
        run=data.run,
        charts=_charts(),
        sections={name: title for name, title in _SECTIONS.items() if getattr(data, name)},
        summary=summary,
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
        colour_of=_brand_colours(data),
        story=_masked(data.withdrawal),
    )


def _charts() -> SimpleNamespace:
    try:
        # Only here, so that everything else works without the charts' packages.
        from fed_audience.report.charts import bars, curves, intervals  # noqa: PLC0415
    except ImportError as error:
        raise ResourceError(
            "the report's charts need packages that are not installed",
            value=error.name,
            looked="this Python environment",
            fix="run: pip install 'fed-audience[report]'",
        ) from error
    return SimpleNamespace(bars=bars, curves=curves, intervals=intervals)


def _brand_colours(data: ReportData) -> dict[str, str]:
    return {
        site: f"var(--{SERIES[number % len(SERIES)]})" for number, site in enumerate(data.run.sites)
    }


def _masked(story: WithdrawalStory | None) -> dict[str, Any] | None:
    if story is None:
        return None
    masked = formatting.mask(story.customer_id)
    return {
        "person": masked,
        "brand": story.brand,
        "steps": [
            {
                "title": step.title.replace(story.customer_id, masked),
                "detail": step.detail.replace(story.customer_id, masked),
                "at": step.at,
            }
            for step in story.steps
        ],
    }
