"""One self-contained HTML file that shows what a run did. Given data, it draws."""

from fed_audience.report.page import write_report

__all__ = ["write_report"]
