"""Flags that make no sense are refused before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fed_audience.errors import UsageError
from fed_audience.simulate.settings import SimulationSettings


def make(**changes: Any) -> SimulationSettings:
    return SimulationSettings(Path("t.csv"), "y", **changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"split": "random"}, "unknown --split; value: random"),
        ({"split": "dirichlet"}, "unknown --split"),
        ({"split": "dirichlet:0"}, "unknown --split"),
        ({"split": "dirichlet:-1"}, "unknown --split"),
        ({"sites": 0}, "--sites is out of range; value: 0"),
        ({"test_fraction": 0.0}, "--test-fraction"),
        ({"test_fraction": 1.0}, "--test-fraction"),
        ({"task": "lookalike"}, "name it with --seed-site"),
        ({"seed_site": "a"}, "belongs to a lookalike"),
        ({"task": "ranking"}, "unknown --task"),
        ({"threads": 0}, "--threads"),
        ({"site_column": "y"}, "the label cannot be the site"),
        ({"drop": ("x", "y")}, "or a dropped column as well; value: y"),
    ],
)
def test_a_senseless_flag_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"depth": 0}, "--depth is out of range; value: 0; allowed: 1 to 12"),
        ({"depth": 13}, "--depth is out of range; value: 13"),
        ({"trees": 0}, "--trees is out of range"),
        ({"max_bin": 999}, "--max-bin is out of range"),
        ({"learning_rate": float("nan")}, "--learning-rate is out of range"),
    ],
)
def test_a_parameter_out_of_range_names_its_flag(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        make(**changes)


def test_every_learner_may_grow_every_leaf_of_the_depth() -> None:
    assert make(depth=5).parameters.num_leaves == 32
    assert make(split="dirichlet:0.5").alpha == 0.5
    assert make().alpha is None
