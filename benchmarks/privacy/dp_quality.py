"""What noise costs: AUC on rows held out, by epsilon, by who adds it, and by how many positives.

Adult's rows without gaps, and Bank without the duration of the call; a fourth of the rows, drawn
anew for each seed, is held out. Ranges of numbers and lists of categories count as public. Noise is
the operating system's and differs from run to run, so figures do in their last digit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.learners import auc
from benchmarks.privacy.models import DELTA, Pool
from benchmarks.real_data import propensity
from fed_audience.privacy.dp.accounting import epsilon_of, mu_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


@dataclass(frozen=True, slots=True)
class Case:
    """Runs on all seeds of a table. ``epsilon`` is promised; noise is that of ``run_at``.

    ``positives``: how many of them train, None for all.
    """

    noise: str
    table: str
    epsilon: float | None
    run_at: float
    sites: int = SITES
    colluders: int = 0
    positives: int | None = None

    def fitted(self, pool: Pool) -> TrainingResult:
        """Train on the rows of ``pool`` that are not held out.

        Where none may collude one site stands for all: their shares add up to its noise.
        """
        rows = np.arange(pool.table.rows)
        if self.positives is not None:
            positive = pool.labels[rows] == 1  # rows are shuffled: the first ones are any
            rows = np.sort(np.concatenate((rows[~positive], rows[positive][: self.positives])))
        if not self.colluders:
            return pool.noisy(rows, self.run_at)
        return pool.noisy(
            rows, self.run_at, sites=self.sites, secure=True, colluders=self.colluders
        )

    def row(self, pools: Sequence[Pool]) -> dict[str, Any]:
        """Return the case and its mean AUC over ``pools``."""
        found = [held_out_auc(pool, self.fitted(pool)) for pool in pools]
        return {name: value for name, value in asdict(self).items() if name != "run_at"} | {
            "auc": round(float(np.mean(found)), 4),
            "worst_seed": round(min(found), 4),
            "seeds": len(pools),
        }


def by_epsilon(table: str) -> Iterator[Case]:
    """Yield cases under masks: just the noise that was promised, and a third of it to spare."""
    yield Case("none", table, None, NO_NOISE)
    for epsilon in EPSILONS:
        yield Case("masks", table, epsilon, epsilon)
        yield Case("masks", table, epsilon, epsilon, colluders=SITES // 3)


def by_site_noise(table: str) -> Iterator[Case]:
    """Yield cases in which each of many sites, without masks, adds the whole noise itself.

    All of it together is that of one run with mu divided by the root of their number.
    """
    for sites in (10, 50):
        alike = epsilon_of(mu_of(1.0, DELTA) / sqrt(sites), DELTA)
        yield Case("each site for itself", table, 1.0, alike, sites=sites)


def by_positives(table: str) -> Iterator[Case]:
    """Yield cases in which all negatives and a few positives train."""
    for count in POSITIVES:
        yield Case("none", table, None, NO_NOISE, positives=count)
        for epsilon in (1.0, 4.0):
            yield Case("masks", table, epsilon, epsilon, positives=count)


def measure(seeds: int = SEEDS, few: int = FEW_SEEDS) -> list[dict[str, Any]]:
    """Return a row a case; ``seeds`` splits, but ``few`` where positives are few."""
    found = []
    for table in TABLES:
        pools = [pool_of(table, seed) for seed in range(seeds)]
        found += [case.row(pools) for case in (*by_epsilon(table), *by_site_noise(table))]
        found += [case.row(pools[:few]) for case in by_positives(table)]
    return found
