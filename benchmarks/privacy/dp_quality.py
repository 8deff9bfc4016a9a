"""What noise costs: AUC on rows held out, by epsilon, by who adds it, and by how many positives.

Adult's rows without gaps, and Bank without the duration of the call; a fourth of the rows, drawn
anew for each seed, is held out. Ranges of numbers and lists of categories count as public. Noise is
the operating system's and differs from run to run, so figures do in their last digit.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.learners import auc
from benchmarks.privacy.models import DELTA, Pool
from benchmarks.real_data import propensity
from fed_audience.privacy.dp.accounting import epsilon_of, mu_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.datasets import Floats
    from fed_audience.federation import TrainingResult

TABLES: Final = {"adult": "adult_complete", "bank": "bank"}
EPSILONS: Final = (0.5, 1.0, 4.0, 8.0)
NO_NOISE: Final = 1e7
"""An epsilon at which noise is below one row's rounding: the recipe without noise."""

SEEDS: Final = 10
SITES: Final = 3
FEW_SEEDS: Final = 5
POSITIVES: Final = (100, 300, 1_000)


def pool_of(table: str, seed: int) -> Pool:
    """Return all rows of a table, those that train first; raises UnavailableError without it."""
    found = propensity(TABLES[table], seed)
    return Pool(found, found.rows + found.test_rows)


def held_out_auc(pool: Pool, result: TrainingResult) -> float:
    """Area under the curve on the rows that no run of this seed trains on."""
    first = pool.table.rows
    return auc(pool.labels[first:], pool.scores(result)[first:])


def by_epsilon(seeds: int) -> Iterator[dict[str, Any]]:
    """Yield AUC under masks, with just the noise promised and with a third of the sites' to spare.

    One site stands for three of which none may collude: their shares add up to its noise.
    """
    for table in TABLES:
        pools = [pool_of(table, seed) for seed in range(seeds)]
        for epsilon in (*EPSILONS, NO_NOISE):
            yield _row(
                "masks", table, epsilon, pools, lambda pool, rows, e=epsilon: pool.noisy(rows, e),
                sites=SITES, colluders=0,
            )  # fmt: skip
            if epsilon != NO_NOISE:
                yield _row(
                    "masks", table, epsilon, pools,
                    lambda pool, rows, e=epsilon: pool.noisy(
                        rows, e, sites=SITES, secure=True, colluders=SITES // 3
                    ),
                    sites=SITES, colluders=SITES // 3,
                )  # fmt: skip


def by_site_noise(seeds: int) -> Iterator[dict[str, Any]]:
    """Yield AUC at epsilon 1 where each of many sites, without masks, adds the whole noise.

    Their noise together is that of one site with mu divided by the root of their number: run so.
    """
    for table in TABLES:
        pools = [pool_of(table, seed) for seed in range(seeds)]
        for sites in (10, 50):
            alike = epsilon_of(mu_of(1.0, DELTA) / sqrt(sites), DELTA)
            yield _row(
                "each site for itself", table, 1.0, pools,
                lambda pool, rows, e=alike: pool.noisy(rows, e),
                sites=sites, colluders=0,
            )  # fmt: skip


def by_positives(seeds: int) -> Iterator[dict[str, Any]]:
    """Yield AUC where all negatives and a few positives train."""
    for table in TABLES:
        pools = [pool_of(table, seed) for seed in range(seeds)]
        for count in POSITIVES:
            for epsilon in (1.0, 4.0, NO_NOISE):
                yield _row(
                    "masks", table, epsilon, pools,
                    lambda pool, rows, e=epsilon, k=count: pool.noisy(_few(pool, rows, k), e),
                    sites=SITES, colluders=0,
                ) | {"positives": count}  # fmt: skip


def measure(seeds: int = SEEDS, few: int = FEW_SEEDS) -> list[dict[str, Any]]:
    """Return all rows; ``seeds`` splits for the costs by epsilon, ``few`` for the others."""
    return [*by_epsilon(seeds), *by_site_noise(seeds), *by_positives(few)]


def _few(pool: Pool, rows: np.ndarray, count: int) -> np.ndarray:
    """Leave all negatives of ``rows`` and the first ``count`` positives; rows are shuffled."""
    positive = pool.labels[rows] == 1
    kept: np.ndarray = np.sort(np.concatenate((rows[~positive], rows[positive][:count])))
    return kept


def _row(
    noise: str,
    table: str,
    epsilon: float,
    pools: list[Pool],
    fit: Callable[[Pool, np.ndarray], TrainingResult],
    **circumstances: Any,
) -> dict[str, Any]:
    found: Floats = np.array(
        [held_out_auc(pool, fit(pool, np.arange(pool.table.rows))) for pool in pools]
    )
    return {
        "noise": "none" if epsilon == NO_NOISE else noise,
        "table": table,
        "epsilon": None if epsilon == NO_NOISE else epsilon,
        **circumstances,
        "positives": None,
        "auc": round(float(found.mean()), 4),
        "worst_seed": round(float(found.min()), 4),
        "seeds": len(pools),
    }
