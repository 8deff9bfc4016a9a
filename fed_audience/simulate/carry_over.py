"""Which features carry over from the seed site to a target site.

A tree sends a value that it never saw wherever most rows went. Where a target's rows hold values
that the seed site does not know ('wife' at a site of men), a feature misleads there, however well
it works at home. Such a feature is left out when the seed site can do without it, that is, when
its own held-out rows are ranked as well by the others; otherwise it stays. Models that leave
unusable features out beat guessed values: Saar-Tsechansky and Provost, JMLR 8 (2007).

The target tells one number a feature, the share of its rows that the seed site does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.gbdt.evaluation import auc
from fed_audience.gbdt.growing.sampling import chosen, keyed, row_hashes
from fed_audience.simulate.learners import Learners

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from fed_audience.gbdt.bins import Feature
    from fed_audience.simulate.problem import Problem
    from fed_audience.simulate.settings import SimulationSettings

KNOWN_ROWS: Final = 20
"""A value is known to the seed site from this many training rows on."""

NOTICED_SHARE: Final = 0.01
"""Share of unknown rows at the target from which a feature is doubted."""

TOLERATED_LOSS: Final = 0.005
"""AUC that the seed site gives up, on its held-out rows, for a feature that carries over."""

_TRIAL_TREES: Final = 50
_HELD_OUT: Final = 0.25


def unknown_share(
    problem: Problem,
    feature: Feature,
    seed_rows: npt.NDArray[np.intp],
    target_rows: npt.NDArray[np.intp],
) -> float:
    """Share of the target's rows whose value the seed site does not know, 0 to 1.

    A missing value is a value of its own. Numbers that are present are always known: a tree
    treats one beyond the range it saw like the nearest it saw.
    """
    column: Any = problem.columns.column(feature.name)
    if not feature.categorical:
        column = pc.if_else(pc.is_null(column), "missing", "present")
    counts = pc.value_counts(column.take(seed_rows)).to_pylist()
    known = {entry["values"] for entry in counts if entry["counts"] >= KNOWN_ROWS}
    if not feature.categorical:
        known.add("present")
    at_target = pc.value_counts(column.take(target_rows)).to_pylist()
    unknown = sum(entry["counts"] for entry in at_target if entry["values"] not in known)
    return float(unknown / len(target_rows))


def carried_over(
    problem: Problem,
    settings: SimulationSettings,
    features: Sequence[Feature],
    seed_rows: npt.NDArray[np.intp],
    target_rows: npt.NDArray[np.intp],
) -> tuple[tuple[Feature, ...], dict[str, str]]:
    """Return the features to use, and why each other one was left out.

    Doubtful features are tried one after the other, the least known first, on the seed site's
    training rows alone.
    """
    shares = {f.name: unknown_share(problem, f, seed_rows, target_rows) for f in features}
    doubtful = sorted(
        (f for f in features if shares[f.name] >= NOTICED_SHARE), key=lambda f: -shares[f.name]
    )
    kept, left_out = list(features), dict[str, str]()
    if not doubtful:
        return tuple(kept), left_out
    draws = keyed(row_hashes(pa.array(seed_rows)), seed=settings.seed, use="carry over")
    held = chosen(draws, _HELD_OUT)
    fit, judge = seed_rows[~held], seed_rows[held]

    def quality(trial: list[Feature]) -> float:
        learners = Learners(problem, settings, features=trial)
        scores = learners.federated({"seed": fit}, judge, trees=_TRIAL_TREES).scores
        return auc(problem.labels[judge], scores) or 0.0

    if min(len(np.unique(problem.labels[rows])) for rows in (fit, judge)) < 2:  # noqa: PLR2004 - positives and negatives
        return tuple(kept), left_out
    best = quality(kept)
    for feature in doubtful:
        trial = [other for other in kept if other is not feature]
        if trial and best - quality(trial) <= TOLERATED_LOSS:
            kept = trial
            left_out[feature.name] = (
                f"{shares[feature.name]:.0%} of the rows hold values unknown to the seed site, "
                "which ranks its own rows as well without"
            )
    return tuple(kept), left_out
