"""The record says the same in Markdown and HTML, and text of others stays text."""

from __future__ import annotations

from fed_audience.report.governance import (
    GovernanceRecord,
    Section,
    Table,
    to_html,
    to_markdown,
)

RECORD = GovernanceRecord(
    "three brands",
    "As of today.",
    (
        Section(
            "Legal basis", "In words.", (Table("Consent", ("brand", "basis"), (("ant", ""),)),)
        ),
        Section("Uses", "", (Table("None", ("a",), ()),)),
        Section("Data", "", (Table("Columns", ("name",), (("<b>|f_spend_*\nx",),)),)),
    ),
)


def test_markdown_is_a_table_a_section() -> None:
    assert to_markdown(RECORD) == (
        "# three brands\n\nAs of today.\n\n## Legal basis\n\nIn words.\n\n"
        "**Consent**\n\n| brand | basis |\n|---|---|\n| ant | - |\n\n## Uses\n\n## Data\n\n"
        "**Columns**\n\n| name |\n|---|\n| \\<b\\>\\|f_spend\\_\\* x |\n"
    )


def test_html_has_a_heading_a_link_and_a_table_for_each_section() -> None:
    page = to_html(RECORD)
    assert '<a href="#legal-basis">Legal basis</a>' in page
    assert '<section id="legal-basis" aria-labelledby="legal-basis-title">' in page
    assert '<th scope="col">basis</th>' in page
    assert "<td>-</td>" in page
    assert "&lt;b&gt;|f_spend_*" in page
    assert "<b>|" not in page
    assert page.count("<table>") == 2
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
