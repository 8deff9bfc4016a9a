"""Bounds from guesses: exact intervals, below the truth for known noise, and near it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.privacy.epsilon_bounds import highest_rates, lower_bounds
from fed_audience.privacy.dp.accounting import epsilon_of

DELTA = 1e-5


def test_no_success_has_the_interval_in_closed_form() -> None:
    for trials in (1, 20, 200):
        highest = highest_rates(trials, 0.025)
        assert highest[0] == pytest.approx(1 - 0.025 ** (1 / trials))
        assert highest[trials] == 1.0
        assert (np.diff(highest) > 0).all()


def test_intervals_are_those_of_the_tables() -> None:
    """Clopper & Pearson's 95 % interval of 5 successes in 20 trials is 0.0866 to 0.4910."""
    highest = highest_rates(20, 0.025)
    assert highest[5] == pytest.approx(0.4910, abs=1e-4)
    assert 1 - highest[15] == pytest.approx(0.0866, abs=1e-4)


def of_gaussian(mu: float, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=runs) + mu, rng.normal(size=runs)


@pytest.mark.parametrize("mu", [0.25, 0.5, 1.0, 2.0])
def test_bound_of_gaussian_noise_is_rarely_above_the_truth_and_never_far(mu: float) -> None:
    """95 % of the bounds must hold; of 40 tries more than 6 failures have a chance below 0.3 %."""
    found = [lower_bounds(*of_gaussian(mu, 400, seed), DELTA) for seed in range(40)]
    assert sum(bound.mu > mu for bound in found) <= 6
    assert sum(bound.epsilon > epsilon_of(mu, DELTA) for bound in found) <= 6
    assert max(bound.mu for bound in found) < mu + 0.3


def test_bound_rises_near_the_truth_with_many_runs() -> None:
    bound = lower_bounds(*of_gaussian(1.5, 2_000, 1), DELTA)
    assert 1.2 < bound.mu < 1.5
    assert bound.epsilon_of_mu == epsilon_of(bound.mu, DELTA)
    assert 0 < bound.epsilon < bound.epsilon_of_mu


def test_nothing_is_proved_of_what_ignores_the_canary() -> None:
    bound = lower_bounds(*of_gaussian(0.0, 1_000, 2), DELTA)
    assert bound.mu < 0.1
    assert bound.epsilon < 0.1


def test_a_certain_guess_proves_what_the_number_of_runs_allows() -> None:
    runs = 200
    bound = lower_bounds(np.ones(runs), np.zeros(runs), DELTA)
    assert (bound.true_positives, bound.false_positives, bound.trials) == (100, 0, 100)
    highest = 1 - 0.025 ** (1 / 100)
    assert bound.epsilon == pytest.approx(np.log((1 - highest - DELTA) / highest))


def test_the_threshold_is_not_chosen_from_the_runs_it_is_judged_by() -> None:
    """A first half that separates well and a second that does not prove nothing."""
    rng = np.random.default_rng(3)
    misleading = np.concatenate((rng.normal(size=100) + 10, rng.normal(size=100)))
    bound = lower_bounds(misleading, rng.normal(size=200), DELTA)
    assert bound.mu == 0.0


def test_unequal_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="as many runs"):
        lower_bounds(np.zeros(4), np.zeros(6), DELTA)
