from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fed_audience.gbdt.bins import MISSING_CODE, NumericBins
from fed_audience.gbdt.codes import BinnedMatrix
from fed_audience.gbdt.partition import RowPartition
from fed_audience.gbdt.tree import Split

R = np.random.default_rng(4)
COLUMNS = R.integers(0, 10, (3, 500)).astype(np.uint8)
COLUMNS[R.random(COLUMNS.shape) < 0.1] = MISSING_CODE
MATRIX = BinnedMatrix.from_columns(COLUMNS, [NumericBins(tuple(range(9)))] * 3)
SELECTED = np.flatnonzero(R.random(500) < 0.8).astype(np.uint32)


def members(partition: RowPartition, node: int) -> list[int]:
    ((begin, end),) = partition.ranges([node]).tolist()
    return [int(row) for row in partition.rows[begin:end]]


@pytest.mark.parametrize("threads", [None, 3])
def test_rows_follow_their_codes_and_keep_their_order(threads: int | None) -> None:
    partition = RowPartition(SELECTED)
    pool = ThreadPoolExecutor(threads) if threads else None
    partition.split(MATRIX, {0: (Split(0, 1.0, 4, missing_left=True), 1, 2)}, pool, 3)
    left = Split(1, 1.0, 2)
    right = Split(2, 1.0, left_codes=(0, 7))
    partition.split(MATRIX, {1: (left, 3, 4), 2: (right, 5, 6)}, pool, 3)
    first = [r for r in SELECTED.tolist() if COLUMNS[0, r] <= 4 or COLUMNS[0, r] == MISSING_CODE]
    other = [r for r in SELECTED.tolist() if r not in first]
    assert members(partition, 3) == [r for r in first if COLUMNS[1, r] <= 2]
    assert members(partition, 4) == [r for r in first if COLUMNS[1, r] > 2]
    assert members(partition, 5) == [r for r in other if COLUMNS[2, r] in (0, 7)]
    assert members(partition, 6) == [r for r in other if COLUMNS[2, r] not in (0, 7)]
    assert partition.nodes() == {3, 4, 5, 6}


def test_a_child_may_be_split_in_the_same_step() -> None:
    together, apart = RowPartition(SELECTED), RowPartition(SELECTED)
    root, child = {0: (Split(0, 1.0, 4), 1, 2)}, {2: (Split(1, 1.0, 2), 3, 4)}
    together.split(MATRIX, root | child)
    apart.split(MATRIX, root)
    apart.split(MATRIX, child)
    assert np.array_equal(together.rows, apart.rows)
    assert together.nodes() == apart.nodes() == {1, 3, 4}


def test_many_rows_are_shared_out_without_a_trace() -> None:
    codes = np.random.default_rng(5).integers(0, 10, (3, 100_000)).astype(np.uint8)
    matrix = BinnedMatrix.from_columns(codes, [NumericBins(tuple(range(9)))] * 3)
    every = np.arange(100_000, dtype=np.uint32)
    steps: list[dict[int, tuple[Split, int, int]]] = [
        {0: (Split(0, 1.0, 2), 1, 2)},
        {1: (Split(1, 1.0, 2), 3, 4), 2: (Split(2, 1.0, 7), 5, 6)},
    ]
    last = {3: (Split(2, 1.0, 5), 7, 8)}
    values = dict.fromkeys((4, 5, 6), 1.0) | {7: 2.0, 8: 3.0}
    alone, shared = RowPartition(every), RowPartition(every)
    sums = np.zeros((2, 100_000))
    with ThreadPoolExecutor(3) as pool:
        for partition, scores, threads in zip((alone, shared), sums, (None, pool), strict=True):
            for step in steps:
                partition.split(matrix, step, threads, 3)
            partition.finish(matrix, last, values, scores, threads, 3)
    assert np.array_equal(alone.rows, shared.rows)
    assert np.array_equal(sums[0], sums[1])
    assert set(np.unique(sums[0])) == {1.0, 2.0, 3.0}


def test_an_unknown_node_moves_nothing() -> None:
    partition = RowPartition(SELECTED)
    with pytest.raises(KeyError):
        partition.split(MATRIX, {0: (Split(0, 1.0, 4), 1, 2), 9: (Split(0, 1.0, 4), 3, 4)})
    assert np.array_equal(partition.rows, SELECTED)
    assert partition.nodes() == {0}


def test_leaf_values_reach_exactly_their_rows() -> None:
    partition = RowPartition(SELECTED)
    scores = np.zeros(500)
    partition.finish(MATRIX, {0: (Split(0, 1.0, 4), 1, 2)}, {1: 0.5, 2: -2.0}, scores)
    expected = np.zeros(500)
    expected[SELECTED] = np.where(COLUMNS[0, SELECTED] <= 4, 0.5, -2.0)
    assert np.array_equal(scores, expected)


@pytest.mark.parametrize("threads", [None, 2])
def test_finishing_is_splitting_and_adding(threads: int | None) -> None:
    """The last step moves no row of its last nodes; the scores are those of moved rows."""
    first = {0: (Split(0, 1.0, 4, missing_left=True), 1, 2)}
    last = {
        1: (Split(1, 1.0, 2), 3, 4),
        4: (Split(2, 1.0, left_codes=(0, 7)), 5, 6),
    }
    values = {2: 0.25, 3: -1.5, 5: 3.0, 6: 0.125}
    moved, kept = RowPartition(SELECTED), RowPartition(SELECTED)
    for partition in (moved, kept):
        partition.split(MATRIX, first)
    moved.split(MATRIX, last)
    expected = np.zeros(500)
    for node, value in values.items():
        expected[members(moved, node)] = value
    scores = np.zeros(500)
    pool = ThreadPoolExecutor(threads) if threads else None
    kept.finish(MATRIX, last, values, scores, pool, 3)
    assert np.array_equal(scores, expected)


@pytest.mark.parametrize("values", [{1: 0.5}, {1: 0.5, 2: 0.5, 3: 0.5}, {0: 0.5}])
def test_values_must_name_exactly_the_leaves(values: dict[int, float]) -> None:
    partition = RowPartition(SELECTED)
    scores = np.zeros(500)
    with pytest.raises(KeyError):
        partition.finish(MATRIX, {0: (Split(0, 1.0, 4), 1, 2)}, values, scores)
    assert not scores.any()


def test_restart_puts_every_row_back() -> None:
    partition = RowPartition(SELECTED)
    partition.split(MATRIX, {0: (Split(0, 1.0, 4), 1, 2)})
    partition.restart()
    assert members(partition, 0) == SELECTED.tolist()
