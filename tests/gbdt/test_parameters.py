from __future__ import annotations

from typing import Any

import pytest

from fed_audience.errors import ConfigError
from fed_audience.gbdt.parameters import TrainingParameters


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "ranking"}, "objective is unknown"),
        ({"objective": "multiclass"}, "num_class does not go with objective multiclass"),
        ({"objective": "poisson", "num_class": 3}, "num_class does not go with objective poisson"),
        ({"num_class": 0}, "num_class is out of range"),
        ({"objective": "regression", "scale_pos_weight": 2.0}, "scale_pos_weight does not go"),
        ({"scale_pos_weight": 0.0}, "scale_pos_weight is out of range"),
        ({"tweedie_variance_power": 2.0}, "tweedie_variance_power is out of range"),
        ({"tweedie_variance_power": 1.0}, "tweedie_variance_power is out of range"),
        ({"poisson_max_delta_step": -0.1}, "poisson_max_delta_step is out of range"),
    ],
)
def test_an_objective_refuses_what_does_not_go_with_it(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainingParameters(**options)


def test_every_objective_can_be_chosen() -> None:
    for objective in ("binary", "regression", "poisson", "tweedie"):
        assert TrainingParameters(objective=objective).num_class == 1
    assert TrainingParameters(objective="multiclass", num_class=3).num_class == 3
