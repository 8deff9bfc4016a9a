from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.errors import FederationError
from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, FeatureBins, NumericBins
from fed_audience.gbdt.codes import BinnedMatrix
from fed_audience.gbdt.fixed_point import FixedPoint
from fed_audience.gbdt.growing import GrowthStep, TreeGrower
from fed_audience.gbdt.histogram import SlotLayout, build_histograms
from fed_audience.gbdt.objectives import base_score, gradient_pairs, gradient_scale
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.partition import RowPartition
from tests.gbdt import oracle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.tree import Tree


class Rows:
    """What a site does, without messages: enough to drive a grower."""

    def __init__(
        self, columns: NDArray[np.uint8], bins: list[FeatureBins], labels: NDArray[np.float64]
    ) -> None:
        self.bins = bins
        self.labels = labels
        self.matrix = BinnedMatrix.from_columns(columns, bins)
        self.layout = SlotLayout.from_bins(bins)
        self.partition = RowPartition(np.arange(len(labels), dtype=np.uint32))
        self.pairs = np.empty(len(labels), dtype=np.int64)
        self.scores = np.zeros(len(labels))
        self.built: list[int] = []

    def grow(self, parameters: TrainingParameters, **options: Any) -> TreeGrower:
        scale = gradient_scale(parameters.row_cap)
        gradient_pairs(self.scores, self.labels, scale, self.pairs)
        self.partition.restart()
        self.built = []
        grower = TreeGrower(self.layout, parameters, scale, len(self.labels), **options)
        step = grower.start(self.histograms([0], scale)[0])
        while True:
            moves = {done.node: (done.split, done.left, done.right) for done in step.splits}
            if not step.build:
                break
            self.partition.split(self.matrix, moves)
            step = grower.advance(self.histograms(step.build, scale))
        self.partition.finish(self.matrix, moves, grower.leaf_values(), self.scores)
        return grower

    def histograms(self, nodes: Any, scale: int) -> NDArray[np.int64]:
        self.built += list(nodes)
        ranges = self.partition.ranges(nodes)
        return build_histograms(
            self.matrix,
            self.layout,
            self.partition.rows,
            ranges,
            self.pairs,
            FixedPoint(1 / scale, 1 / scale, scale, scale // 4),
        )


def example(rows: int, seed: int) -> Rows:
    r = np.random.default_rng(seed)
    bins: list[FeatureBins] = [
        NumericBins(tuple(range(11))),
        NumericBins(tuple(range(2))),
        NumericBins(()),
        CategoryBins(tuple(range(3))),
        CategoryBins(tuple(range(9))),
    ]
    columns = np.stack([r.integers(0, b.size, rows) for b in bins]).astype(np.uint8)
    columns[r.random(columns.shape) < 0.15] = MISSING_CODE
    columns[1][columns[1] == MISSING_CODE] = 0
    z = np.sin(columns[0] % 12) + (columns[4] % 2) * (columns[1] == 1) + (columns[2] > 9)
    labels = (z + r.logistic(size=rows) > 1.0).astype(float)
    labels[:2] = [0.0, 1.0]
    return Rows(columns, bins, labels)


@settings(max_examples=25)
@given(data=st.data())
def test_trees_are_the_oracles(data: st.DataObject) -> None:
    """Splits, gains, sums, children and leaf values: all of it, to the last bit."""
    parameters = TrainingParameters(
        n_estimators=3,
        max_depth=data.draw(st.integers(1, 5)),
        num_leaves=data.draw(st.integers(2, 16)),
        min_child_weight=data.draw(st.sampled_from([0.0, 1.0])),
        min_data_in_leaf=data.draw(st.sampled_from([0, 7])),
        lambda_l2=data.draw(st.sampled_from([0.0, 3.0])),
        cat_smooth=data.draw(st.sampled_from([0.0, 5.0])),
        row_cap=data.draw(st.sampled_from([1_000, 2**27])),
    )
    rows = example(data.draw(st.integers(20, 300)), data.draw(st.integers(0, 10**6)))
    base = base_score(len(rows.labels), int(rows.labels.sum()))
    codes = np.ascontiguousarray(rows.matrix.columns.T)
    scale = gradient_scale(parameters.row_cap)
    expected = oracle.boost(codes, rows.labels, rows.bins, parameters, base, scale)
    rows.scores[:] = base
    grown = [rows.grow(parameters).tree() for _ in expected]
    assert grown == expected


def leaves_below(tree: Tree, node: int = 0) -> int:
    if node < 0:
        return 1
    return leaves_below(tree, tree.left[node]) + leaves_below(tree, tree.right[node])


PARAMETERS = TrainingParameters(min_data_in_leaf=0, min_child_weight=0.1, max_depth=6)


def test_only_the_smaller_child_of_a_pair_is_built() -> None:
    rows = example(2_000, 1)
    tree = rows.grow(PARAMETERS).tree()
    parents = [node for node in range(len(tree.splits)) if tree.left[node] >= 0]
    assert len(rows.built) <= 1 + len(tree.splits)
    assert len(set(rows.built)) == len(rows.built)
    assert parents
    assert leaves_below(tree) == tree.leaves == len(tree.splits) + 1


def test_depth_and_leaves_are_respected() -> None:
    rows = example(2_000, 2)
    for depth, leaves in [(1, 63), (3, 63), (6, 2), (6, 5), (6, 17)]:
        grown = rows.grow(replace(PARAMETERS, max_depth=depth, num_leaves=leaves)).tree()
        assert grown.leaves <= min(leaves, 2**depth)
        if leaves <= 2 ** (depth - 1):
            assert grown.leaves == leaves


def test_the_last_leaves_go_to_the_best_gains_of_a_level() -> None:
    full = example(2_000, 3).grow(replace(PARAMETERS, max_depth=3, num_leaves=8)).tree()
    short = example(2_000, 3).grow(replace(PARAMETERS, max_depth=3, num_leaves=6)).tree()
    third_level = sorted((split.gain for split in full.splits[3:]), reverse=True)
    assert sorted((split.gain for split in short.splits[3:]), reverse=True) == third_level[:2]


def test_depth_wise_growth_takes_one_round_a_level() -> None:
    rows = example(2_000, 4)
    rounds = count_rounds(rows, replace(PARAMETERS, max_depth=6))
    assert rounds == 6


def count_rounds(rows: Rows, parameters: TrainingParameters, **options: Any) -> int:
    calls = 0
    inner = rows.histograms

    def counted(nodes: Any, scale: int) -> NDArray[np.int64]:
        nonlocal calls
        calls += 1
        return inner(nodes, scale)

    rows.histograms = counted  # type: ignore[method-assign]
    rows.grow(parameters, **options)
    return calls


def test_best_first_growth_takes_the_best_leaf_wherever_it_is() -> None:
    parameters = replace(PARAMETERS, max_depth=12, num_leaves=12)
    tree = example(2_000, 5).grow(parameters, leaves_per_round=1).tree()
    depth_wise = example(2_000, 5).grow(parameters).tree()
    assert tree.leaves == depth_wise.leaves == 12
    assert sum(s.gain for s in tree.splits) >= sum(s.gain for s in depth_wise.splits)
    rounds = [count_rounds(example(2_000, 5), parameters, leaves_per_round=k) for k in (1, 4, 11)]
    assert rounds == sorted(rounds, reverse=True)
    assert rounds[0] > rounds[-1]


def test_a_pure_root_stays_one_leaf() -> None:
    bins: list[FeatureBins] = [NumericBins((0.5,))]
    rows = Rows(np.zeros((1, 50), dtype=np.uint8), bins, np.tile([0.0, 1.0], 25))
    grower = rows.grow(PARAMETERS)
    assert grower.tree().splits == ()
    assert grower.tree().leaf_values == (0.0,)


def test_children_that_contradict_their_parent_are_named() -> None:
    rows = example(500, 7)
    scale = gradient_scale(PARAMETERS.row_cap)
    gradient_pairs(rows.scores, rows.labels, scale, rows.pairs)
    grower = TreeGrower(rows.layout, PARAMETERS, scale, 500)
    root = rows.histograms([0], scale)[0]
    step = grower.start(root)
    with pytest.raises(FederationError, match="contradicts the sums of its node"):
        grower.advance(np.stack([root for _ in step.build]))


def test_a_step_names_every_split_before_its_children_are_built() -> None:
    rows = example(2_000, 8)
    scale = gradient_scale(PARAMETERS.row_cap)
    gradient_pairs(rows.scores, rows.labels, scale, rows.pairs)
    grower = TreeGrower(rows.layout, PARAMETERS, scale, 2_000)
    step = grower.start(rows.histograms([0], scale)[0])
    assert [done.node for done in step.splits] == [0]
    assert step == GrowthStep(step.splits, step.build)
    assert set(step.build) < {step.splits[0].left, step.splits[0].right}
