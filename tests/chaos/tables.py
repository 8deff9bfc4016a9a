"""The federations that are disturbed: three sites that come back, twelve of which some do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fed_audience.federation import TrainingResult
from tests.chaos.federation import Members
from tests.federation.example import manifest, run, split, table


def federation(sites: int, rows: int, trees: int, folder: Path) -> tuple[Members, TrainingResult]:
    """Return members over ``rows`` rows, and what they train when nobody disturbs them."""
    names = tuple(f"s{number:02d}" for number in range(sites))
    tables = split(table(rows, seed=17), np.arange(rows) % sites, names)
    chosen: dict[str, Any] = {"n_estimators": trees, "early_stopping_round": trees}
    chosen |= {"max_depth": 3, "num_leaves": 7, "max_bin": 15}
    members = Members.of(manifest(names, **chosen), tables, folder)
    return members, run(tables, **chosen)
