"""A small table with something to learn, and settings over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from fed_audience.simulate.settings import SimulationSettings

Table = dict[str, Any]
MakeSettings = Callable[..., SimulationSettings]


def customers(rows: int = 1_200, seed: int = 1) -> Table:
    """Spend and channel decide who buys; three brands of different size, some gaps."""
    random = np.random.default_rng(seed)
    spend = random.gamma(2.0, 30.0, rows)
    channel = random.choice(["email", "paid", "organic"], rows)
    raw = 0.03 * (spend - 60) + np.where(channel == "email", 1.0, -0.5)
    return {
        "spend": np.where(random.random(rows) < 0.05, np.nan, spend.round(2)),
        "visits": random.poisson(4, rows).astype(float),
        "channel": channel,
        "brand": random.choice(["fashion", "grocery", "travel"], rows, p=[0.6, 0.3, 0.1]),
        "bought": np.where(random.random(rows) < 1 / (1 + np.exp(-raw)), "yes", "no"),
    }


@pytest.fixture
def settings(tmp_path: Path) -> MakeSettings:
    """Settings over ``customers()``, or over the table given."""

    def make(table: Table | None = None, **changes: Any) -> SimulationSettings:
        path = tmp_path / "customers.csv"
        pyarrow.csv.write_csv(pa.table(table or customers()), path)
        defaults: dict[str, Any] = {
            "path": path,
            "label": "bought",
            "trees": 10,
            "depth": 3,
            "threads": 1,
        }
        return SimulationSettings(**{**defaults, **changes})

    return make
