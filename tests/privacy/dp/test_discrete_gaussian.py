"""The noise has the distribution it claims, and no randomness but the operating system's."""

from __future__ import annotations

import hashlib
from math import erf, exp, sqrt

import numpy as np
import pytest

from fed_audience.errors import ConfigError
from fed_audience.privacy.dp import discrete_gaussian as noise
from fed_audience.privacy.dp.discrete_gaussian import discrete_gaussian

DRAWS = 60_000
FAR = 6.0
"""Standard errors that a fair draw leaves once in 500 million."""


def exact(variance: int, reach: int = 60) -> dict[int, float]:
    weights = {x: exp(-x * x / (2 * variance)) for x in range(-reach, reach + 1)}
    total = sum(weights.values())
    return {x: weight / total for x, weight in weights.items()}


def require_exact(drawn: np.ndarray, variance: int) -> None:
    for x, probability in exact(variance).items():
        spread = sqrt(DRAWS * probability * (1 - probability)) + 1
        assert abs((drawn == x).sum() - DRAWS * probability) < FAR * spread, x


@pytest.mark.parametrize("variance", [1, 2, 3, 10, 16])
def test_every_integer_has_its_exact_probability(variance: int) -> None:
    require_exact(discrete_gaussian(variance, DRAWS), variance)


@pytest.mark.parametrize("variance", [1, 5])
def test_draws_that_agree_with_their_bound_are_decided_by_later_bits(
    variance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With words of four bits every eighth comparison or so goes on."""
    monkeypatch.setattr(noise, "_WORD_BITS", 4)
    monkeypatch.setattr(noise, "_ALWAYS", 16)
    require_exact(discrete_gaussian(variance, DRAWS), variance)


@pytest.mark.parametrize("variance", [2**20 + 7, 2**44, 3**40, 2**90])
def test_wide_noise_has_its_mean_its_variance_and_its_tails(variance: int) -> None:
    standard = discrete_gaussian(variance, DRAWS) / sqrt(variance)
    assert abs(standard.mean()) < FAR / sqrt(DRAWS)
    assert abs(standard.var() - 1) < FAR * sqrt(2 / DRAWS)
    for beyond in (0.5, 1.0, 2.0, 3.0):
        share = 1 - erf(beyond / sqrt(2))
        found = (np.abs(standard) > beyond).mean()
        assert abs(found - share) < FAR * sqrt(share * (1 - share) / DRAWS), beyond


def test_the_seed_of_a_run_does_not_reach_it() -> None:
    np.random.seed(1)  # noqa: NPY002 - the generator that must not matter
    first = discrete_gaussian(2**40, 20)
    np.random.seed(1)  # noqa: NPY002 - the same
    assert (first != discrete_gaussian(2**40, 20)).any()


def test_nothing_but_the_given_bytes_decides() -> None:
    def stream() -> object:
        state = hashlib.shake_256(b"a test").digest(2**20)
        place = 0

        def take(count: int) -> bytes:
            nonlocal place
            place += count
            return state[place - count : place]

        return take

    one, other = (discrete_gaussian(2**30, 500, random=stream()) for _ in range(2))  # type: ignore[arg-type]
    assert (one == other).all()


@pytest.mark.parametrize("variance", [0, -1, 2**100 + 1])
def test_a_variance_that_cannot_be_drawn_is_refused(variance: int) -> None:
    with pytest.raises(ConfigError, match="noise of this variance"):
        discrete_gaussian(variance, 1)


def test_no_draw_is_asked_for() -> None:
    assert len(discrete_gaussian(4, 0)) == 0
