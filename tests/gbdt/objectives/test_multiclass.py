from __future__ import annotations

from math import log

import numpy as np
import pytest

from fed_audience.errors import DataError
from fed_audience.gbdt.objectives import Objective, objective_of
from fed_audience.gbdt.objectives.multiclass import LEAST_SHARE
from fed_audience.gbdt.parameters import TrainingParameters


def of(classes: int) -> Objective:
    return objective_of(TrainingParameters(objective="multiclass", num_class=classes))


def test_base_scores_are_logarithms_of_the_classes_shares() -> None:
    labels = np.repeat([0.0, 1.0, 2.0], [10, 30, 60])
    objective = of(4)
    base = objective.base_scores(objective.label_sums(labels, None))
    assert base == pytest.approx([log(0.1), log(0.3), log(0.6), log(LEAST_SHARE)])
    assert objective.predict(np.array(base)) == pytest.approx([0.1, 0.3, 0.6, 0.0], abs=1e-12)


def test_one_class_cannot_be_learnt() -> None:
    objective = of(3)
    with pytest.raises(DataError, match="one class only"):
        objective.base_scores(objective.label_sums(np.full(5, 2.0), None))


def test_a_brand_without_a_class_keeps_some_of_its_share() -> None:
    objective = of(2)
    own = objective.label_sums(np.zeros(200), None)
    shrunk = objective.shrunk_base_scores(own, (log(0.5), log(0.5)))
    assert shrunk == pytest.approx((log(0.75), log(0.25)))


def test_two_classes_are_twice_a_log_loss() -> None:
    """With scores 0 and s a softmax of two is the sigmoid of s; the hessian carries K / (K - 1)."""
    scores = np.array([[0.0, 0.0], [1.0, -2.0]])
    labels = np.array([1.0, 0.0])
    multi, binary = np.empty((2, 2), dtype=np.int64), np.empty((1, 2), dtype=np.int64)
    of(2).gradient_pairs(scores, labels, None, multi)
    objective_of(TrainingParameters()).gradient_pairs(scores[1:], labels, None, binary)
    assert (multi[1] >> 32).tolist() == (binary[0] >> 32).tolist()
    hessians = (multi & (2**32 - 1))[1] - 2 * (binary & (2**32 - 1))[0]
    assert np.abs(hessians).max() <= 1
    assert np.abs((multi >> 32).sum(axis=0)).max() <= 1


def test_many_blocks_of_rows_are_the_rows_one_by_one() -> None:
    draw = np.random.default_rng(0)
    scores, labels = draw.normal(0, 3, (5, 700)), draw.integers(0, 5, 700).astype(float)
    objective = of(5)
    together, alone = np.empty((2, 5, 700), dtype=np.int64)
    objective.gradient_pairs(scores, labels, None, together)
    for i in range(700):
        row, out = np.ascontiguousarray(scores[:, [i]]), np.empty((5, 1), dtype=np.int64)
        objective.gradient_pairs(row, labels[[i]], None, out)
        alone[:, i] = out[:, 0]
    assert np.array_equal(together, alone)
    assert objective.loss_sum(scores, labels, None) == sum(
        objective.loss_sum(np.ascontiguousarray(scores[:, [i]]), labels[[i]], None)
        for i in range(700)
    )


def test_the_loss_is_that_of_the_labels_class() -> None:
    objective = of(3)
    scores = np.array([[log(0.2)], [log(0.5)], [log(0.3)]])
    for label, share in enumerate((0.2, 0.5, 0.3)):
        total = objective.loss_sum(scores, np.array([float(label)]), None)
        assert total * objective.loss_unit == pytest.approx(-log(share), abs=objective.loss_unit)


@pytest.mark.parametrize("bad", [3.0, -1.0, 0.5])
def test_labels_are_classes(bad: float) -> None:
    assert of(3).label_problem(np.array([0.0, bad])) == "a label is not one of the classes 0 to 2"


def test_name() -> None:
    objective = of(5)
    assert (objective.text, objective.classes) == ("multiclass num_class:5", 5)
