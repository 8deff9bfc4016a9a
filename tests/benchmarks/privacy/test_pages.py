"""Pages under docs/ tell the figures of results.json, each between its own markers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import END, begin
from benchmarks.privacy.pages import (
    PAGES,
    attacks,
    fill_pages,
    positives,
    promises,
    quality,
    site_noise,
)

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
    "canary": [
        {
            "claimed_epsilon": 8.0,
            "proved_epsilon": 2.0,
            "proved_epsilon_of_mu": 5.26,
            "judged_runs_each": 400,
        }
    ],
    "dp_quality": [
        {"table": "adult", "positives": None} | row
        for row in (
            {"noise": "masks", "epsilon": 1.0, "sites": 3, "colluders": 0, "auc": 0.9061},
            {"noise": "masks", "epsilon": 1.0, "sites": 3, "colluders": 1, "auc": 0.9039},
            {"noise": "none", "epsilon": None, "sites": 3, "colluders": 0, "auc": 0.92},
            {
                "noise": "each site for itself",
                "epsilon": 1.0,
                "sites": 10,
                "colluders": 0,
                "auc": 0.89,
            },
            {
                "noise": "each site for itself",
                "epsilon": 1.0,
                "sites": 50,
                "colluders": 0,
                "auc": 0.87,
            },
            {
                "noise": "masks",
                "epsilon": 4.0,
                "sites": 3,
                "colluders": 0,
                "auc": 0.85,
                "positives": 100,
            },
        )
    ],
}


def test_every_attack_has_a_line() -> None:
    lines = attacks(FOUND).splitlines()[2:]
    assert [line.split(" | ")[-1] for line in lines] == [
        "52.8% of 2,000 rows |",
        "3,900 of 3,900 cells (summed) |",
        "5.3% of members at 1 % false alarms |",
        "1.0% of members at 1 % false alarms |",
        "epsilon is at least 5.3 |",
    ]
    assert "noise, epsilon 8" in lines[-2]


def test_quality_is_told_by_epsilon_and_by_who_may_collude() -> None:
    assert quality(FOUND).splitlines()[2:] == [
        "| adult | none | 0.920 |  |  | 0.906 |  |",
        "| adult | 1 of 3 | 0.920 |  |  | 0.904 |  |",
    ]


def test_what_masks_are_worth_stands_beside_sites_alone() -> None:
    assert site_noise(FOUND).splitlines()[2:] == ["| adult | 0.906 | 0.890 | 0.870 |"]


def test_positives_have_a_line_each() -> None:
    assert positives(FOUND).splitlines()[2:] == ["| adult | 100 |  | 0.850 |  |"]


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
