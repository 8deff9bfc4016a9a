"""The governance record as Markdown and as one HTML page, from the same sections."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from fed_audience.report.palette import DARK, LIGHT, css_variables


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header; ``name`` says what they are."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A title, what it says in words, and its tables; empty tables are left out."""

    title: str
    text: str
    tables: tuple[Table, ...] = ()

    @property
    def anchor(self) -> str:
        """Name of the section in a link."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class GovernanceRecord:
    """The whole record. ``stamp`` says as of when, and by what."""

    title: str
    stamp: str
    sections: tuple[Section, ...]


def to_markdown(record: GovernanceRecord) -> str:
    """Return the record as Markdown (GitHub's tables)."""
    parts = [f"# {_plain(record.title)}", record.stamp]
    for section in record.sections:
        parts += [f"## {_plain(section.title)}", section.text]
        for table in section.tables:
            if table.rows:
                lines = [f"**{_plain(table.name)}**", "", _row(table.header)]
                lines.append("|" + "---|" * len(table.header))
                lines += [_row(row) for row in table.rows]
                parts.append("\n".join(lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(record: GovernanceRecord) -> str:
    """Return the record as one self-contained page; the same record gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("fed_audience.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("governance.html.j2").render(
        record=record, light=css_variables(LIGHT), dark=css_variables(DARK)
    )


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(_plain(cell) or "-" for cell in cells) + " |"


def _plain(text: str) -> str:
    """Make text of others stand in a line of Markdown as it is."""
    line = " ".join(text.split())
    return re.sub(r"[\\`*\[\]<>|#]|(?<!\w)_|_(?!\w)", r"\\\g<0>", line)
