"""How far off a noisy run's own measure of its model is: the AUC told, and that of other rows.

Splits, tables and noise as in `dp_quality`, one site that stands for all. A fifth of the training
rows is held out by the run, which counts them by score with noise; the truth is taken from the rows
that no run sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.privacy.dp_quality import EPSILONS, TABLES, held_out_auc, pool_of
from fed_audience.federation.private.noisy_metrics import NoisyMetrics

if TYPE_CHECKING:
    from benchmarks.privacy.models import Pool

SEEDS: Final = 10


def told_and_true(pool: Pool, epsilon: float) -> tuple[NoisyMetrics, float]:
    """Return what one run tells of its model, and its AUC on the rows that nobody saw."""
    result = pool.noisy(np.arange(pool.table.rows), epsilon, evaluate=True)
    if not isinstance(result.metrics, NoisyMetrics):
        raise SystemExit("a run that should measure its model did not")
    return result.metrics, held_out_auc(pool, result)


def measure(seeds: int = SEEDS) -> list[dict[str, Any]]:
    """Return a row for each table and epsilon; ``seeds`` splits each."""
    return [
        _row(table, epsilon, [pool_of(table, seed) for seed in range(seeds)])
        for table in TABLES
        for epsilon in EPSILONS
    ]


def _row(table: str, epsilon: float, pools: list[Pool]) -> dict[str, Any]:
    found = [told_and_true(pool, epsilon) for pool in pools]
    told = [(one.auc, one.auc_low, one.auc_high, true) for one, true in found]
    said = [
        (auc, low, high, true)
        for auc, low, high, true in told
        if auc is not None and low is not None and high is not None
    ]
    errors = np.array([auc - true for auc, _, _, true in said])
    return {
        "table": table,
        "epsilon": epsilon,
        "auc": round(float(np.mean([true for *_, true in said])), 4),
        "told_minus_true": round(float(errors.mean()), 4),
        "typical_error": round(float(np.sqrt((errors**2).mean())), 4),
        "half_interval": round(float(np.mean([high - low for _, low, high, _ in said]) / 2), 4),
        "within_interval": sum(low <= true <= high for _, low, high, true in said),
        "seeds": len(said),
    }
