"""Cuts: which cells end a bin, and the round number that stands in each gap."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import NumericBins
from fed_audience.gbdt.bins.canonical import canonical
from fed_audience.gbdt.bins.cuts import bin_ends, numeric_bins, shortest_between
from fed_audience.gbdt.bins.grid import Grid, refine

Floats = NDArray[np.float64]


def bins_of(x: Floats, max_bin: int = 255, min_data_in_bin: int = 3) -> NumericBins:
    grid: Grid | None = Grid()
    while grid:
        last, counts = grid, grid.counts(x)
        grid = refine(grid, counts, len(x), max_bin)
    return numeric_bins(last, counts, max_bin=max_bin, min_data_in_bin=min_data_in_bin)


def fewest_digits(low: float, high: float) -> int:
    """Digits of the shortest decimal between low and high, by trying every power of ten."""
    best = 18
    for exponent in range(-60, 21):
        unit = Fraction(10) ** exponent
        first, last = math.floor(Fraction(low) / unit) + 1, math.ceil(Fraction(high) / unit) - 1
        if first <= last:
            nearest_zero = min((first, last, 0), key=lambda n: (not first <= n <= last, abs(n)))
            # The first decimals inside may still be read as the double `low`, the last as `high`.
            tried = {nearest_zero, *range(first, min(first + 9, last) + 1)}
            tried |= set(range(max(last - 9, first), last + 1))
            for n in tried:
                if low < float(n * unit) < high:
                    best = min(best, len(str(abs(n)).rstrip("0") or "0"))
    return best


def digits_of(x: float) -> int:
    return len("".join(map(str, Decimal(repr(x)).as_tuple().digits)).strip("0") or "0")


@pytest.mark.parametrize(
    ("low", "high", "threshold"),
    [
        (0.0, 1.0, 0.5),
        (-1.0, 0.0, -0.5),
        (1930.0000001, 1931.0, 1930.5),
        (-1931.0, -1930.0000001, -1930.5),
        (-1.0, 1.0, 0.0),
        (3.0, 1e6, 5e5),
        (19.98, 19.99, 19.985),
        (0.0, 2.0**-64, 3e-20),
        (0.9999, 1.0001, 1.0),
        (-1.0, -0.9999, -0.99995),
        (math.nextafter(1.5, 0.0), 1.5, math.nextafter(1.5, 0.0)),
        (1e15 + 0.125, 1e15 + 0.375, 1e15 + 0.25),
    ],
)
def test_thresholds_are_the_numbers_that_a_person_would_choose(
    low: float, high: float, threshold: float
) -> None:
    assert shortest_between(low, high) == threshold


numbers = st.floats(-1e12, 1e12, allow_subnormal=False)


@given(numbers, st.one_of(numbers, st.integers(1, 5000)))
def test_no_shorter_decimal_lies_in_the_gap(low: float, other: float) -> None:
    low = float(canonical([low]).values[0])
    high = low + other * math.ulp(low) if isinstance(other, int) else other
    low, high = sorted((low, float(canonical([high]).values[0])))
    assume(low < high)
    threshold = shortest_between(low, high)
    if math.nextafter(low, math.inf) == high:
        assert threshold == low
    else:
        assert low < threshold < high
        assert digits_of(threshold) == fewest_digits(low, high)


def test_no_value_of_a_single_row_is_a_threshold() -> None:
    x = np.random.default_rng(5).lognormal(3, 2, 50_000)
    assert not set(bins_of(x).thresholds) & set(x.tolist())


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=80),
    st.integers(2, 40),
    st.integers(1, 30),
)
def test_bins_keep_every_promise(counts: list[int], bins: int, least: int) -> None:
    ends = bin_ends(counts, bins=bins, min_data_in_bin=least)
    total = sum(counts)
    assert ends == sorted(set(ends))
    assert all(0 <= end < len(counts) - 1 for end in ends)
    assert len(ends) + 1 <= bins
    edges = [0, *(end + 1 for end in ends), len(counts)]
    sizes = [sum(counts[a:b]) for a, b in pairwise(edges)]
    if total >= least:
        assert min(sizes) >= least
    allowed = max(1, min(bins, total // least))
    for i, count in enumerate(counts):
        if count * allowed < total:
            continue
        # A heavy cell shares its bin with light cells only where no bin could be made of them.
        start = max(edge for edge in edges if edge <= i)
        stop = min(edge for edge in edges if edge > i)
        others = [counts[j] for j in range(start, stop) if j != i]
        assert all(other * allowed < total for other in others)
        if sum(others) >= 2 * least:
            assert len(ends) + 1 == allowed


@given(st.lists(st.integers(3, 400), min_size=1, max_size=60), st.integers(60, 255))
def test_each_value_has_its_bin_while_there_are_enough(counts: list[int], bins: int) -> None:
    ends = bin_ends(counts, bins=bins, min_data_in_bin=3)
    assert ends == list(range(len(counts) - 1))


def test_light_cells_share_the_rest_evenly() -> None:
    assert bin_ends([10] * 100, bins=10, min_data_in_bin=3) == list(range(9, 99, 10))


def test_a_heavy_cell_stands_alone() -> None:
    counts = [5] * 20 + [1000] + [5] * 20
    ends = bin_ends(counts, bins=6, min_data_in_bin=3)
    assert 19 in ends
    assert 20 in ends
    assert len(ends) == 5


def test_no_more_bins_are_made_than_the_least_rows_of_a_bin_allow() -> None:
    assert bin_ends([1] * 12, bins=255, min_data_in_bin=3) == [2, 5, 8]
    assert bin_ends([1, 30], bins=40, min_data_in_bin=5) == []


def test_a_run_too_small_for_a_bin_joins_its_heavy_neighbour() -> None:
    assert bin_ends([2, 1000, 1000], bins=10, min_data_in_bin=3) == [1]
    assert bin_ends([1000, 1000, 2], bins=10, min_data_in_bin=3) == [0]
    assert bin_ends([3, 1000, 1000], bins=10, min_data_in_bin=3) == [0, 1]


def test_the_tail_of_a_run_joins_the_runs_last_bin() -> None:
    assert bin_ends([10, 10, 2, 10**6], bins=200, min_data_in_bin=3) == [0, 2]
    assert bin_ends([10**6, 10, 10, 2], bins=200, min_data_in_bin=3) == [0, 1]


def test_early_runs_leave_a_bin_for_each_later_run() -> None:
    counts = [4] * 30 + [200] + [4] + [200] + [4] + [200]
    ends = bin_ends(counts, bins=7, min_data_in_bin=3)
    assert {29, 30, 31, 32, 33} <= set(ends)


def test_missing_values_take_a_bin_as_in_lightgbm() -> None:
    x = np.random.default_rng(0).normal(size=20_000)
    assert bins_of(x, max_bin=16).size == 16
    x[0] = np.nan
    assert bins_of(x, max_bin=16).size == 15


def test_integers_are_cut_between_each_other() -> None:
    years = np.random.default_rng(0).integers(1930, 1936, 10_000).astype(np.float64)
    assert bins_of(years).thresholds == (1930.5, 1931.5, 1932.5, 1933.5, 1934.5)
    assert bins_of(-years).thresholds == (-1934.5, -1933.5, -1932.5, -1931.5, -1930.5)
    flags = np.repeat([0.0, 1.0], 500)
    assert bins_of(flags).thresholds == (0.5,)


@pytest.mark.parametrize("x", [[], [math.nan] * 9, [7.0] * 100, [0.0], [math.inf] * 50])
def test_what_cannot_be_cut_is_one_bin(x: list[float]) -> None:
    assert bins_of(np.array(x)) == NumericBins(())


def test_bins_are_about_equally_full() -> None:
    x = np.random.default_rng(3).normal(size=200_000)
    codes = np.searchsorted(bins_of(x, max_bin=64).thresholds, x)
    share = np.bincount(codes) / len(x) * 64
    assert len(share) == 64
    assert share.max() < 1.6


@given(st.lists(st.floats(allow_nan=True), max_size=80), st.integers(2, 12), st.integers(1, 5))
def test_code_at_most_b_exactly_where_value_at_most_threshold(
    values: list[float], max_bin: int, least: int
) -> None:
    x = np.array(values, dtype=np.float64)
    bins = bins_of(x, max_bin, least)
    assert list(bins.thresholds) == sorted(set(bins.thresholds))
    assert bins.size <= max(1, max_bin)
    seen = canonical(x).values
    seen = seen[~np.isnan(seen)]
    codes = np.searchsorted(bins.thresholds, seen)
    for b, threshold in enumerate(bins.thresholds):
        np.testing.assert_array_equal(codes <= b, seen <= threshold)
    if len(seen):
        assert len(set(codes.tolist())) == bins.size  # no bin is empty


@given(st.integers(0, 2**32), st.integers(1, 4999))
def test_cuts_do_not_depend_on_the_partition(seed: int, cut: int) -> None:
    draw = np.random.default_rng(seed)
    x = np.round(draw.lognormal(2, 1, 5000), 1)
    pooled = bins_of(x, 32)
    parts = np.split(draw.permutation(x), [cut])
    grid: Grid | None = Grid()
    while grid:
        last = grid
        counts = np.sum([grid.counts(part) for part in parts], axis=0)
        grid = refine(grid, counts, len(x), 32)
    assert numeric_bins(last, counts, max_bin=32, min_data_in_bin=3) == pooled


def test_cuts_are_the_same_on_every_machine() -> None:
    x = np.concatenate([np.arange(1, 2001) / 7.0, np.zeros(500), np.full(300, 19.99)])
    assert bins_of(x, 8).thresholds == (
        0.07,
        19.995,
        71.99999999999999,
        119.99999999999999,
        175.99999999999997,
        223.99999999999997,
        255.99999999999997,
    )


def test_counts_of_another_grid_are_refused() -> None:
    with pytest.raises(DataError, match="do not belong"):
        numeric_bins(Grid(), np.zeros(7, dtype=np.int64), max_bin=255, min_data_in_bin=3)
