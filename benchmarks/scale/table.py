"""The table that the sites share out, and the run over it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from fed_audience.federation import ArrowSource, Manifest
from fed_audience.federation.manifest import overrides_for
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters

KEY: Final = b"the sites of a benchmark"
FEATURES: Final = ("spend", "visits", "age", "days")


def share(places: range, sites: int, rows: int) -> ArrowSource:
    """Rows of the sites at ``places`` of ``sites``; each has every ``sites``-th of ``rows``."""
    r = np.random.default_rng(1)
    spend = np.round(r.lognormal(2, 1.5, rows), 2)
    visits = r.poisson(3, rows).astype(float)
    age = r.normal(45, 15, rows).round()
    days = r.integers(0, 365, rows).astype(float)
    z = 0.5 * np.log1p(spend) + 0.3 * visits + (age - 45) / 30 - days / 200
    label = z + r.logistic(size=rows) > np.median(z)
    own = np.isin(np.arange(rows) % sites, places)
    columns: dict[str, Any] = dict(
        zip(FEATURES, (spend[own], visits[own], age[own], days[own]), strict=True)
    )
    columns["label"] = label[own].astype(np.int64)
    columns["customer"] = [f"c{number}" for number in np.flatnonzero(own)]
    return ArrowSource(pa.table(columns))


def manifest(sites: tuple[str, ...], trees: int, depth: int) -> Manifest:
    """Return the run."""
    return Manifest(
        run_id=f"scale {len(sites)}",
        model_name="scale",
        task="propensity",
        features=tuple(Feature(name) for name in FEATURES),
        label="label",
        row_key="customer",
        sites=sites,
        overrides=overrides_for(sites, sites),
        parameters=TrainingParameters(
            n_estimators=trees, max_depth=depth, num_leaves=2**depth, max_bin=31
        ),
    )
