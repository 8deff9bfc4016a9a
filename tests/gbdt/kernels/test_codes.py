from __future__ import annotations

import numpy as np
import pytest

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, NumericBins
from fed_audience.gbdt.kernels.codes import BinnedMatrix, go_left_tables, row_stride
from fed_audience.gbdt.tree import Split


@pytest.mark.parametrize(
    ("features", "stride"),
    [(1, 8), (8, 8), (9, 16), (17, 32), (32, 32), (33, 64), (64, 64), (65, 72), (200, 200)],
)
def test_rows_do_not_straddle_cache_lines(features: int, stride: int) -> None:
    assert row_stride(features) == stride


def test_both_layouts_hold_the_same_codes() -> None:
    r = np.random.default_rng(0)
    columns = r.integers(0, 4, (11, 37)).astype(np.uint8)
    columns[columns == 3] = MISSING_CODE
    matrix = BinnedMatrix.from_columns(columns, [NumericBins((0.0, 1.0))] * 11)
    rows = matrix.words.view(np.uint8).reshape(37, matrix.stride)
    assert np.array_equal(rows[:, :11], columns.T)
    assert not rows[:, 11:].any()
    assert np.array_equal(matrix.columns, columns)
    assert (matrix.rows, matrix.features) == (37, 11)
    assert matrix.nbytes == 37 * (16 + 11)


def test_a_code_outside_its_bins_is_refused() -> None:
    columns = np.array([[0, 1, 2, MISSING_CODE]], dtype=np.uint8)
    BinnedMatrix.from_columns(columns, [NumericBins((0.0, 1.0))])
    with pytest.raises(DataError, match="feature 0 has a code outside its bins"):
        BinnedMatrix.from_columns(columns, [CategoryBins((7, 9))])


def test_a_feature_without_bins_holds_missing_only() -> None:
    nothing = np.full((1, 5), MISSING_CODE, dtype=np.uint8)
    assert BinnedMatrix.from_columns(nothing, [CategoryBins(())]).rows == 5


def test_splits_send_their_codes_left() -> None:
    """Numbers up to the bin, categories of the set; missing as the split says."""
    tables = go_left_tables(
        [
            Split(0, 1.0, 2),
            Split(0, 1.0, 2, missing_left=True),
            Split(1, 1.0, left_codes=(1, 5)),
            Split(0, 1.0, 254),
        ]
    )
    left = [np.flatnonzero(table).tolist() for table in tables]
    assert left == [[0, 1, 2], [0, 1, 2, MISSING_CODE], [1, 5], list(range(255))]
    assert go_left_tables([]).shape == (0, 256)
