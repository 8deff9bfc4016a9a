"""Compare the federated model with LightGBM on the pooled rows, over many splits of the customers.

    python examples/online_retail/compare.py [--splits 20]

Run it after `fed-audience run`: it reads the training tables that dbt built at the three brands.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import FedAudienceError, FederationError, UsageError
from fed_audience.gbdt.evaluation import auc
from fed_audience.jobs.rows import SiteRows, agreed_features
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import site_of
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.problem import Problem
from fed_audience.simulate.settings import SimulationSettings
from fed_audience.simulate.splitting import deal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from fed_audience.federation import TrainingResult
    from fed_audience.jobs.settings import FederationSettings

CONFIG: Final = Path(__file__).resolve().parent / "prepared" / "federation.yml"
MODEL: Final = "repurchase"
TEST_FRACTION: Final = 0.25
MIN_SPLITS: Final = 2


@dataclass(frozen=True, slots=True)
class Split:
    """AUC of both learners on the quarter of the customers that one seed keeps for testing."""

    seed: int
    rows: int
    federated: float
    lightgbm: float

    @property
    def difference(self) -> float:
        """Federated minus LightGBM."""
        return self.federated - self.lightgbm


def compare(config: Path, splits: int) -> Iterator[Split]:
    """Train both learners on each of ``splits`` splits, by stable hash of the customer id.

    Parameters are those of model `repurchase` in ``config``. On the first split the pooled rows
    train our learner once more: raises FederationError unless it gives the same model to the byte.
    """
    federation = load_federation(config)
    problem = _problem(federation)
    parameters = federation.model(MODEL).training_parameters("propensity")
    for seed in range(1, splits + 1):
        settings = SimulationSettings(
            path=config,
            label="label",
            site_column="brand",
            group="customer_id",
            test_fraction=TEST_FRACTION,
            trees=parameters.n_estimators,
            depth=parameters.max_depth,
            learning_rate=parameters.learning_rate,
            max_bin=parameters.max_bin,
            seed=seed,
        )
        dealt = deal(problem, settings)
        learners = Learners(problem, settings)
        pooled, test = dealt.training_rows(), dealt.test_rows()
        parts = {name: dealt.training_rows(site) for site, name in enumerate(dealt.sites)}
        federated = learners.federated(parts, test)
        if seed == 1:
            alike = learners.federated({"pooled": pooled}, test)
            _require_same(federated.result, alike.result)
        labels = problem.labels[test]
        reference = learners.lightgbm(pooled, test)
        yield Split(
            seed, len(labels), _auc(labels, federated.scores), _auc(labels, reference.scores)
        )


def mean_interval(values: Sequence[float], *, shared: float = 0.0) -> tuple[float, float, float]:
    """Mean of ``values`` and its 95 % interval, by Student's t.

    ``shared`` is test over training rows when the values come from random splits of the same rows:
    splits resemble each other, and the variance of their mean is (1/n + shared) s^2 (Nadeau and
    Bengio, Inference for the Generalization Error, 2003, eq. 17).
    """
    n = len(values)
    mean = fmean(values)
    half = _student(n - 1) * sqrt(1.0 / n + shared) * stdev(values)
    return mean, mean - half, mean + half


def _auc(labels: npt.NDArray[np.int8], scores: npt.NDArray[np.float64]) -> float:
    found = auc(labels, scores)
    assert found is not None  # noqa: S101 - test rows of one class are refused when dealt
    return found


def _student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t (Abramowitz and Stegun, 26.7.5)."""
    z = NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _problem(federation: FederationSettings) -> Problem:
    """Read all brands' training tables into one learning problem that remembers whose rows are."""
    brands = {}
    for site in map(site_of, federation.sites):
        with site.open() as warehouse:
            relation = site.model(f"fed_training_{MODEL}")
            rows = warehouse.query(f"select * from {relation.sql()} order by customer_id")
        brands[site.name] = SiteRows(site.name, rows, 0)
    table = pa.concat_tables([rows.table for rows in brands.values()])
    features = tuple(
        feature
        for feature in agreed_features(brands)
        if pc.count_distinct(table[feature.name]).as_py() > 1
    )
    columns: dict[str, Any] = {
        one.name: table[one.name].cast(pa.string() if one.categorical else pa.float64())
        for one in features
    }
    names = np.repeat(list(brands), [rows.table.num_rows for rows in brands.values()])
    return Problem(
        features=features,
        names={name: name for name in columns},
        columns=pa.table(columns),
        labels=np.asarray(table["label"].to_numpy(), dtype=np.int8),
        weights=None,
        groups=table["customer_id"],
        site_values=pa.chunked_array([pa.array(names)]),
        test_from=None,
        positive="1",
        classes=(),
        notes=(),
        warnings=(),
    )


def _require_same(federated: TrainingResult | None, pooled: TrainingResult | None) -> None:
    if federated is None or pooled is None or federated.sha256 != pooled.sha256:
        raise FederationError(
            "the federated model differs from the pooled one, which must not happen",
            value=federated and federated.sha256,
            limit=pooled and pooled.sha256,
            fix="report it with the version of fed-audience",
        )


def _measure(config: Path, splits: int) -> None:
    if splits < MIN_SPLITS:
        raise UsageError("--splits is too small for an interval", value=splits, limit=MIN_SPLITS)
    found = []
    for split in compare(config, splits):
        found.append(split)
        print(
            f"split {split.seed:2d}: {split.rows} test rows, federated {split.federated:.4f},"
            f" LightGBM {split.lightgbm:.4f}, difference {split.difference:+.4f}"
        )
        if split.seed == 1:
            print("split  1: the federated model is the pooled one, to the byte")
    differences = [split.difference for split in found]
    mean, low, high = mean_interval(differences)
    _, wide_low, wide_high = mean_interval(differences, shared=TEST_FRACTION / (1 - TEST_FRACTION))
    print(
        f"mean AUC: federated {fmean(split.federated for split in found):.4f},"
        f" LightGBM {fmean(split.lightgbm for split in found):.4f}"
    )
    print(
        f"mean difference over {splits} splits: {mean:+.4f},"
        f" 95 % interval {low:+.4f} to {high:+.4f};"
        f" as the splits share rows, for new customers {wide_low:+.4f} to {wide_high:+.4f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line; a failure is one line on stderr and its own exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, default=CONFIG, help="the prepared federation.yml")
    parser.add_argument("--splits", type=int, default=20, help="how many to average over")
    chosen = parser.parse_args(arguments)
    try:
        _measure(chosen.config, chosen.splits)
    except FedAudienceError as error:
        if os.environ.get("FED_AUDIENCE_DEBUG"):
            raise
        sys.stderr.write(f"compare.py: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
