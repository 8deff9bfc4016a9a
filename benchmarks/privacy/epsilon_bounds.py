"""How private a mechanism is at best, from an attack's guesses: lower bounds of epsilon.

An attacker says of each run whether a canary was in it. Rates of right and wrong guesses bound what
any (epsilon, delta) the mechanism satisfies can be (Kairouz, Oh & Viswanath, "The Composition
Theorem for Differential Privacy", 2015), and what mu of Gaussian differential privacy (Nasr et al.,
"Tight Auditing of Differentially Private Machine Learning", 2023). Rates are those of finitely many
runs, so each is replaced by the end of its Clopper-Pearson interval that says less.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.privacy.dp.accounting import epsilon_of

if TYPE_CHECKING:
    from benchmarks.datasets import Floats

CONFIDENCE: Final = 0.95
_NORMAL: Final = NormalDist()
_HALVINGS: Final = 40


def highest_rates(trials: int, error: float) -> Floats:
    """Upper ends of Clopper-Pearson intervals: float64[trials + 1], by number of successes.

    The rate is larger with a probability of at most ``error``. Clopper & Pearson, 1934.
    """
    successes = np.arange(trials + 1)
    choose = np.array([_log_choose(trials, k) for k in range(trials + 1)])
    fewer = successes[:-1]  # of all successes the rate is bounded by 1 alone
    low, high = np.zeros(trials), np.ones(trials)
    for _ in range(_HALVINGS):
        rate = (low + high) / 2
        yes, no = np.log(rate), np.log1p(-rate)
        logs = choose + np.outer(yes, successes) + np.outer(no, trials - successes)
        below = (np.exp(logs) * (successes <= fewer[:, None])).sum(axis=1) > error
        low, high = np.where(below, rate, low), np.where(below, high, rate)
    return np.append(high, 1.0)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


@dataclass(frozen=True, slots=True)
class LowerBounds:
    """What an attack proves: with the confidence asked for, epsilon and mu are at least these.

    ``epsilon``: for any mechanism. ``mu``: for one that is Gaussian differentially private, and
    ``epsilon_of_mu``: the epsilon that this mu means; closer, as it uses what is known of it.
    ``true_positives`` and ``false_positives``: of ``trials`` runs with the canary and without.
    """

    epsilon: float
    mu: float
    epsilon_of_mu: float
    true_positives: int
    false_positives: int
    trials: int


def lower_bounds(
    inside: Floats, outside: Floats, delta: float, *, confidence: float = CONFIDENCE
) -> LowerBounds:
    """Bound epsilon from scores of runs with the canary and without: float64[n] each, n even.

    The first half of the runs chooses the threshold, the second alone is counted. The bounds are of
    one threshold each; ``true_positives`` and ``false_positives`` are those of the bound on mu.
    Raises ValueError for unequal or odd numbers of runs.
    """
    if inside.shape != outside.shape or len(inside) % 2:
        raise ValueError(f"needs as many runs with as without, and an even number: {len(inside)}")
    half = len(inside) // 2
    most = highest_rates(half, (1 - confidence) / 2)
    chosen = [
        _best(inside[:half], outside[:half], most, delta, gaussian=gaussian)
        for gaussian in (False, True)
    ]
    counts = [
        (int((inside[half:] > threshold).sum()), int((outside[half:] > threshold).sum()))
        for threshold in chosen
    ]
    epsilon = _epsilon(*counts[0], most, delta)
    mu = max(_mu(*counts[1], most), 0.0)
    return LowerBounds(max(epsilon, 0.0), mu, epsilon_of(mu, delta), *counts[1], trials=half)


def _best(inside: Floats, outside: Floats, most: Floats, delta: float, *, gaussian: bool) -> float:
    """Threshold at which these runs alone give the largest bound."""
    every = np.unique(np.concatenate((inside, outside)))
    thresholds = np.concatenate(([every[0] - 1], (every[1:] + every[:-1]) / 2, [every[-1] + 1]))
    best = []
    for threshold in thresholds:
        hits, alarms = int((inside > threshold).sum()), int((outside > threshold).sum())
        bound = _mu(hits, alarms, most) if gaussian else _epsilon(hits, alarms, most, delta)
        best.append(bound)
    return float(thresholds[int(np.argmax(best))])


def _epsilon(hits: int, alarms: int, most: Floats, delta: float) -> float:
    """TPR <= e^epsilon FPR + delta, and the same of the rates of saying no."""
    trials = len(most) - 1
    found = [0.0]
    for yes, no in ((hits, alarms), (trials - alarms, trials - hits)):
        least, highest = 1 - most[trials - yes], most[no]
        if least > delta:
            found.append(float(np.log((least - delta) / highest)))
    return max(found)


def _mu(hits: int, alarms: int, most: Floats) -> float:
    """Quantile of the TPR minus quantile of the FPR."""
    trials = len(most) - 1
    least, highest = 1 - most[trials - hits], most[alarms]
    if least <= 0 or highest >= 1:
        return 0.0
    return _NORMAL.inv_cdf(float(least)) - _NORMAL.inv_cdf(float(highest))
