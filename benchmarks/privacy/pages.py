"""The figures that pages under docs/ tell, drawn from the rows of a run."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

from benchmarks.page import fill, table
from fed_audience.privacy.dp.accounting import epsilon_of, mu_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.privacy.goals import Found

DELTA: Final = 1e-6
_NORMAL: Final = NormalDist()
DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


def fill_pages(content: Mapping[str, Any], folder: Path = DOCS) -> None:
    """Put the figures of ``content``, the privacy part of the results, into the pages."""
    found = {one["block"]: one["rows"] for one in content["measurements"]}
    told = f"Measured {content['began'][:10]}, commit {content['commit']}."
    for page, drawn in PAGES.items():
        for block, draw in drawn.items():
            fill(folder / page, block, f"{draw(found)}\n\n{told}")


def attacks(found: Found) -> str:
    """Draw what each attack found, one line each."""
    rows = [*_labels(found), *_leaver(found), *_members(found)]
    return table(["attack", "who could", "protection", "found"], rows)


def _labels(found: Found) -> list[list[str]]:
    where = {
        "one plain message": ("the coordinator", "none (plain)"),
        "one masked message": ("the coordinator", "masks"),
        "the sums": ("the coordinator", "masks: from the sums over all sites"),
    }
    return [
        [
            (
                "labels of rows alone in a cell of the first tree, 30 numbers a row, 10 sites, "
                f"{row['rows_of_all_sites']:,} rows, {row['bins']} bins"
            ),
            *where[row["read"]],
            f"{row['share']:.1%} of {row['rows_in_it']:,} rows",
        ]
        for row in found.get("label_inference", ())
    ]


def _leaver(found: Found) -> list[list[str]]:
    return [
        [
            f"a leaver's root histogram: {row['attempt']}",
            "the coordinator, out of line",
            "none (free cohorts)" if row["rules"] == "free" else "rules for cohorts",
            f"{row['cells_exact']:,} of {row['cells']:,} cells ({row['answer']})",
        ]
        for row in found.get("differencing", ())
    ]


def _members(found: Found) -> list[list[str]]:
    return [
        [
            f"membership in the training rows (LiRA), {row['model']}",
            "whoever has the model",
            "none" if row["epsilon"] is None else f"noise, epsilon {row['epsilon']:g}",
            f"{row['tpr_at_1_percent']:.1%} of members at 1 % false alarms",
        ]
        for row in found.get("membership", ())
    ]


def promises() -> str:
    """Draw what epsilon means at delta 1e-6, and what it adds up to; nothing of it is measured."""
    rows = []
    for epsilon in (0.5, 1.0, 2.0, 4.0, 8.0):
        mu = mu_of(epsilon, DELTA)
        caught = _NORMAL.cdf(_NORMAL.inv_cdf(0.01) + mu)
        factors = (2.0, 3.0, sqrt(4), sqrt(12), sqrt(52))
        added = [f"{epsilon_of(factor * mu, DELTA):.1f}" for factor in factors]
        rows.append([f"{epsilon:g}", f"{mu:.3f}", f"{caught:.1%}", *added])
    brands = [f"customer of {count}" for count in (2, 3)]
    runs = [f"{count} runs" for count in (4, 12, 52)]
    head = ["epsilon", "mu", "members found, at most, at 1 % false alarms", *brands, *runs]
    return table(head, rows)


PAGES: Final[Mapping[str, Mapping[str, Callable[[Found], str]]]] = {
    "threat-model.md": {"attacks": attacks},
}
"""Page -> what stands between which of its markers."""
