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
    rows = [*_labels(found), *_leaver(found), *_members(found), *_canaries(found)]
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
                f"labels of rows alone in a cell of the first tree, 30 numbers a row, 10 sites, "
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


def _canaries(found: Found) -> list[list[str]]:
    return [
        [
            f"whether one far-off row took part, {row['judged_runs_each']} runs each",
            "who knows all other rows, and has the model",
            f"noise, epsilon {row['claimed_epsilon']:g}",
            f"epsilon is at least {max(row['proved_epsilon'], row['proved_epsilon_of_mu']):.1f}",
        ]
        for row in found.get("canary", ())
    ]


def quality(found: Found) -> str:
    """Draw AUC by epsilon, with no colluders and with a third of the sites."""
    rows = _of(found, positives=None, sites=3)
    drawn = []
    for name, colluders in dict.fromkeys((row["table"], row["colluders"]) for row in rows):
        aucs = {
            row["epsilon"]: row["auc"]
            for row in rows
            if row["table"] == name and row["colluders"] in {colluders, 0}
        } | {
            row["epsilon"]: row["auc"]
            for row in rows
            if (row["table"], row["colluders"]) == (name, colluders)
        }
        who = f"{colluders} of 3" if colluders else "none"
        drawn.append([name, who, *(_auc(aucs.get(one)) for one in (None, 8.0, 4.0, 1.0, 0.5))])
    epsilons = [f"epsilon {epsilon:g}" for epsilon in (8, 4, 1, 0.5)]
    return table(["AUC", "may collude", "no noise", *epsilons], drawn)


def site_noise(found: Found) -> str:
    """Draw AUC at epsilon 1: one noise for all sites, or each for itself."""
    one = _of(found, noise="masks", epsilon=1.0, colluders=0, positives=None)
    alone = _of(found, noise="each site for itself")
    drawn = [
        [row["table"], _auc(row["auc"])]
        + [
            _auc(other["auc"])
            for sites in (10, 50)
            for other in alone
            if (other["table"], other["sites"]) == (row["table"], sites)
        ]
        for row in one
    ]
    head = ["AUC at epsilon 1", "masks, any number of sites", "10 sites alone", "50 sites alone"]
    return table(head, drawn)


def positives(found: Found) -> str:
    """Draw AUC by number of positives."""
    rows = [row for row in found.get("dp_quality", ()) if row["positives"]]
    drawn = []
    for table_, count in dict.fromkeys((row["table"], row["positives"]) for row in rows):
        aucs = {
            row["epsilon"]: row["auc"]
            for row in rows
            if (row["table"], row["positives"]) == (table_, count)
        }
        drawn.append([table_, f"{count:,}", *(_auc(aucs.get(one)) for one in (None, 4.0, 1.0))])
    return table(["AUC", "positives", "no noise", "epsilon 4", "epsilon 1"], drawn)


def _of(found: Found, **where: Any) -> list[Mapping[str, Any]]:
    """Rows about the quality of noisy models that are ``where``."""
    return [row for row in found.get("dp_quality", ()) if where.items() <= row.items()]


def _auc(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


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
    "choosing-epsilon.md": {
        "quality": quality,
        "site noise": site_noise,
        "positives": positives,
    },
}
"""Page -> what stands between which of its markers."""
