"""The sample report, drawn once for all tests that only look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience.report import write_report
from fed_audience.report.page import render
from tests.report import sample


@pytest.fixture(scope="session")
def full_html() -> str:
    return render(sample.full())


@pytest.fixture(scope="session")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(sample.full(), tmp_path_factory.mktemp("report") / "report.html")
