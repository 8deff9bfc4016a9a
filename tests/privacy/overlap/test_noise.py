from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest

from fed_audience.privacy.overlap import noise
from fed_audience.privacy.overlap.noise import clipped_laplace, discrete_laplace, reach, release
from fed_audience.privacy.overlap.terms import Policy

POLICY = Policy("share_partner")


@pytest.mark.parametrize("epsilon", [Fraction(1, 2), Fraction(7, 10), Fraction(1)])
def test_the_noise_is_discrete_laplace(epsilon: Fraction) -> None:
    draws = 20_000
    counts = Counter(discrete_laplace(epsilon) for _ in range(draws))
    ratio = math.exp(-epsilon)
    for value in range(-6, 7):
        expected = draws * (1 - ratio) / (1 + ratio) * ratio ** abs(value)
        assert abs(counts[value] - expected) < 6 * math.sqrt(expected), value
    beyond = sum(count for value, count in counts.items() if abs(value) > 6)
    expected = draws * 2 * ratio**7 / (1 + ratio)
    assert abs(beyond - expected) < 6 * math.sqrt(expected)


def test_the_noise_stays_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    epsilon = Fraction(1, 10)
    bound = reach(epsilon)
    ratio = math.exp(-epsilon)
    assert 2 * ratio ** (bound + 1) / (1 + ratio) < 2**-40
    for drawn, kept in ((5, 5), (10_000, bound), (-10_000, -bound)):
        monkeypatch.setattr(noise, "discrete_laplace", lambda _, drawn=drawn: drawn)
        assert clipped_laplace(epsilon) == kept


@pytest.mark.parametrize(
    ("noisy", "count"),
    [(-3, None), (49, None), (50, 50), (54, 50), (55, 60), (1_234, 1_230), (5_000, 2_000)],
)
def test_a_count_is_told_from_the_threshold_on_rounded(noisy: int, count: int | None) -> None:
    assert release(noisy, POLICY, most=2_000).count == count


def test_the_margin_holds_in_95_of_100_queries() -> None:
    margin = release(500, POLICY, most=1_000).margin
    ratio = math.exp(-POLICY.exact_epsilon)
    outside = 2 * ratio ** (margin - 5 + 1) / (1 + ratio)
    assert outside <= 0.05 < outside / ratio**2
