"""A site's part of a round, whatever the number of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, FeatureBins, NumericBins
from fed_audience.gbdt.growing.booster import BinnedRows, RowBooster
from fed_audience.gbdt.kernels.codes import BinnedMatrix
from fed_audience.gbdt.kernels.packed_sums import PackedSlots, pack_pairs
from fed_audience.gbdt.kernels.team import team_of
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.tree import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.kernels.partition import NodeSplits

ROWS, TRAINING = 40_000, 33_000
BINS: list[FeatureBins] = [*[NumericBins(tuple(range(30)))] * 9, CategoryBins(tuple(range(12)))]

GROWN: NodeSplits = {0: (Split(0, 1.0, 11, missing_left=True), 1, 2)}
LAST: NodeSplits = {
    1: (Split(9, 1.0, left_codes=(0, 3, 7)), 3, 4),
    4: (Split(2, 1.0, 20), 5, 6),
}
VALUES = {2: 0.25, 3: -0.5, 5: 1.5, 6: -0.125}


def booster(threads: int, classes: int, **options: Any) -> RowBooster:
    r = np.random.default_rng(3)
    columns = np.stack([r.integers(0, bins.size, ROWS) for bins in BINS]).astype(np.uint8)
    columns[r.random(columns.shape) < 0.1] = MISSING_CODE
    if classes > 1:
        options |= {"objective": "multiclass", "num_class": classes}
    parameters = TrainingParameters(**options)
    return RowBooster(
        BinnedRows(
            BinnedMatrix.from_columns(columns, BINS),
            r.integers(0, max(classes, 2), ROWS).astype(float),
            TRAINING,
            r.random(ROWS),
            r.integers(0, 2**64, ROWS, dtype=np.uint64),
        ),
        BINS,
        objective_of(parameters),
        parameters,
        team=team_of(threads),
    )


def two_rounds(threads: int, classes: int, **options: Any) -> list[NDArray[Any]]:
    """Every histogram and score of two rounds of trees."""
    rows, seen = booster(threads, classes, **options), list[Any]()
    rows.start_run(np.linspace(-0.5, 0.5, classes).reshape(-1, 1))
    for number in range(2):
        seen += [
            rows.start_trees(number),
            rows.grow([GROWN] * classes, [[2], *[[1, 2]] * (classes - 1)]),
        ]
        rows.finish_trees([LAST] * classes, [VALUES] * classes)
        seen += [rows.scores.copy(), np.array([rows.validation_loss()])]
    return seen


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("bagging", [1.0, 0.6])
def test_threads_change_no_sum_and_no_score(classes: int, bagging: float) -> None:
    alone = two_rounds(1, classes, bagging_fraction=bagging)
    assert np.unique(alone[2]).size > 3
    for threads in (2, 3):
        shared = two_rounds(threads, classes, bagging_fraction=bagging)
        assert all(np.array_equal(a, b) for a, b in zip(alone, shared, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_histograms_are_those_of_the_rows_in_the_nodes(threads: int) -> None:
    rows = booster(threads, 1)
    rows.start_trees(0)
    (built,) = rows.grow([GROWN], [[2]])
    column = rows.rows.matrix.columns[0, :TRAINING]
    in_node = (column > 11) & (column != MISSING_CODE)
    pairs = np.empty(TRAINING, dtype=np.int64)
    rows.objective.gradient_pairs(
        rows.scores[:, :TRAINING],
        rows.rows.labels[:TRAINING],
        rows.rows.weights_of(rows.rows.training),
        pairs,
    )
    last = rows.layout.offsets[8]
    codes = rows.rows.matrix.columns[8, :TRAINING]
    for code in (0, 17, 30):
        chosen = pairs[in_node & (codes == code)]
        assert built[last + code].tolist() == [(chosen >> 32).sum(), (chosen & (2**32 - 1)).sum()]


@pytest.mark.parametrize("threads", [1, 2])
def test_slots_of_drawn_features_leave_packed(threads: int) -> None:
    rows, drawn = booster(threads, 3), np.array([0, 3, 9])
    whole = rows.start_trees(0)[:, rows.layout.slots_of(drawn)]
    rows.draw(drawn)
    packed = PackedSlots(36, np.array([5, 30, 63], dtype=np.int32))
    expected = np.empty(3 * packed.width(whole.shape[1]), dtype=np.int64)
    pack_pairs(whole, packed.wide, packed.hessian_bits, expected)
    assert np.array_equal(rows.start_rooting(0, packed)().ravel(), expected)


@pytest.mark.parametrize(
    ("splits", "build"),
    [
        ([GROWN, {5: (Split(0, 1.0, 4), 7, 8)}], [[1], [7]]),
        ([GROWN, GROWN], [[1], [9]]),
        ([GROWN, GROWN], [[0], [1]]),
    ],
    ids=["a node that is not there", "no such node to build", "a node that is split"],
)
def test_what_cannot_be_is_refused_before_a_tree_of_any_class_changes(
    splits: list[NodeSplits], build: list[list[int]]
) -> None:
    rows = booster(2, 2)
    before = rows.start_trees(0)
    with pytest.raises(KeyError):
        rows.grow(splits, build)
    assert np.array_equal(rows.grow([{}, {}], [[0], [0]]), before)


def test_leaves_without_a_value_are_refused_before_a_tree_of_any_class_changes() -> None:
    rows = booster(2, 2)
    rows.start_trees(0)
    before = rows.grow([GROWN, GROWN], [[1, 2], [1, 2]])
    with pytest.raises(KeyError):
        rows.finish_trees([LAST, LAST], [VALUES, {2: 1.0}])
    assert not rows.scores.any()
    assert np.array_equal(rows.grow([{}, {}], [[1, 2], [1, 2]]), before)
