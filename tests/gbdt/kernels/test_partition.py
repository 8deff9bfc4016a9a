from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.gbdt.bins import MISSING_CODE, NumericBins
from fed_audience.gbdt.kernels.codes import BinnedMatrix
from fed_audience.gbdt.kernels.partition import RowPartition, Sharded
from fed_audience.gbdt.tree import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.gbdt.kernels.partition import NodeSplits

ROWS = 5_000
R = np.random.default_rng(4)
COLUMNS = R.integers(0, 10, (3, ROWS)).astype(np.uint8)
COLUMNS[R.random(COLUMNS.shape) < 0.1] = MISSING_CODE
MATRIX = BinnedMatrix.from_columns(COLUMNS, [NumericBins(tuple(range(9)))] * 3)
TRAINED = R.random(ROWS) < 0.8

FIRST = {0: (Split(0, 1.0, 4, missing_left=True), 1, 2)}
SECOND = {1: (Split(1, 1.0, 2), 3, 4), 2: (Split(2, 1.0, left_codes=(0, 7)), 5, 6)}


def partition(threads: int = 1) -> RowPartition:
    return RowPartition(Sharded.of(TRAINED, threads))


def split(rows: RowPartition, splits: NodeSplits) -> None:
    moves = rows.plan(splits)
    for shard in range(rows.shards):
        rows.split(MATRIX, moves, shard)


def finish(rows: RowPartition, splits: NodeSplits, values: dict[int, float]) -> NDArray[np.float64]:
    scores = np.zeros(ROWS)
    closing = rows.plan_end(splits, values)
    for shard in range(rows.shards):
        rows.finish(MATRIX, closing, scores, shard)
    return scores


def members(rows: RowPartition, node: int, shards: range | None = None) -> list[int]:
    (place,) = rows.places([node])
    found = (rows.ranges(shard)[place] for shard in shards or range(rows.shards))
    return [int(row) for begin, end in found for row in rows.rows[begin:end]]


@given(threads=st.integers(1, 7))
def test_every_row_has_one_shard_and_those_that_train_come_first(threads: int) -> None:
    dealt = Sharded.of(TRAINED, threads)
    assert len(dealt.bounds) == 2 * threads + 1
    assert sorted(dealt.rows) == list(range(ROWS))
    assert TRAINED[dealt.rows[: dealt.bounds[threads]]].all()
    assert not TRAINED[dealt.rows[dealt.bounds[threads] :]].any()


@pytest.mark.parametrize("sorted_by", ["shuffled", "rising"])
def test_shards_are_about_equal_in_any_order_of_the_rows(sorted_by: str) -> None:
    values = np.arange(100_000) if sorted_by == "rising" else R.permutation(100_000)
    dealt = Sharded.of(np.ones(100_000, dtype=bool), 3)
    for some in (values < 20_000, values > 70_000, values >= 0):
        parts = [some[dealt.rows[dealt.bounds[i] : dealt.bounds[i + 1]]].sum() for i in range(3)]
        assert max(parts) - min(parts) <= 1_500


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_follow_their_codes_and_keep_their_order(threads: int) -> None:
    rows = partition(threads)
    split(rows, FIRST)
    split(rows, SECOND)
    left = (COLUMNS[0] <= 4) | (COLUMNS[0] == MISSING_CODE)
    of_node = {
        3: left & (COLUMNS[1] <= 2),
        4: left & ~(COLUMNS[1] <= 2),
        5: ~left & np.isin(COLUMNS[2], (0, 7)),
        6: ~left & ~np.isin(COLUMNS[2], (0, 7)),
    }
    assert rows.nodes() == of_node.keys()
    for node, rule in of_node.items():
        assert sorted(members(rows, node)) == np.flatnonzero(rule).tolist()
        trained = members(rows, node, range(threads))
        assert sorted(trained) == np.flatnonzero(rule & TRAINED).tolist()
        for shard in range(2 * threads):
            own = members(rows, node, range(shard, shard + 1))
            assert own == sorted(own)


def test_a_child_may_be_split_in_the_same_step() -> None:
    together, apart = partition(), partition()
    child = {2: SECOND[2]}
    split(together, FIRST | child)
    split(apart, FIRST)
    split(apart, child)
    assert np.array_equal(together.rows, apart.rows)
    assert together.nodes() == apart.nodes() == {1, 5, 6}


def test_there_is_room_for_as_many_leaves_as_a_tree_has() -> None:
    rows = partition(2)
    for number in range(200):
        rule = Split(number % 3, 1.0, number % 9)
        split(rows, {2 * number: (rule, 2 * number + 1, 2 * number + 2)})
    assert len(rows.nodes()) == 201
    assert sorted(row for node in rows.nodes() for row in members(rows, node)) == list(range(ROWS))


@pytest.mark.parametrize(
    "splits",
    [
        FIRST | {9: (Split(0, 1.0, 4), 3, 4)},
        SECOND | FIRST,
        {0: (Split(0, 1.0, 4), 1, 2), 1: (Split(0, 1.0, 4), 2, 3)},
    ],
    ids=["no such node", "a child before its parent", "a child that exists"],
)
def test_a_step_that_cannot_be_changes_nothing(splits: NodeSplits) -> None:
    rows = partition()
    before = rows.rows.copy()
    with pytest.raises(KeyError):
        rows.plan(splits)
    assert np.array_equal(rows.rows, before)
    assert rows.nodes() == {0}


@pytest.mark.parametrize("threads", [1, 2])
def test_finishing_is_splitting_and_adding(threads: int) -> None:
    """The last step moves no row of its last nodes; the scores are those of moved rows."""
    last = {1: SECOND[1], 4: (Split(2, 1.0, left_codes=(0, 7)), 5, 6)}
    values = {2: 0.25, 3: -1.5, 5: 3.0, 6: 0.125}
    moved, kept = partition(), partition(threads)
    split(moved, FIRST)
    split(moved, last)
    split(kept, FIRST)
    expected = np.zeros(ROWS)
    for node, value in values.items():
        expected[members(moved, node)] = value
    assert np.array_equal(finish(kept, last, values), expected)


@pytest.mark.parametrize("values", [{1: 0.5}, {1: 0.5, 2: 0.5, 3: 0.5}, {0: 0.5}])
def test_values_must_name_exactly_the_leaves(values: dict[int, float]) -> None:
    rows = partition()
    with pytest.raises(KeyError):
        rows.plan_end(FIRST, values)
    assert rows.nodes() == {0}


def test_a_tree_without_a_split_adds_its_one_value_to_every_row() -> None:
    assert (finish(partition(2), {}, {0: 1.5}) == 1.5).all()


def test_restart_and_refill_put_every_row_back() -> None:
    rows = partition(2)
    before = rows.rows.copy()
    split(rows, FIRST)
    rows.restart()
    assert sorted(members(rows, 0)) == list(range(ROWS))
    for shard in range(rows.shards):
        rows.refill(shard)
    assert np.array_equal(rows.rows, before)
