"""The canary audit: what a run with one odd row and a run without it prove of the claimed epsilon.

The attacker knows every other row, and which row may be there: the worst case that the claim is
made for. The canary is far from all others in every feature and carries the rare label, so the
bins that it falls into are its own, and it moves each of their sums by nearly as much as one row
may. Hundreds of runs with it and without it give its score in the model; how well these tell the
two apart bounds epsilon from below. A bound above the claim would be a proof of a fault; a bound
below it proves nothing but that this attack was not better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.real_data import Held

if TYPE_CHECKING:
    from benchmarks.datasets import Floats
    from benchmarks.privacy.models import Trainer

FEATURES: Final = 3
ROWS: Final = 300
POSITIVE_SHARE: Final = 0.05
RUNS: Final = 600
"""Runs with the canary, and as many without; half of them choose the threshold."""

FAR: Final = 3.0
"""Where the canary lies; all others are between 0 and 1."""


def haystack(rows: int = ROWS, seed: int = 0) -> Held:
    """Return ordinary rows, and the canary as the last one."""
    rng = np.random.default_rng(seed)
    columns = rng.random((FEATURES, rows))
    labels = (rng.random(rows) < POSITIVE_SHARE).astype(np.float64)
    columns = np.hstack((columns, np.full((FEATURES, 1), FAR)))
    return Held(columns, np.append(labels, 1.0), (), rows + 1)


def scores(train: Trainer, rows: int, runs: int) -> tuple[Floats, Floats]:
    """Train ``runs`` times with the last of ``rows`` rows and without; return its scores."""
    everyone = np.arange(rows)
    inside = [train(everyone, number)[-1] for number in range(runs)]
    outside = [train(everyone[:-1], runs + number)[-1] for number in range(runs)]
    return np.array(inside), np.array(outside)
