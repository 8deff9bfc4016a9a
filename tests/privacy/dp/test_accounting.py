"""Accounting agrees with the definition, with itself and with ``dp-accounting``."""

from itertools import pairwise
from math import exp, inf, nan, sqrt
from statistics import NormalDist

import dp_accounting
import pytest
from dp_accounting import pld
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import ConfigError
from fed_audience.privacy.dp.accounting import delta_of, epsilon_of, mu_of


@pytest.mark.parametrize("mu", [0.001, 0.05, 0.2, 0.7, 1.0, 3.0, 8.0, 20.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-9, 1e-6, 1e-3])
def test_one_gaussian_is_as_private_as_another_accountant_says(mu: float, delta: float) -> None:
    theirs = dp_accounting.get_epsilon_gaussian(1 / mu, delta)
    assert epsilon_of(mu, delta) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-6), (1, 1e-6), (4, 1e-6), (8, 1e-12)])
def test_the_noise_for_a_promise_is_what_another_accountant_asks_for(
    epsilon: float, delta: float
) -> None:
    theirs = dp_accounting.get_sigma_gaussian(epsilon, delta)
    assert 1 / mu_of(epsilon, delta) == pytest.approx(theirs, rel=1e-6)


def test_six_hundred_releases_add_up_as_their_loss_distribution_does() -> None:
    accountant = pld.PLDAccountant()
    accountant.compose(dp_accounting.GaussianDpEvent(30), 600)
    ours = epsilon_of(sqrt(600) / 30, 1e-6)
    assert ours == pytest.approx(3.8855, abs=5e-5)
    assert ours == pytest.approx(accountant.get_epsilon(1e-6), rel=1e-4)


@pytest.mark.parametrize(("mu", "epsilon"), [(0.5, 0.0), (0.5, 0.1), (2.0, 0.7), (2.0, 5.0)])
def test_delta_is_that_of_the_definition(mu: float, epsilon: float) -> None:
    below = NormalDist().cdf
    expected = below(mu / 2 - epsilon / mu) - exp(epsilon) * below(-mu / 2 - epsilon / mu)
    assert delta_of(mu, epsilon) == pytest.approx(expected, rel=1e-12)


@given(mu=st.floats(1e-3, 20), delta=st.floats(1e-12, 1e-2))
def test_epsilon_is_the_smallest_that_keeps_the_promise(mu: float, delta: float) -> None:
    epsilon = epsilon_of(mu, delta)
    assert delta_of(mu, epsilon) <= delta
    if epsilon:
        assert delta_of(mu, epsilon) == pytest.approx(delta, rel=1e-6)


@given(epsilon=st.floats(1e-3, 100), delta=st.floats(1e-12, 1e-2))
def test_noise_for_a_promise_keeps_it(epsilon: float, delta: float) -> None:
    mu = mu_of(epsilon, delta)
    assert delta_of(mu, epsilon) <= delta
    assert epsilon_of(mu, delta) == pytest.approx(epsilon, rel=1e-6)


@given(mu=st.floats(1e-3, 20), delta=st.floats(1e-12, 1e-2), more=st.floats(1.01, 10))
def test_more_noise_and_more_delta_promise_more(mu: float, delta: float, more: float) -> None:
    assert epsilon_of(mu / more, delta) <= epsilon_of(mu, delta)
    assert epsilon_of(mu, min(delta * more, 0.5)) <= epsilon_of(mu, delta)


def test_the_far_tail_has_no_seam() -> None:
    """Mills' ratio changes its formula at 20; epsilon / mu runs through that point."""
    deltas = [delta_of(0.5, epsilon / 100) for epsilon in range(960, 1040)]
    steps = [after / before for before, after in pairwise(deltas)]
    assert all(later < earlier < 1 for earlier, later in pairwise(steps))


def test_nothing_sent_costs_nothing() -> None:
    assert delta_of(0.0, 1.0) == 0.0
    assert epsilon_of(0.0, 1e-6) == 0.0


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, nan, inf])
def test_a_delta_that_is_no_probability_is_refused(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta is out of range"):
        epsilon_of(1.0, delta)
    with pytest.raises(ConfigError, match="delta is out of range"):
        mu_of(1.0, delta)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, nan, inf])
def test_an_epsilon_that_promises_nothing_is_refused(epsilon: float) -> None:
    with pytest.raises(ConfigError, match="epsilon is out of range"):
        mu_of(epsilon, 1e-6)


@pytest.mark.parametrize("mu", [-1.0, nan, inf])
def test_a_mu_that_is_none_is_refused(mu: float) -> None:
    with pytest.raises(ConfigError, match="mu is out of range"):
        epsilon_of(mu, 1e-6)
