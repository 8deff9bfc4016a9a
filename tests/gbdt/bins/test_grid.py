"""Cells partition the number line, split where rows are dense, and count the same everywhere."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fed_audience.errors import DataError
from fed_audience.gbdt.bins.canonical import LARGEST, MISSING_KEY, canonical, keys
from fed_audience.gbdt.bins.grid import MAX_REFINEMENTS, Grid, Refinement, refine

Floats = NDArray[np.float64]


def refined(x: Floats, max_bin: int = 255) -> list[Grid]:
    """Every grid of the refinements that these values call for."""
    grids = [Grid()]
    while following := refine(grids[-1], grids[-1].counts(x), len(x), max_bin):
        grids.append(following)
    return grids


def mixed(seed: int = 0, rows: int = 20_000) -> Floats:
    """Skewed amounts with heavy zeros and a heavy price, some negative, some missing."""
    draw = np.random.default_rng(seed)
    x = np.exp(draw.normal(3.0, 1.5, rows))
    kind = draw.random(rows)
    x[kind < 0.3] = 0.0
    x[(kind > 0.3) & (kind < 0.4)] = 19.99
    x[(kind > 0.4) & (kind < 0.45)] *= -1.0
    x[kind > 0.97] = np.nan
    return x


def test_the_coarsest_grid_has_2049_cells_and_missing() -> None:
    grid = Grid()
    assert grid.cells == 2049
    assert grid.size == 2050
    assert grid.first_value(1024) == grid.last_value(1024) == 0.0
    assert grid.first_value(0) == -LARGEST
    assert grid.last_value(2048) == LARGEST


def test_a_coarse_cell_is_an_eighth_of_its_power_of_two() -> None:
    cell = int(Grid().find(keys([1.0]))[0])
    assert Grid().first_value(cell) == 1.0
    assert Grid().last_value(cell) == math.nextafter(1.125, 0.0)
    negative = int(Grid().find(keys([-1.0]))[0])
    assert Grid().last_value(negative) == -1.0
    assert Grid().first_value(negative) == -math.nextafter(1.125, 0.0)


@pytest.mark.parametrize("x", [mixed(), np.round(mixed(1)), np.full(5000, 0.1)])
def test_cells_touch_and_ascend_at_every_refinement(x: Floats) -> None:
    for grid in refined(x):
        first = [grid.first_value(cell) for cell in range(grid.cells)]
        last = [grid.last_value(cell) for cell in range(grid.cells)]
        for cell in range(grid.cells - 1):
            here, there = keys([last[cell], first[cell + 1]]).tolist()
            assert first[cell] <= last[cell] < first[cell + 1]
            # Only around zero do values lie between cells, and they count as zero.
            assert there == here + 1 or 0.0 in {last[cell], first[cell + 1]}


@given(st.lists(st.floats(), min_size=1, max_size=50))
def test_every_value_lies_in_its_cell(values: list[float]) -> None:
    grid = refined(mixed())[-1]
    for value, cell in zip(
        canonical(values).values.tolist(), grid.find(keys(values)).tolist(), strict=True
    ):
        if math.isnan(value):
            assert cell == grid.cells
        else:
            assert grid.first_value(cell) <= value <= grid.last_value(cell)


@given(st.lists(st.floats(), max_size=60), st.integers(0, 60))
def test_counts_add_over_sites_in_any_order(values: list[float], cut: int) -> None:
    grid = refined(mixed())[-1]
    every = np.array(values)
    shuffled = np.random.default_rng(cut).permutation(every)
    parts = grid.counts(shuffled[:cut]) + grid.counts(shuffled[cut:])
    np.testing.assert_array_equal(parts, grid.counts(every))
    assert parts.sum() == len(values)
    np.testing.assert_array_equal(parts, np.bincount(grid.find(keys(every)), minlength=grid.size))


def test_missing_is_the_last_count() -> None:
    counts = Grid().counts([math.nan, math.nan, 1.0])
    assert counts[-1] == 2
    assert counts.sum() == 3


def test_heavy_cells_split_and_light_ones_stay() -> None:
    x = mixed()
    grids = refined(x)
    assert len(grids) > 1
    for before, after in pairwise(grids):
        counts = before.counts(x)
        present = counts[:-1]
        narrow = before.free_bits < 49
        alone = [i for i in range(before.cells) if narrow[i] and present[i] >= present.sum() / 254]
        rest = present.sum() - present[alone].sum()
        refinement = after.refinements[-1]
        heavy = (present > max(rest / (2 * (254 - len(alone))), 20)) & (before.free_bits > 0)
        assert refinement.cells == tuple(np.flatnonzero(heavy).tolist())
        assert refinement.bits == min(12, math.floor(math.log2(4096 / heavy.sum())))
        assert after.cells == before.cells + heavy.sum() * (2**refinement.bits - 1)


def test_a_lone_heavy_value_ends_in_a_cell_of_its_own() -> None:
    x = np.array([19.99] * 1000 + [20.0] * 1000 + [19.98] * 1000)
    grid = refined(x)[-1]
    assert len(grid.refinements) == MAX_REFINEMENTS
    cells = grid.find(keys([19.98, 19.99, 20.0]))
    assert len(set(cells.tolist())) == 3
    width = grid.last_value(int(cells[1])) - grid.first_value(int(cells[1]))
    assert 0 < width < 1e-9


def test_zero_never_splits_and_few_rows_never_do() -> None:
    assert refine(Grid(), Grid().counts(np.zeros(10_000)), 10_000, 255) is None
    assert refine(Grid(), Grid().counts(np.ones(20)), 20, 255) is None
    assert refine(Grid(), Grid().counts(np.ones(21)), 21, 255) is not None


@pytest.mark.parametrize("default", [0.0, -1.0, 999.0])
def test_rare_amounts_beside_a_very_common_one_are_told_apart(default: float) -> None:
    amounts = np.repeat([7298.0, 7443.0, 7688.0, 7896.0], 25)
    grid = refined(np.concatenate([np.full(10_000, default), amounts]), max_bin=64)[-1]
    assert len(set(grid.find(keys(amounts)).tolist())) == 4


def test_heaviness_is_measured_against_the_rows_that_have_a_value() -> None:
    x = np.concatenate([np.arange(1.0, 1001.0), np.full(99_000, np.nan)])
    assert refine(Grid(), Grid().counts(x), len(x), 255) is not None


def test_the_bin_of_the_missing_does_not_call_for_finer_cells() -> None:
    x = np.repeat([1.0, 2.0], [30, 100])
    with_missing = np.append(x, np.nan)
    small, large = Grid().find(keys([1.0, 2.0])).tolist()

    def split(values: Floats) -> tuple[int, ...]:
        grid = refine(Grid(), Grid().counts(values), len(values), 3)
        assert grid is not None
        return grid.refinements[0].cells

    assert split(x) == (small, large)
    assert split(with_missing) == (large,)


def test_refinement_stops_after_three_rounds() -> None:
    assert len(refined(np.full(100_000, 0.1))) == MAX_REFINEMENTS + 1


def test_counts_that_do_not_add_up_are_refused() -> None:
    counts = Grid().counts([1.0, 2.0])
    with pytest.raises(DataError, match="do not add up"):
        refine(Grid(), counts, 3, 255)
    with pytest.raises(DataError, match="do not belong"):
        refine(Grid(), counts[:-1], 2, 255)
    counts[0] -= 1
    with pytest.raises(DataError, match="do not belong"):
        refine(Grid(), counts, 1, 255)


@pytest.mark.parametrize("x", [mixed(), np.full(5000, -3.25), np.zeros(3)])
def test_a_grid_travels_as_text(x: Floats) -> None:
    grid = refined(x)[-1]
    again = Grid.from_json(grid.to_json())
    assert again == grid
    np.testing.assert_array_equal(again.counts(x), grid.counts(x))


def test_the_text_of_a_grid_is_pairs_of_integers() -> None:
    assert Grid().to_json() == "[]"
    assert Grid((Refinement(2, (3, 7)),)).to_json() == "[[2,[3,7]]]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[[1,[0]],[1,[0]],[1,[0]],[1,[0]]]",
        "[[0,[5]]]",
        "[[13,[5]]]",
        "[[1,[]]]",
        "[[1,[7,7]]]",
        "[[1,[8,7]]]",
        "[[1,[-1]]]",
        "[[1,[2049]]]",
        "[[1,[1024]]]",
        "[[12,[1,2]]]",
        "[[1,[1.0]]]",
        "[[true,[1]]]",
        '[["1",[1]]]',
        "[[1,5]]",
        "[7]",
        "[" * 100_000,
    ],
)
def test_a_malformed_grid_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="malformed"):
        Grid.from_json(text)


def test_missing_keys_are_found_past_the_last_cell() -> None:
    assert Grid().find(np.array([MISSING_KEY], dtype=np.uint64)).tolist() == [2049]
