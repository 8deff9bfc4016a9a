"""The canary audit: what a run with one odd row and a run without it prove of the claimed epsilon.

The attacker knows every other row, and which row may be there: the worst case that the claim is
made for. The canary is far from all others in every feature and carries the rare label, so the
bins that it falls into are its own, and it moves each of their sums by nearly as much as one row
may. Hundreds of runs with it and without it give its score in the model; how well these tell the
two apart bounds epsilon from below. A bound above the claim would be a proof of a fault; a bound
below it proves nothing but that this attack was not better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.privacy.epsilon_bounds import CONFIDENCE, lower_bounds
from benchmarks.privacy.models import DELTA, Pool
from benchmarks.real_data import Held
from fed_audience.privacy.dp.accounting import mu_of

if TYPE_CHECKING:
    from benchmarks.datasets import Floats
    from benchmarks.privacy.models import Trainer

FEATURES: Final = 2
ROWS: Final = 300
POSITIVE_SHARE: Final = 0.05
RUNS: Final = 800
"""Runs with the canary, and as many without; half of them choose the threshold."""

EPSILONS: Final = (1.0, 8.0)
FAR: Final = 30.0
"""Where the canary lies; all others are between 0 and 1, and so is the range but for it."""


def haystack(rows: int = ROWS, seed: int = 0) -> Held:
    """Return ordinary rows, and the canary as the last one."""
    rng = np.random.default_rng(seed)
    columns = np.hstack((rng.random((FEATURES, rows)), np.full((FEATURES, 1), FAR)))
    labels = (rng.random(rows) < POSITIVE_SHARE).astype(np.float64)
    return Held(columns, np.append(labels, 1.0), (), rows + 1)


def scores(train: Trainer, rows: int, runs: int) -> tuple[Floats, Floats]:
    """Train ``runs`` times with the last of ``rows`` rows and without; return its scores."""
    everyone = np.arange(rows)
    inside = [train(everyone, number)[-1] for number in range(runs)]
    outside = [train(everyone[:-1], runs + number)[-1] for number in range(runs)]
    return np.array(inside), np.array(outside)


def audit(train: Trainer, rows: int, runs: int, epsilon: float) -> dict[str, Any]:
    """Return the claim beside what the attack proves of it, with 95 % confidence."""
    bounds = lower_bounds(*scores(train, rows, runs), DELTA)
    return {
        "claimed_epsilon": epsilon,
        "proved_epsilon": round(bounds.epsilon, 3),
        "proved_epsilon_of_mu": round(bounds.epsilon_of_mu, 3),
        "share_of_claim": round(max(bounds.epsilon, bounds.epsilon_of_mu) / epsilon, 3),
        "claimed_mu": round(mu_of(epsilon, DELTA), 3),
        "proved_mu": round(bounds.mu, 3),
        "true_positives": bounds.true_positives,
        "false_positives": bounds.false_positives,
        "judged_runs_each": bounds.trials,
        "confidence": CONFIDENCE,
    }


def measure(runs: int = RUNS) -> list[dict[str, Any]]:
    """Audit runs of each claim."""
    table = haystack()
    pool = Pool(table, table.rows)
    return [audit(pool.noisy_trainer(one), table.rows, runs, one) for one in EPSILONS]
