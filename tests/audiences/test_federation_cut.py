from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fed_audience.audiences.federation_cut import (
    SCORE_BINS,
    Bounds,
    bounds_of_shares,
    brand_count,
    cut_brand,
    federation_cut,
    reach_vector,
    score_bins,
)
from fed_audience.errors import DataError

KEY = b"audience:winter"
Brand = tuple[NDArray[np.float64], Bounds]


@st.composite
def brands(draw: st.DrawFn) -> list[Brand]:
    """One to four brands with few distinct scores, so that bins are crowded."""
    drawn: list[Brand] = []
    for _ in range(draw(st.integers(1, 4))):
        score = st.sampled_from([0.0, 0.1, 0.10001, 0.3, 0.31, 0.9, 1.0]) | st.floats(0.0, 1.0)
        scores = np.array(draw(st.lists(score, max_size=30)), dtype=np.float64)
        low, high = sorted((draw(st.floats(0.0, 1.0)), draw(st.floats(0.0, 1.0))))
        drawn.append((scores, bounds_of_shares(scores.size, floor_share=low, cap_share=high)))
    return drawn


def ids(scores: NDArray[np.float64]) -> pa.StringArray:
    return pa.array([f"c{n}" for n in range(scores.size)], pa.string())


@given(brands(), st.integers(0, 130))
def test_delivered_is_never_above_the_request_and_within_one_bin_of_it(
    federation: list[Brand], wish: int
) -> None:
    requested = max(wish, sum(bounds.floor for _, bounds in federation))
    vectors = [reach_vector(scores, bounds) for scores, bounds in federation]
    cut = federation_cut(vectors, requested)
    counts = [brand_count(vector, cut) for vector in vectors]
    delivered = sum(counts)
    most = sum(bounds.cap for _, bounds in federation)
    assert delivered <= requested
    assert delivered >= min(requested, most) - (len(federation) - 1)
    one_bin_lower = np.sum(vectors, axis=0)[max(cut.first_bin - 1, 0)]
    assert cut.expected <= delivered <= one_bin_lower
    for count, (_, bounds) in zip(counts, federation, strict=True):
        assert bounds.floor <= count <= bounds.cap


@given(brands(), st.integers(0, 130))
def test_the_cut_follows_from_the_sum_alone(federation: list[Brand], wish: int) -> None:
    requested = max(wish, sum(bounds.floor for _, bounds in federation))
    vectors = [reach_vector(scores, bounds) for scores, bounds in federation]
    total = np.sum(vectors, axis=0)
    assert federation_cut([total], requested) == federation_cut(vectors, requested)


@given(brands(), st.integers(0, 130), st.randoms(use_true_random=False))
def test_every_brand_delivers_its_best_and_the_same_people_in_any_order(
    federation: list[Brand], wish: int, random: object
) -> None:
    requested = max(wish, sum(bounds.floor for _, bounds in federation))
    cut = federation_cut([reach_vector(s, b) for s, b in federation], requested)
    for scores, bounds in federation:
        own = cut_brand(scores, ids(scores), cut, bounds=bounds, key=KEY)
        order = list(range(scores.size))
        random.shuffle(order)  # type: ignore[attr-defined]
        shuffled = cut_brand(
            scores[order],
            ids(scores).take(np.array(order, dtype=np.int64)),
            cut,
            bounds=bounds,
            key=KEY,
        )
        assert {order[position] for position in shuffled.chosen} == set(own.chosen.tolist())
        left = np.delete(scores, own.chosen)
        if own.count and left.size:
            assert left.max() <= scores[own.chosen].min()


@given(brands(), st.integers(0, 129))
def test_a_larger_request_never_takes_a_person_back(federation: list[Brand], wish: int) -> None:
    requested = max(wish, sum(bounds.floor for _, bounds in federation))
    vectors = [reach_vector(scores, bounds) for scores, bounds in federation]
    nearer, farther = federation_cut(vectors, requested), federation_cut(vectors, requested + 1)
    for vector in vectors:
        assert brand_count(vector, nearer) <= brand_count(vector, farther)


def test_without_bounds_the_better_brand_gets_the_larger_audience() -> None:
    keen, cool = np.linspace(0.5, 0.99, 100), np.linspace(0.01, 0.6, 100)
    everyone = Bounds(0, 100)
    vectors = [reach_vector(scores, everyone) for scores in (keen, cool)]
    cut = federation_cut(vectors, 100)
    assert sum(brand_count(vector, cut) for vector in vectors) == 100
    assert brand_count(vectors[0], cut) > 80
    assert cut.threshold == pytest.approx(0.55, abs=0.05)


def test_floor_and_cap_hold_against_the_common_threshold() -> None:
    keen, cool = np.linspace(0.5, 0.99, 100), np.linspace(0.01, 0.4, 100)
    bounds = [Bounds(0, 40), Bounds(10, 100)]
    vectors = [reach_vector(keen, bounds[0]), reach_vector(cool, bounds[1])]
    cut = federation_cut(vectors, 50)
    assert [brand_count(vector, cut) for vector in vectors] == [40, 10]


def test_a_crowded_bin_is_shared_in_the_same_proportion() -> None:
    vectors = [reach_vector(np.full(size, 0.5), Bounds(0, size)) for size in (60, 30, 10)]
    cut = federation_cut(vectors, 50)
    assert (cut.expected, cut.filling, cut.filling_of) == (0, 50, 100)
    assert cut.first_bin == SCORE_BINS // 2 + 1
    assert [brand_count(vector, cut) for vector in vectors] == [30, 15, 5]


def test_a_request_beyond_everyone_delivers_everyone() -> None:
    vector = reach_vector(np.array([0.0, 0.2, 1.0]), Bounds(0, 3))
    cut = federation_cut([vector], 1_000)
    assert (cut.first_bin, brand_count(vector, cut), cut.threshold) == (0, 3, 0.0)


def test_bins_are_public_equal_steps_of_the_log_odds() -> None:
    step = 32.0 / SCORE_BINS
    odds = np.exp(np.array([-20.0, -16.0 + 1.5 * step, 0.0, 1.5 * step, 20.0]))
    assert score_bins(odds / (1.0 + odds)).tolist() == [0, 1, 2048, 2049, 4095]
    assert score_bins(np.array([0.0, 1.0])).tolist() == [0, 4095]


def test_the_threshold_is_the_probability_at_the_lower_edge_of_its_bin() -> None:
    scores = np.array([0.02, 0.5, 0.9])
    cut = federation_cut([reach_vector(scores, Bounds(0, 3))], 2)
    assert cut.first_bin == score_bins(scores)[0] + 1
    assert 0.02 < cut.threshold < 0.02 * 1.01


def test_shares_become_counts_rounded_down() -> None:
    assert bounds_of_shares(1_003, floor_share=0.01, cap_share=0.25) == Bounds(10, 250)


def test_floors_that_exceed_the_request_are_refused() -> None:
    vector = reach_vector(np.linspace(0, 1, 50), Bounds(20, 50))
    with pytest.raises(DataError, match="floors 20, request 19"):
        federation_cut([vector], 19)
    assert brand_count(vector, federation_cut([vector], 20)) == 20


@pytest.mark.parametrize("bounds", [Bounds(2, 1), Bounds(-1, 2), Bounds(0, 4)])
def test_bounds_that_do_not_fit_the_people_are_refused(bounds: Bounds) -> None:
    with pytest.raises(DataError, match="0 <= floor <= cap <= 3"):
        reach_vector(np.array([0.1, 0.2, 0.3]), bounds)


def test_a_floor_share_above_the_cap_is_refused() -> None:
    with pytest.raises(DataError, match=r"floor 0\.3, cap 0\.2"):
        bounds_of_shares(100, floor_share=0.3, cap_share=0.2)


def test_ranks_cannot_be_cut_in_common() -> None:
    with pytest.raises(DataError, match="cut each brand by share"):
        score_bins(np.array([0.2, 3.0]))


def test_vectors_of_another_length_and_no_vectors_are_refused() -> None:
    with pytest.raises(DataError, match="wrong length"):
        federation_cut([np.zeros(7, dtype=np.int64)], 1)
    with pytest.raises(DataError, match="no brand takes part"):
        federation_cut([], 1)


def test_a_negative_request_is_refused() -> None:
    with pytest.raises(DataError, match="value: -1"):
        federation_cut([np.zeros(SCORE_BINS + 1, dtype=np.int64)], -1)
