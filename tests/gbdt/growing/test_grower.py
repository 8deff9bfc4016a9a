from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.errors import FederationError
from fed_audience.gbdt.bins import FeatureBins, NumericBins
from fed_audience.gbdt.fixed_point import FixedPoint
from fed_audience.gbdt.growing.grower import GrowthStep
from fed_audience.gbdt.growing.sampling import bagged_rows
from fed_audience.gbdt.kernels.team import team_of
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.parameters import TrainingParameters
from tests.gbdt import oracle
from tests.gbdt.one_site import Rows, example

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.tree import Tree


@settings(max_examples=40)
@given(data=st.data())
def test_trees_are_the_oracles(data: st.DataObject) -> None:
    """Splits, gains, sums, children and leaf values: all of it, to the last bit."""

    def one_of(*values: Any) -> Any:
        return data.draw(st.sampled_from(values))

    parameters = TrainingParameters(
        n_estimators=3,
        max_depth=data.draw(st.integers(1, 5)),
        num_leaves=data.draw(st.integers(2, 16)),
        leaves_per_round=one_of(0, 0, 1, 3),
        min_child_weight=one_of(0.0, 1.0),
        min_data_in_leaf=one_of(0, 7),
        lambda_l1=one_of(0.0, 0.7, 2.0),
        lambda_l2=one_of(0.0, 3.0),
        max_delta_step=one_of(0.0, 0.0, 0.4),
        cat_smooth=one_of(0.0, 5.0),
        cat_l2=one_of(0.0, 10.0),
        min_data_per_group=one_of(1, 15, 100),
        max_cat_threshold=one_of(1, 3, 32),
        max_cat_to_onehot=one_of(2, 4, 9),
        row_cap=one_of(1_000, 2**27),
    )
    signs = one_of((0, 0, 0, 0, 0), (1, -1, 0, 0, 0), (-1, 0, 1, 0, 0))
    drawn = data.draw(st.lists(st.booleans(), min_size=5, max_size=5).filter(any))
    rows = example(data.draw(st.integers(20, 300)), data.draw(st.integers(0, 10**6)))
    rows.scores[:] = base = float(np.log(rows.labels.mean() / (1 - rows.labels.mean())))
    fixed = objective_of(parameters).fixed
    expected = oracle.boost(
        np.ascontiguousarray(rows.matrix.columns.T),
        rows.bins,
        parameters,
        fixed,
        [base],
        lambda scores: [oracle.fixed_point(scores[0], rows.labels, int(1 / fixed.gradient_unit))],
        draws=[drawn] * 3,
        signs=signs,
    )
    options = {"features": np.array(drawn), "monotone": np.array(signs, dtype=np.int8)}
    grown = [rows.grow(parameters, **options).tree() for _ in expected]
    assert grown == expected


@settings(max_examples=40)
@given(data=st.data())
def test_trees_of_any_gradients_rows_and_units_are_the_oracles(data: st.DataObject) -> None:
    """Weights and classes come as gradients and hessians, a bag as fewer rows."""
    fixed = FixedPoint(
        gradient_unit=2.0 ** data.draw(st.integers(-12, 3)),
        hessian_unit=2.0 ** data.draw(st.integers(-12, 3)),
        gradient_bound=2**12,
        hessian_bound=2**11,
    )
    one_gradient = fixed.gradient_bound * fixed.gradient_unit
    one_hessian = fixed.hessian_bound * fixed.hessian_unit
    parameters = TrainingParameters(
        max_depth=4,
        num_leaves=12,
        leaves_per_round=data.draw(st.sampled_from([0, 2])),
        min_child_weight=data.draw(st.sampled_from([0.0, 2.0])) * one_hessian,
        min_data_in_leaf=5,
        lambda_l1=data.draw(st.sampled_from([0.0, 1.5])) * one_gradient,
        lambda_l2=data.draw(st.sampled_from([0.0, 1.5])) * one_hessian,
        max_delta_step=data.draw(st.sampled_from([0.0, 0.2])) * one_gradient / one_hessian,
        min_gain_to_split=data.draw(st.sampled_from([0.0, 1.0])) * one_gradient**2 / one_hessian,
        min_data_per_group=10,
    )
    signs = data.draw(st.sampled_from([(0, 0, 0, 0, 0), (1, -1, 0, 0, 0)]))
    seed = data.draw(st.integers(0, 10**6))
    rows, r = example(200, seed), np.random.default_rng(seed)
    bag = bagged_rows(r.integers(0, 2**64, 200, dtype=np.uint64), 0, seed, 0.7)
    rows.trains_with(bag)
    for _ in range(2):
        gradients = r.integers(-(2**12), 2**12, 200, endpoint=True)
        gradients += (rows.matrix.columns[0] % 2) * gradients.max() // 2
        gradients = gradients.clip(-(2**12), 2**12)
        hessians = r.integers(1, 2**11, 200, endpoint=True)
        rows.pairs[:] = (gradients << 32) + hessians
        grower = rows.restarted(parameters, fixed, monotone=np.array(signs, dtype=np.int8))
        assert rows.grown(grower).tree() == oracle.grow_tree(
            np.ascontiguousarray(rows.matrix.columns.T),
            (gradients.tolist(), hessians.tolist()),
            rows.bins,
            parameters,
            fixed,
            rows=np.flatnonzero(bag).tolist(),
            signs=signs,
        )


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


def test_a_team_grows_the_same_tree() -> None:
    alone = example(2_000, 6).grow(PARAMETERS).tree()
    assert alone.leaves > 16  # so many that the search is shared
    assert example(2_000, 6).grow(PARAMETERS, team=team_of(3)).tree() == alone


def test_the_last_leaves_go_to_the_best_gains_of_a_level() -> None:
    full = example(2_000, 3).grow(replace(PARAMETERS, max_depth=3, num_leaves=8)).tree()
    short = example(2_000, 3).grow(replace(PARAMETERS, max_depth=3, num_leaves=6)).tree()
    third_level = sorted((split.gain for split in full.splits[3:]), reverse=True)
    assert sorted((split.gain for split in short.splits[3:]), reverse=True) == third_level[:2]


def test_depth_wise_growth_takes_one_round_a_level() -> None:
    rows = example(2_000, 4)
    rounds = count_rounds(rows, replace(PARAMETERS, max_depth=6))
    assert rounds == 6


def count_rounds(rows: Rows, parameters: TrainingParameters) -> int:
    calls = 0
    inner = rows.histograms

    def counted(nodes: Any) -> NDArray[np.int64]:
        nonlocal calls
        calls += 1
        return inner(nodes)

    rows.histograms = counted  # type: ignore[method-assign]
    rows.grow(parameters)
    return calls


def test_best_first_growth_takes_the_best_leaf_wherever_it_is() -> None:
    parameters = replace(PARAMETERS, max_depth=12, num_leaves=12)
    tree = example(2_000, 5).grow(replace(parameters, leaves_per_round=1)).tree()
    depth_wise = example(2_000, 5).grow(parameters).tree()
    assert tree.leaves == depth_wise.leaves == 12
    assert sum(s.gain for s in tree.splits) >= sum(s.gain for s in depth_wise.splits)
    rounds = [
        count_rounds(example(2_000, 5), replace(parameters, leaves_per_round=k)) for k in (1, 4, 11)
    ]
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
    grower = rows.grower(PARAMETERS)
    root = rows.histograms([0])[0]
    step = grower.start(root)
    with pytest.raises(FederationError, match="contradicts the sums of its node"):
        grower.advance(np.stack([root for _ in step.build]))


def test_a_step_names_every_split_before_its_children_are_built() -> None:
    rows = example(2_000, 8)
    grower = rows.grower(PARAMETERS)
    step = grower.start(rows.histograms([0])[0])
    assert [done.node for done in step.splits] == [0]
    assert step == GrowthStep(step.splits, step.build)
    assert set(step.build) < {step.splits[0].left, step.splits[0].right}
