from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import DataError
from fed_audience.gbdt.objectives import base_score, gradient_pairs, gradient_scale
from tests.gbdt.oracle import fixed_point

CAPS = st.integers(1, 2**34)


@given(cap=CAPS)
def test_scale_is_a_power_of_two_of_at_least_12_bits(cap: int) -> None:
    scale = gradient_scale(cap)
    assert scale & (scale - 1) == 0
    assert 2**12 <= scale <= 2**16


@given(cap=CAPS)
def test_no_sum_at_the_row_cap_wraps_or_leaves_the_exact_floats(cap: int) -> None:
    scale = gradient_scale(cap)
    assert cap * scale < 2**53
    assert cap * (scale // 4) < 2**53


@given(cap=st.integers(1, 2**19))
def test_up_to_half_a_million_rows_a_pair_of_sums_fits_one_ring_element(cap: int) -> None:
    scale = gradient_scale(cap)
    gradients, hessians = 2 * cap * scale + 1, cap * (scale // 4) + 1
    assert gradients * hessians <= 2**64


def test_known_scales() -> None:
    scales = [gradient_scale(2**bits) for bits in (10, 15, 17, 19, 20, 27, 34)]
    assert scales == [2**16, 2**16, 2**14, 2**12, 2**16, 2**16, 2**16]


def test_base_score_is_the_log_odds_of_the_rate() -> None:
    assert base_score(1_000, 250) == pytest.approx(log(1 / 3), abs=1e-15)


@pytest.mark.parametrize(("rows", "positives"), [(0, 0), (5, 0), (5, 5)])
def test_one_class_cannot_be_learnt(rows: int, positives: int) -> None:
    with pytest.raises(DataError, match="one class only"):
        base_score(rows, positives)


@given(
    scores=st.lists(st.floats(-800, 800), min_size=1, max_size=40),
    seed=st.integers(0, 9),
    bits=st.integers(12, 16),
)
def test_pairs_are_the_oracles_integers(scores: list[float], seed: int, bits: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, len(scores)).astype(float)
    pairs = np.empty(len(scores), dtype=np.int64)
    gradient_pairs(np.array(scores), labels, 2**bits, pairs)
    gradients, hessians = fixed_point(np.array(scores), labels, 2**bits)
    assert (pairs >> 32).tolist() == gradients
    assert (pairs & (2**32 - 1)).tolist() == hessians


@given(score=st.floats(allow_nan=False), label=st.sampled_from([0.0, 1.0]))
def test_no_row_leaves_the_bounds_of_the_accumulator(score: float, label: float) -> None:
    pairs = np.empty(1, dtype=np.int64)
    gradient_pairs(np.array([score]), np.array([label]), 2**12, pairs)
    assert -(2**12) <= int(pairs[0]) >> 32 <= 2**12
    assert 1 <= int(pairs[0]) & (2**32 - 1) <= 2**10


def test_threads_change_nothing() -> None:
    scores = np.linspace(-5, 5, 1_001)
    labels = (np.arange(1_001) % 3 == 0).astype(float)
    alone, shared = np.empty(1_001, dtype=np.int64), np.empty(1_001, dtype=np.int64)
    gradient_pairs(scores, labels, 2**16, alone)
    with ThreadPoolExecutor(3) as pool:
        gradient_pairs(scores, labels, 2**16, shared, pool=pool, threads=3)
    assert np.array_equal(alone, shared)
