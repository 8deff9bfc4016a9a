"""A constrained feature moves the score one way only, whatever the other features are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.errors import ConfigError
from fed_audience.gbdt.bins import MISSING_CODE, Feature
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.tree import Tree
from tests.gbdt.one_site import Rows, example
from tests.gbdt.oracle import leaf_of

FREE = TrainingParameters(min_data_in_leaf=0, min_child_weight=0.1, min_data_per_group=1)


def scores(trees: list[Tree], codes: np.ndarray[Any, Any]) -> float:
    total = 0.0
    for tree in trees:
        total += tree.leaf_values[leaf_of(tree, codes)]
    return total


def sweeps(rows: Rows, trees: list[Tree], feature: int) -> list[list[float]]:
    """Scores along ``feature`` from its lowest to its highest bin, the rest as in some row."""
    lines = []
    for row in rows.matrix.columns.T[:60]:
        line = []
        for code in range(rows.bins[feature].size):
            codes = row.copy()
            codes[feature] = code
            line.append(scores(trees, codes))
        lines.append(line)
    return lines


def grown(rows: Rows, parameters: TrainingParameters, signs: list[int]) -> list[Tree]:
    monotone = np.array(signs, dtype=np.int8)
    return [rows.grow(parameters, monotone=monotone).tree() for _ in range(parameters.n_estimators)]


@settings(max_examples=60)
@given(data=st.data())
def test_the_score_only_moves_the_way_it_may(data: st.DataObject) -> None:
    def one_of(*values: Any) -> Any:
        return data.draw(st.sampled_from(values))

    parameters = replace(
        FREE,
        n_estimators=4,
        learning_rate=one_of(0.1, 1.0),
        max_depth=one_of(2, 4, 6),
        num_leaves=one_of(5, 31),
        leaves_per_round=one_of(0, 1, 4),
        lambda_l1=one_of(0.0, 0.5),
        lambda_l2=one_of(0.0, 2.0),
        cat_l2=one_of(0.0, 10.0),
        max_delta_step=one_of(0.0, 0.3),
    )
    signs = one_of([1, -1, 0, 0, 0], [-1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [-1, 0, 1, 0, 0])
    rows = example(data.draw(st.integers(50, 400)), data.draw(st.integers(0, 10**6)))
    trees = grown(rows, parameters, signs)
    for feature, sign in enumerate(signs):
        if sign:
            for line in sweeps(rows, trees, feature):
                assert (np.diff(line) * sign >= 0).all()


def test_without_a_constraint_the_score_goes_up_and_down() -> None:
    """Feature 0 acts like a sine: what is asserted above is not true of itself."""
    rows = example(400, 1)
    steps = np.diff(sweeps(rows, grown(rows, replace(FREE, n_estimators=4), [0] * 5), 0))
    assert (steps > 0).any()
    assert (steps < 0).any()


def test_a_constrained_feature_is_still_used() -> None:
    rows = example(2_000, 2)
    trees = grown(rows, replace(FREE, n_estimators=3), [1, 0, 0, 0, 0])
    splits = [split for tree in trees for split in tree.splits if split.feature == 0]
    assert len(splits) > 2
    assert any(split.missing_left for split in splits)
    assert any(MISSING_CODE in column for column in rows.matrix.columns)


def test_no_leaf_is_above_the_largest_step() -> None:
    rows = example(500, 3)
    parameters = replace(FREE, max_delta_step=0.25, learning_rate=0.5)
    values = rows.grow(parameters).tree().leaf_values
    assert max(map(abs, values)) == 0.125
    assert min(map(abs, values)) < 0.125


def test_l1_silences_leaves_of_little_gradient() -> None:
    values = example(500, 4).grow(replace(FREE, lambda_l1=6.0)).tree().leaf_values
    free = example(500, 4).grow(FREE).tree().leaf_values
    assert sum(abs(value) for value in values) < 0.5 * sum(abs(value) for value in free)


def test_directions_are_found_by_name() -> None:
    features = [Feature("age"), Feature("country", categorical=True), Feature("spend")]
    chosen = TrainingParameters(monotone_constraints=(("spend", 1), ("age", -1)))
    assert chosen.monotone_signs(features).tolist() == [-1, 0, 1]
    assert TrainingParameters().monotone_signs(features).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("name", "words"), [("spent", "did you mean 'spend'"), ("country", "age")])
def test_only_numeric_features_of_the_model_have_a_direction(name: str, words: str) -> None:
    features = [Feature("age"), Feature("country", categorical=True), Feature("spend")]
    with pytest.raises(ConfigError, match=words):
        TrainingParameters(monotone_constraints=((name, 1),)).monotone_signs(features)
