"""Pages under docs/ tell the figures of results.json, each between its own markers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import END, begin
from benchmarks.privacy.pages import PAGES, attacks, fill_pages, promises

FOUND: dict[str, list[dict[str, Any]]] = {
    "label_inference": [
        {
            "rows_of_all_sites": 2_000,
            "bins": 32,
            "read": "the sums",
            "rows_in_it": 2_000,
            "labels_told": 1_055,
            "share": 0.5275,
            "told_wrongly": 0,
        }
    ],
    "differencing": [
        {
            "rules": "free",
            "attempt": "both children over the others",
            "answer": "summed",
            "cells": 3_900,
            "cells_exact": 3_900,
        }
    ],
    "membership": [
        {"model": "20 trees", "epsilon": None, "tpr_at_1_percent": 0.0535},
        {"model": "noisy", "epsilon": 8, "tpr_at_1_percent": 0.0101},
    ],
}


def test_every_attack_has_a_line() -> None:
    lines = attacks(FOUND).splitlines()[2:]
    assert [line.split(" | ")[-1] for line in lines] == [
        "52.8% of 2,000 rows |",
        "3,900 of 3,900 cells (summed) |",
        "5.3% of members at 1 % false alarms |",
        "1.0% of members at 1 % false alarms |",
    ]
    assert "noise, epsilon 8" in lines[-1]


def test_promises_are_those_of_gaussian_differential_privacy() -> None:
    """Mu of (1, 1e-6) is 0.237; two brands double it, four runs too."""
    line = next(line for line in promises().splitlines() if line.startswith("| 1 |"))
    assert line == "| 1 | 0.237 | 1.8% | 2.1 | 3.3 | 2.1 | 3.9 | 9.1 |"


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_a_place_for_each_figure_and_keep_the_rest(
    page: str, repository: Path, tmp_path: Path
) -> None:
    for name in PAGES:
        shutil.copy(repository / "docs" / name, tmp_path)
    before = (tmp_path / page).read_text(encoding="utf-8")
    assert [before.count(begin(block)) for block in PAGES[page]] == [1] * len(PAGES[page])
    content = {
        "began": "2026-11-21T12:00:00",
        "commit": "abc",
        "measurements": [{"block": block, "rows": rows} for block, rows in FOUND.items()],
    }
    fill_pages(content, tmp_path)
    after = (tmp_path / page).read_text(encoding="utf-8")
    assert after.count("Measured 2026-11-21, commit abc.") == len(PAGES[page])
    assert (
        after.partition(begin(next(iter(PAGES[page]))))[0]
        == (before.partition(begin(next(iter(PAGES[page]))))[0])
    )
    assert after.rpartition(END)[2] == before.rpartition(END)[2]


def test_the_promises_on_the_page_are_current(repository: Path) -> None:
    page = (repository / "docs" / "choosing-epsilon.md").read_text(encoding="utf-8")
    assert f"{begin('promises')}\n{promises()}\n{END}" in page
