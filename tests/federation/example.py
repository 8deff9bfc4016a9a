"""A small federation for tests: generated rows, their split over sites, one training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.federation import (
    ArrowSource,
    Envelope,
    InProcessTransport,
    Manifest,
    SiteProgram,
    TrainingResult,
    train,
)
from fed_audience.federation.manifest import overrides_for
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEY = b"category key of the sites in tests"
FEATURES = (
    Feature("spend"),
    Feature("visits"),
    Feature("age"),
    Feature("country", categorical=True),
    Feature("channel", categorical=True),
)


def table(rows: int, *, seed: int = 0, positives: float = 0.3) -> pa.Table:
    """Heavy tails, zeros, missing values, few and many categories, rare ones, a person column."""
    r = np.random.default_rng(seed)
    spend = np.round(r.lognormal(2, 1.5, rows), 2)
    visits = r.poisson(3, rows) * (r.random(rows) < 0.5)
    age = r.normal(45, 15, rows).round()
    age_missing = r.random(rows) < 0.2
    country = np.minimum(r.geometric(0.12, rows), 40)
    channel = r.integers(0, 3, rows)
    z = 0.5 * np.log1p(spend) + 0.3 * visits + np.where(age_missing, 0.8, (age - 45) / 30)
    z = z + np.sin(country) + 0.4 * channel + r.logistic(size=rows)
    label = z > (np.quantile(z, 1 - positives) if rows else 0)
    return pa.table(
        {
            "customer": pa.array([f"c{i:06d}" for i in range(rows)], pa.string()),
            "person": pa.array([f"p{i // 3}" for i in range(rows)], pa.string()),
            "spend": pa.array(spend, pa.float64()),
            "visits": pa.array(visits, pa.int64()),
            "age": pa.array(age, pa.float64(), mask=age_missing),
            "country": pa.array([None if c == 7 else f"country {c}" for c in country], pa.string()),
            "channel": pa.array([["web", "app", "shop"][c] for c in channel], pa.string()),
            "label": pa.array(label.astype(int), pa.int64()),
        }
    )


def manifest(sites: Sequence[str], **changes: Any) -> Manifest:
    """Manifest of the example's table; fields of the parameters may be given directly."""
    names = set(TrainingParameters.__dataclass_fields__)
    chosen: dict[str, Any] = {
        "n_estimators": 8,
        "max_depth": 4,
        "num_leaves": 15,
        "row_cap": 100_000,
    }
    chosen |= {name: changes.pop(name) for name in list(changes) if name in names}
    fields: dict[str, Any] = {
        "run_id": "run",
        "model_name": "repurchase",
        "task": "propensity",
        "features": FEATURES,
        "label": "label",
        "row_key": "customer",
        "sites": tuple(sites),
    }
    fields |= changes
    fields.setdefault(
        "overrides", overrides_for(fields["sites"], fields.get("label_sites") or fields["sites"])
    )
    return Manifest(**fields, parameters=TrainingParameters(**chosen))


def split(
    whole: pa.Table, owner: np.ndarray[Any, Any], names: Sequence[str]
) -> dict[str, pa.Table]:
    """Row i goes to site ``names[owner[i]]``."""
    return {name: whole.take(np.flatnonzero(owner == place)) for place, name in enumerate(names)}


def programs(tables: Mapping[str, pa.Table], **options: Any) -> dict[str, SiteProgram]:
    return {
        name: SiteProgram(name, ArrowSource(rows), KEY, **options) for name, rows in tables.items()
    }


def run(
    tables: Mapping[str, pa.Table],
    *,
    on_message: Callable[[Envelope], None] | None = None,
    **changes: Any,
) -> TrainingResult:
    """Train over ``tables`` by site."""
    transport = InProcessTransport(programs(tables), on_message)
    return train(transport, manifest(list(tables), **changes))


def with_targets(rows: pa.Table) -> pa.Table:
    """Add a count, an amount, a class, a weight and a brand to ``table``'s columns."""
    number = rows["customer"].to_numpy(zero_copy_only=False)
    i = np.array([int(text[1:]) for text in number], dtype=np.int64)
    label = rows["label"].to_numpy()
    visits = rows["visits"].to_numpy()
    spend = rows["spend"].to_numpy()
    noise = (i * 2_654_435_761 % 1_009) / 1_009
    next_channel = np.where(noise < 0.5, visits % 3, i % 3)
    columns = {
        "orders": np.floor((1 + label) * (1 + visits / 4) * 3 * noise).astype(np.int64),
        "margin": np.round(3 * np.log1p(spend) - visits + 2 * label + noise - 5, 3),
        "next_channel": next_channel,
        "next_name": np.array(["web", "app", "shop"])[next_channel],
        "weight": 0.25 + 0.5 * (i % 4),
        "brand": np.array(["north", "south", "west"])[i % 7 % 3],
    }
    for name, values in columns.items():
        rows = rows.append_column(name, pa.array(values))
    return rows
