from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.gbdt.bins import MISSING_CODE, CategoryBins, FeatureBins, NumericBins
from fed_audience.gbdt.fixed_point import FixedPoint
from fed_audience.gbdt.kernels.codes import BinnedMatrix
from fed_audience.gbdt.kernels.histogram import SlotLayout, rows_before_flush
from fed_audience.gbdt.kernels.packed_sums import PackedSlots, pack_pairs
from tests.gbdt.one_site import histograms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def bounds(gradient: int, hessian: int) -> FixedPoint:
    return FixedPoint(1.0, 1.0, gradient, hessian)


BOUNDS = bounds(2**16, 2**14)


def twin(
    columns: NDArray[np.uint8],
    bins: Sequence[FeatureBins],
    rows: NDArray[np.uint32],
    gradients: NDArray[np.int64],
    hessians: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The same sums by ``np.bincount``, whose float64 weights are exact below 2^53."""
    parts = []
    for column, feature_bins in zip(columns, bins, strict=True):
        codes = column[rows].astype(np.int64)
        codes[codes == MISSING_CODE] = feature_bins.size
        size = feature_bins.size + 1
        parts.append(
            np.stack(
                [
                    np.bincount(codes, gradients[rows].astype(float), size),
                    np.bincount(codes, hessians[rows].astype(float), size),
                ],
                axis=1,
            )
        )
    return np.concatenate(parts).astype(np.int64)


def example(
    features: int, rows: int, seed: int, scale: int = 2**16
) -> tuple[Any, list[FeatureBins], NDArray[np.int64], NDArray[np.int64]]:
    r = np.random.default_rng(seed)
    sizes = r.choice([1, 2, 7, 100, 255], features)
    bins: list[FeatureBins] = [
        CategoryBins(tuple(range(size))) if i % 3 == 0 else NumericBins(tuple(range(size - 1)))
        for i, size in enumerate(sizes.tolist())
    ]
    columns = np.stack([r.integers(0, size, rows) for size in sizes]).astype(np.uint8)
    columns[r.random(columns.shape) < 0.2] = MISSING_CODE
    gradients = r.integers(-scale, scale + 1, rows)
    hessians = r.integers(1, scale // 4 + 1, rows)
    return columns, bins, gradients, hessians


@pytest.mark.parametrize("features", [1, 7, 8, 9, 30, 64, 65, 200])
def test_kernel_gives_the_integers_of_its_numpy_twin(features: int) -> None:
    columns, bins, gradients, hessians = example(features, 5_000, seed=features)
    matrix, layout = BinnedMatrix.from_columns(columns, bins), SlotLayout.from_bins(bins)
    rows = np.random.default_rng(1).permutation(5_000).astype(np.uint32)
    ranges = np.array([[0, 1_700], [1_700, 1_701], [2_000, 2_000], [3_000, 5_000]])
    built = histograms(matrix, layout, rows, ranges, (gradients << 32) + hessians, BOUNDS)
    assert built.shape == (4, layout.slots, 2)
    for node, (begin, end) in enumerate(ranges):
        expected = twin(columns, bins, rows[begin:end], gradients, hessians)
        assert np.array_equal(built[node], expected)


@pytest.mark.parametrize("fixed", [BOUNDS, bounds(2**31 // 700, 2**20)])
@pytest.mark.parametrize("hessian_bits", [28, 32, 36])
@pytest.mark.parametrize("wide", [[], [0], [3, 7, -2, -1]])
def test_kernel_packs_as_pairs_are_packed(
    hessian_bits: int, wide: list[int], fixed: FixedPoint
) -> None:
    """Also where a node is flushed several times, and where it has no rows."""
    columns, bins, gradients, hessians = example(11, 5_000, seed=3)
    matrix, layout = BinnedMatrix.from_columns(columns, bins), SlotLayout.from_bins(bins)
    rows = np.random.default_rng(1).permutation(5_000).astype(np.uint32)
    ranges = np.array([[0, 3_000], [3_000, 3_000], [3_000, 5_000]])
    known = matrix, layout, rows, ranges, (gradients << 32) + hessians, fixed
    packed = PackedSlots(hessian_bits, np.array(wide, dtype=np.int32) % layout.slots)
    expected = np.empty(3 * packed.width(layout.slots), dtype=np.int64)
    pack_pairs(histograms(*known), packed.wide, hessian_bits, expected)
    assert np.array_equal(histograms(*known, packed).ravel(), expected)


EXTREMES = [(2**12, 2**10), (2**16, 2**14), (2**16, 2**20), (2**20, 2**20), (2**20, 1)]


@pytest.mark.parametrize(("gradient", "hessian"), EXTREMES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_accumulators_hold_the_extremes_at_the_flush_bound(
    gradient: int, hessian: int, sign: int
) -> None:
    """All rows in one bin, each at the largest gradient and hessian: nothing carries over."""
    fixed = bounds(gradient, hessian)
    count = 2 * rows_before_flush(fixed) + 3
    bins: list[FeatureBins] = [NumericBins((0.0,))]
    matrix = BinnedMatrix.from_columns(np.zeros((1, count), dtype=np.uint8), bins)
    built = histograms(
        matrix,
        SlotLayout.from_bins(bins),
        np.arange(count, dtype=np.uint32),
        np.array([[0, count]]),
        np.full(count, ((sign * gradient) << 32) + hessian),
        fixed,
    )
    assert built[0].tolist() == [[sign * gradient * count, hessian * count], [0, 0], [0, 0]]


@pytest.mark.parametrize(("gradient", "hessian"), EXTREMES)
def test_flush_bound_is_the_last_safe_one(gradient: int, hessian: int) -> None:
    rows = rows_before_flush(bounds(gradient, hessian))
    assert rows * gradient < 2**31
    assert rows * hessian < 2**32
    assert (rows + 1) * gradient >= 2**31 or (rows + 1) * hessian >= 2**32


@given(
    seed=st.integers(0, 99),
    bits=st.integers(17, 30),
    heavy=st.sampled_from([0.0, 0.001, 0.5, 1.0]),
)
def test_wide_bounds_flush_when_the_rows_at_hand_fill_the_accumulators(
    seed: int, bits: int, heavy: float
) -> None:
    """Some rows at the bounds among many small ones, in few bins: as with skewed labels."""
    draw = np.random.default_rng(seed)
    count, most = 20_000, 2**bits
    columns, bins, _, _ = example(9, count, seed)
    extreme = draw.random(count) < heavy
    gradients = np.where(extreme, draw.choice([-most, most], count), draw.integers(-9, 9, count))
    hessians = np.where(extreme, most, draw.integers(1, 9, count))
    built = histograms(
        BinnedMatrix.from_columns(columns, bins),
        SlotLayout.from_bins(bins),
        np.arange(count, dtype=np.uint32),
        np.array([[0, count]]),
        (gradients << 32) + hessians,
        bounds(most, most),
    )
    rows = np.arange(count, dtype=np.uint32)
    assert np.array_equal(built[0], twin(columns, bins, rows, gradients, hessians))


def test_layout_gives_each_feature_its_bins_and_one_slot_for_missing() -> None:
    layout = SlotLayout.from_bins([NumericBins((1.0, 2.0)), CategoryBins((5,)), CategoryBins(())])
    assert layout.sizes.tolist() == [3, 1, 0]
    assert layout.offsets.tolist() == [0, 4, 6, 7]
    assert layout.slots == 7
    assert layout.categorical.tolist() == [False, True, True]
