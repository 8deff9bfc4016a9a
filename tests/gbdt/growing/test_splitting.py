from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import FederationError
from fed_audience.gbdt.bins import CategoryBins, FeatureBins, NumericBins
from fed_audience.gbdt.fixed_point import FixedPoint
from fed_audience.gbdt.growing.splitting import Child, SplitRules, find_split
from fed_audience.gbdt.kernels.histogram import SlotLayout
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.tree import NodeSums, Split
from tests.gbdt.oracle_splits import Rules, Sums, best_split

SCALE = 2**12
FIXED = FixedPoint(1 / SCALE, 1 / SCALE, SCALE, SCALE // 4)
FREE = TrainingParameters(min_child_weight=0.0, min_data_in_leaf=0, cat_smooth=0.0)


def numeric(size: int) -> FeatureBins:
    return NumericBins(tuple(float(i) for i in range(size - 1)))


def categories(size: int) -> FeatureBins:
    return CategoryBins(tuple(range(size)))


def search(
    features: list[tuple[FeatureBins, list[Sums]]],
    parameters: TrainingParameters = FREE,
    rows: int = 1_000,
) -> Split | None:
    layout = SlotLayout.from_bins([bins for bins, _ in features])
    flat = np.array([pair for _, sums in features for pair in sums], dtype=np.int64)
    total = flat[: len(features[0][1])].sum(axis=0)
    sums = NodeSums(int(total[0]), int(total[1]))
    rules = SplitRules.of_tree(
        parameters,
        FIXED,
        sums,
        rows,
        layout,
        drawn=np.ones(len(features), dtype=np.bool_),
        monotone=np.zeros(len(features), dtype=np.int8),
    )
    found = find_split(flat, Child(sums, rules.widest), layout, rules)
    if found is None:
        return None
    assert found.left == left_of(found.split, features[found.split.feature][1])
    assert 0 < found.left.hessian < sums.hessian
    return found.split


def left_of(split: Split, sums: list[Sums]) -> NodeSums:
    codes = split.left_codes or range(split.bin + 1)
    left = [sums[code] for code in codes] + [sums[-1]] * split.missing_left
    return NodeSums(sum(g for g, _ in left), sum(h for _, h in left))


def units(*pairs: tuple[float, float]) -> list[Sums]:
    return [(int(g * SCALE), int(h * SCALE)) for g, h in pairs]


def test_gain_is_that_of_the_textbook() -> None:
    split = search([(numeric(2), units((-8, 4), (8, 12), (0, 0)))])
    assert split == Split(0, 8**2 / 4 + 8**2 / 12, 0)
    with_l2 = search([(numeric(2), units((-8, 4), (8, 12), (0, 0)))], replace(FREE, lambda_l2=2.0))
    assert with_l2 is not None
    assert with_l2.gain == pytest.approx(8**2 / 6 + 8**2 / 14, rel=1e-15)


def test_missing_goes_to_the_side_that_gains_more() -> None:
    left = search([(numeric(3), units((-5, 5), (1, 5), (5, 5), (-5, 5)))])
    right = search([(numeric(3), units((-5, 5), (1, 5), (5, 5), (5, 5)))])
    assert left is not None
    assert right is not None
    assert (left.bin, left.missing_left) == (0, True)
    assert (right.bin, right.missing_left) == (0, False)


def test_present_against_missing_is_a_split() -> None:
    assert search([(numeric(1), units((-6, 9), (6, 3)))]) == Split(0, 36 / 9 + 36 / 3, 0)


def test_without_missing_values_later_ones_go_to_the_heavier_child() -> None:
    heavy_right = search([(numeric(2), units((-8, 4), (8, 12), (0, 0)))])
    heavy_left = search([(numeric(2), units((-8, 12), (8, 4), (0, 0)))])
    assert heavy_right is not None
    assert heavy_left is not None
    assert not heavy_right.missing_left
    assert heavy_left.missing_left
    assert search([(numeric(2), units((-8, 8), (8, 8), (0, 0)))]) == Split(0, 16.0, 0, True)


def test_equal_gains_go_to_the_lowest_feature_then_bin() -> None:
    same = units((-4, 4), (0, 0), (4, 4), (0, 0))
    split = search([(numeric(3), same), (numeric(3), same)])
    assert split is not None
    assert (split.feature, split.bin) == (0, 0)


def test_equal_gains_go_to_the_lowest_bin_before_the_side_of_missing() -> None:
    """The same two children, either as bin 0 with missing left or as bin 1 with missing right."""
    assert search([(numeric(2), units((0, 0), (5, 5), (-5, 5)))]) == Split(0, 10.0, 0, True)


def test_few_categories_are_tried_one_against_the_rest() -> None:
    split = search([(categories(3), units((1, 5), (-6, 5), (2, 5), (3, 5)))])
    assert split is not None
    assert split.left_codes == (1,)
    assert not split.missing_left


def test_many_categories_are_ordered_and_carry_cat_l2() -> None:
    """Ten categories, the odd ones good: they go left together, other values right."""
    sums = units(*[(-9 if code % 2 else 9, 100) for code in range(10)], (0, 50))
    split = search([(categories(10), sums)], replace(FREE, cat_l2=10.0), rows=2_000)
    assert split is not None
    assert split.left_codes in {(1, 3, 5, 7, 9), (0, 2, 4, 6, 8)}
    assert split.gain == pytest.approx(45**2 / 510 + 45**2 / 560, rel=1e-15)


def test_thin_categories_stay_right() -> None:
    """1,000 rows carry 1,000 units of hessian: 20 rows need 20 units."""
    sums = units(*[(-9 if code < 5 else 9, 100) for code in range(9)], (-30, 10), (39, 90))
    split = search([(categories(10), sums)], replace(FREE, cat_smooth=20.0))
    assert split is not None
    assert 9 not in split.left_codes


def test_either_side_of_many_categories_holds_a_group_of_rows() -> None:
    """Three heavy categories against two light ones of 32 rows: too few for a group of 50."""
    sums = units((-30, 100), (-30, 100), (-30, 100), (9, 5), (9, 5), (0, 0))
    rules = replace(FREE, cat_l2=0.0)
    free = search([(categories(5), sums)], replace(rules, min_data_per_group=1))
    grouped = search([(categories(5), sums)], replace(rules, min_data_per_group=50))
    assert free is not None
    assert grouped is not None
    assert free.left_codes in {(0, 1, 2), (3, 4)}
    assert grouped.left_codes not in {(0, 1, 2), (3, 4)}


def test_at_most_32_categories_go_left() -> None:
    sums = units(*[(code - 100, 1_000) for code in range(200)], (100, 0))
    split = search([(categories(200), sums)], rows=10**6)
    assert split is not None
    assert len(split.left_codes) == 32


@pytest.mark.parametrize(
    ("changed", "bin_"),
    [({}, 0), ({"min_child_weight": 3.0}, 1), ({"min_data_in_leaf": 300}, 2)],
)
def test_floors_on_weight_and_rows_forbid_light_children(
    changed: dict[str, Any], bin_: int
) -> None:
    """Hessians 1, 2, 3, 6 of 12; 1,000 rows: 300 rows are 3.6 of them."""
    sums = units((-20, 1), (-5, 2), (-1, 3), (26, 6), (0, 0))
    split = search([(numeric(4), sums)], replace(FREE, **changed))
    assert split is not None
    assert split.bin == bin_


def test_no_gain_no_split() -> None:
    flat = units((1, 1), (2, 2), (3, 3), (0, 0))
    assert search([(numeric(3), flat)]) is None
    gains = [(numeric(2), units((-8, 4), (8, 12), (0, 0)))]
    assert search(gains, replace(FREE, min_gain_to_split=21.3)) is not None
    assert search(gains, replace(FREE, min_gain_to_split=21.4)) is None
    assert search([(categories(0), units((3, 3)))]) is None


def test_a_feature_whose_slots_hold_other_rows_is_named() -> None:
    good, bad = units((-8, 4), (8, 12), (0, 0)), units((-8, 4), (8, 12), (0, 1))
    for broken in (numeric(2), categories(2)):
        with pytest.raises(FederationError, match="feature 1 contradicts"):
            search([(numeric(2), good), (broken, bad), (numeric(2), good)])


CELL = st.tuples(st.integers(-(2**14), 2**14), st.one_of(st.just(0), st.integers(1, 2**14))).map(
    lambda cell: cell if cell[1] else (0, 0)
)


@given(data=st.data())
def test_search_finds_the_oracles_split(data: st.DataObject) -> None:
    """Same feature, same side, same gain to the last bit, on arbitrary histograms."""
    parameters = TrainingParameters(
        min_child_weight=data.draw(st.sampled_from([0.0, 1.0, 5.0])),
        min_data_in_leaf=data.draw(st.sampled_from([0, 20])),
        lambda_l2=data.draw(st.sampled_from([0.0, 1.5])),
        cat_smooth=data.draw(st.sampled_from([0.0, 10.0])),
        cat_l2=data.draw(st.sampled_from([0.0, 10.0])),
    )
    kinds = data.draw(
        st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=4)
    )
    bins = [categories(size) if is_category else numeric(size) for is_category, size in kinds]
    lengths = [feature_bins.size + 1 for feature_bins in bins]
    node = [data.draw(st.lists(CELL, min_size=n, max_size=n)) for n in lengths]
    whole = [sum(cell[k] for cell in node[0]) for k in (0, 1)]
    for sums in node[1:]:
        sums[-1] = (
            whole[0] - sum(g for g, _ in sums[:-1]),
            max(0, whole[1] - sum(h for _, h in sums[:-1])),
        )
        if sums[-1][1] == 0 or sum(h for _, h in sums) != whole[1]:
            sums[:] = [(whole[0], whole[1]), *[(0, 0)] * (len(sums) - 1)]
    if whole[1] == 0:
        return
    share = Fraction(1_000, whole[1])
    rules = Rules(parameters, FIXED, share, [0] * len(bins), [True] * len(bins))
    expected = best_split(node, bins, rules, rules.widest)
    found = search(list(zip(bins, node, strict=True)), parameters)
    assert found == (expected[0] if expected else None)
