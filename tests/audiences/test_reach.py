from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.audiences.reach import (
    SHARES,
    count_of_share,
    cut_by_count,
    cut_by_share,
    reach_curve,
)
from fed_audience.errors import DataError

probabilities = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60)
shares = st.decimals(0, 1, places=4).map(float)


@given(shares, st.integers(0, 10**9))
def test_a_share_of_people_is_rounded_down_exactly(share: float, people: int) -> None:
    assert count_of_share(share, people) == Fraction(repr(share)) * people // 1


def test_decimal_shares_do_not_lose_a_person_to_binary_fractions() -> None:
    assert count_of_share(0.29, 100) == 29
    assert int(0.29 * 100) == 28


@given(probabilities, shares)
def test_a_cut_is_never_above_the_request_and_below_it_by_no_one(
    scores: list[float], share: float
) -> None:
    ids = pa.array([f"c{n}" for n in range(len(scores))])
    cut = cut_by_share(np.array(scores), ids, share, key=b"k")
    assert cut.count == cut.requested <= share * len(scores) + 1e-9
    left = set(range(len(scores))) - set(cut.chosen.tolist())
    assert all(scores[person] <= min(scores[c] for c in cut.chosen) for person in left if cut.count)


@given(probabilities, shares)
def test_the_curve_announces_what_the_cut_delivers(scores: list[float], share: float) -> None:
    ids = pa.array([f"c{n}" for n in range(len(scores))])
    point = reach_curve(np.array(scores)).at(share)
    cut = cut_by_share(np.array(scores), ids, share, key=b"k")
    assert (point.count, point.threshold) == (cut.count, cut.threshold)
    assert point.expected == pytest.approx(sum(scores[c] for c in cut.chosen))


@given(probabilities)
def test_reaching_further_lowers_threshold_and_lift_and_adds_positives(
    scores: list[float],
) -> None:
    points = [p for p in reach_curve(np.array(scores)).points() if p.count]
    for nearer, farther in itertools.pairwise(points):
        assert farther.count >= nearer.count
        assert farther.threshold <= nearer.threshold  # type: ignore[operator]
        assert farther.expected >= nearer.expected  # type: ignore[operator]
        if nearer.lift is not None:
            assert farther.lift <= nearer.lift + 1e-9  # type: ignore[operator]


def test_lift_is_the_mean_probability_reached_over_that_of_everyone() -> None:
    point = reach_curve(np.array([0.1, 0.5, 0.1, 0.1])).at(0.25)
    assert (point.count, point.threshold, point.expected) == (1, 0.5, 0.5)
    assert point.lift == pytest.approx(0.5 / 0.2)


def test_everyone_has_lift_one() -> None:
    assert reach_curve(np.array([0.1, 0.5, 0.3])).at(1.0).lift == pytest.approx(1.0)


def test_a_rank_promises_no_positives() -> None:
    point = reach_curve(np.array([-2.0, 7.5, 0.0]), kind="rank").at(0.4)
    assert (point.count, point.threshold) == (1, 7.5)
    assert point.expected is None
    assert point.lift is None


def test_amounts_add_up_and_may_be_any_number() -> None:
    point = reach_curve(np.array([0.5, 6.5, 2.0, -1.0]), "amount").at(0.5)
    assert (point.count, point.threshold, point.expected) == (2, 2.0, 8.5)
    assert point.lift == pytest.approx(8.5 / 2 / 2.0)


def test_a_reach_too_small_for_anyone_has_no_threshold() -> None:
    point = reach_curve(np.array([0.4, 0.2])).at(0.4)
    assert (point.count, point.threshold, point.expected) == (0, None, 0.0)


def test_nobody_eligible_gives_an_empty_curve_and_cut() -> None:
    nobody = np.array([], dtype=np.float64)
    assert {p.count for p in reach_curve(nobody).points()} == {0}
    assert cut_by_share(nobody, pa.array([], pa.string()), 0.5, key=b"k").count == 0


def test_scores_of_zero_have_no_lift() -> None:
    assert reach_curve(np.zeros(4)).at(0.5).lift is None


def test_the_drawn_shares_rise_to_everyone() -> None:
    assert list(SHARES) == sorted(set(SHARES))
    assert SHARES[-1] == 1.0


def test_asking_for_more_people_than_there_are_gives_all_and_keeps_the_request() -> None:
    cut = cut_by_count(np.array([0.2, 0.1]), pa.array(["a", "b"]), 10, key=b"k")
    assert (cut.requested, cut.count, cut.threshold) == (10, 2, 0.1)


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_a_share_outside_zero_to_one_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="allowed: 0 to 1"):
        count_of_share(share, 10)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(DataError, match="value: -1"):
        cut_by_count(np.array([0.2]), pa.array(["a"]), -1, key=b"k")


@pytest.mark.parametrize("scores", [[0.2, 1.2], [-0.1, 0.5]])
def test_a_rank_passed_as_a_probability_is_refused(scores: list[float]) -> None:
    with pytest.raises(DataError, match="a rank or an amount"):
        reach_curve(np.array(scores))


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 are not"):
        reach_curve(np.array([0.2, np.nan]))
