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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"feature_fraction": 0.0}, "feature_fraction is out of range"),
        ({"bagging_fraction": 1.1}, "bagging_fraction is out of range"),
        ({"leaves_per_round": -1}, "leaves_per_round is out of range"),
        ({"lambda_l1": -0.1}, "lambda_l1 is out of range"),
        ({"max_delta_step": -1.0}, "max_delta_step is out of range"),
        ({"max_cat_threshold": 0}, "max_cat_threshold is out of range"),
        ({"max_cat_to_onehot": 0}, "max_cat_to_onehot is out of range"),
        ({"min_data_per_group": 0}, "min_data_per_group is out of range"),
        ({"monotone_constraints": (("a", 1), ("a", -1))}, "names a feature twice; value: a"),
        ({"monotone_constraints": (("a", 0),)}, "no direction for 'a'; value: 0"),
    ],
)
def test_growth_options_have_ranges(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainingParameters(**options)
