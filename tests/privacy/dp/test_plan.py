"""The plan spends exactly what was promised, and tells what holds when sites collude."""

from __future__ import annotations

import dp_accounting
import pytest
from dp_accounting import pld

from fed_audience.errors import ConfigError
from fed_audience.privacy.dp.accounting import mu_of
from fed_audience.privacy.dp.plan import PrivacyPlan, PrivacyTerms, Release, usual_colluders

TERMS = PrivacyTerms(1, 1e-6)
REACH: dict[Release, int] = {"bins": 3000, "base_rate": 1024, "trees": 65_540}


def plan(terms: PrivacyTerms = TERMS, **changes: int | bool) -> PrivacyPlan:
    fields = {"sites": 9, "secure": True, "numeric": 6, "steps": 39} | changes
    return PrivacyPlan(terms, **fields)  # type: ignore[arg-type]


def noise_multiplier(of: PrivacyPlan, what: Release, honest: int) -> float:
    return float((honest * of.site_variance(what, REACH[what])) ** 0.5 / REACH[what])


def test_all_spendings_together_are_what_was_promised() -> None:
    assert plan().mu == pytest.approx(mu_of(1, 1e-6), rel=1e-12)
    shares = {spent["what"]: spent["share"] for spent in plan().document()["spent_on"]}
    assert shares == pytest.approx({"bins": 0.1, "base_rate": 0.01, "trees": 0.89})


def test_without_numbers_no_bins_are_paid_for() -> None:
    shares = {spent["what"]: spent["share"] for spent in plan(numeric=0).document()["spent_on"]}
    assert shares == pytest.approx({"base_rate": 0.01, "trees": 0.99})


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 4.0, 8.0])
def test_another_accountant_finds_no_more_epsilon_in_its_noise(epsilon: float) -> None:
    """The noise of the sites that are honest, at the rounded variances that are drawn."""
    of = plan(PrivacyTerms(epsilon, 1e-6))
    accountant = pld.PLDAccountant()
    for spending in of.spendings:
        multiplier = noise_multiplier(of, spending.what, of.honest)
        accountant.compose(dp_accounting.GaussianDpEvent(multiplier), spending.releases)
    found = accountant.get_epsilon(1e-6)
    assert found == pytest.approx(epsilon, rel=2e-4)


def test_the_promise_holds_against_the_declared_colluders_and_fades_beyond() -> None:
    of = plan()
    assert of.colluders == 3
    epsilons = [of.epsilon_against(count) for count in range(9)]
    assert epsilons == sorted(epsilons)
    assert epsilons[3] == pytest.approx(1.0, rel=1e-9)
    assert epsilons[0] < 0.9
    assert epsilons[8] > 2


def test_colluders_are_drowned_by_more_noise_of_each_site() -> None:
    none = plan(PrivacyTerms(1, 1e-6, 0))
    assert plan().site_variance("trees", 65_540) == pytest.approx(
        none.site_variance("trees", 65_540) * 9 / 6, rel=1e-9
    )


def test_without_masks_every_site_adds_all_the_noise() -> None:
    alone, open_ = plan(sites=1), plan(secure=False)
    assert open_.site_variance("trees", 65_540) == alone.site_variance("trees", 65_540)
    assert {open_.epsilon_against(count) for count in range(9)} == {open_.epsilon_against(0)}
    assert open_.sum_deviation("trees", 100) == pytest.approx(
        3 * alone.sum_deviation("trees", 100), rel=1e-6
    )


def test_of_two_sites_each_hides_the_other_alone() -> None:
    assert [usual_colluders(sites) for sites in (1, 2, 3, 9, 10)] == [0, 1, 1, 3, 3]


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf")])
def test_an_epsilon_that_promises_nothing_is_refused(epsilon: float) -> None:
    with pytest.raises(ConfigError, match="epsilon promises nothing"):
        PrivacyTerms(epsilon, 1e-6)


@pytest.mark.parametrize("delta", [0.0, 1.0, 2.0, -1e-6])
def test_a_delta_that_promises_nothing_is_refused(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta promises nothing"):
        PrivacyTerms(1, delta)


def test_a_delta_of_one_row_is_refused() -> None:
    PrivacyTerms(1, 1e-4).require_delta_below(9_999)
    with pytest.raises(ConfigError, match=r"delta is too large.*below 1 / 10,000"):
        PrivacyTerms(1, 1e-4).require_delta_below(10_000)


def test_a_run_in_which_every_site_colludes_is_refused() -> None:
    with pytest.raises(ConfigError, match="every site may collude"):
        plan(PrivacyTerms(1, 1e-6, 9))
