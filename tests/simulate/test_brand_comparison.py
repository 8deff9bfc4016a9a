"""What brands gain by something of their own, in numbers and in words."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from fed_audience.simulate.brand_summary import brand_meaning, brand_table
from fed_audience.simulate.outcome import BrandComparison, BrandOutcome, Measured
from fed_audience.simulate.run import simulate
from fed_audience.simulate.summary import next_step
from tests.simulate.conftest import customers

if TYPE_CHECKING:
    from tests.simulate.conftest import MakeSettings, Table


def contrary_brands() -> Table:
    """At travel, whoever would buy elsewhere does not."""
    table = customers(6_000)
    flipped = np.where(table["bought"] == "yes", "no", "yes")
    table["bought"] = np.where(table["brand"] == "travel", flipped, table["bought"])
    return table


def test_a_contrary_brand_gains_by_trees_of_its_own(settings: MakeSettings) -> None:
    outcome = simulate(settings(contrary_brands(), site_column="brand", compare=True))
    assert outcome.brand_comparison is not None
    assert outcome.brand_comparison.measure == "auc"
    brands = {brand.name: brand for brand in outcome.brand_comparison.brands}
    assert tuple(brands) == outcome.sites
    travel = brands["travel"]
    assert travel.trunk is not None
    assert travel.continued is not None
    assert travel.alone is not None
    assert travel.brand_feature is not None
    assert travel.chosen
    assert travel.rounds > 0
    assert travel.trunk.value < 0.5
    assert travel.continued.value > 0.6
    assert travel.continued.value > travel.alone.value - 0.02
    assert travel.brand_feature.value > travel.trunk.value + 0.1
    assert travel.continued.low < travel.continued.value < travel.continued.high
    for site in outcome.per_site:
        trunk = brands[site.name].trunk
        assert trunk is not None
        assert trunk.value == pytest.approx(site.auc_federated)
    assert outcome.model_sha256.federated == outcome.model_sha256.pooled


def test_without_being_asked_nothing_more_is_trained(settings: MakeSettings) -> None:
    outcome = simulate(settings(contrary_brands(), site_column="brand"))
    assert outcome.brand_comparison is None
    assert "loses" in {site.verdict for site in outcome.per_site}
    assert "--compare" in next_step(outcome)


def test_brands_of_counts_are_compared_by_their_deviance(settings: MakeSettings) -> None:
    table = customers(2_000)
    rate = np.exp(np.where(table["brand"] == "travel", 0.3, -0.3) * table["visits"])
    table["orders"] = np.random.default_rng(0).poisson(rate)
    outcome = simulate(
        settings(
            table,
            label="orders",
            task="demand",
            drop=("bought",),
            site_column="brand",
            compare=True,
        )
    )
    found = outcome.brand_comparison
    assert found is not None
    assert (found.measure, found.higher_is_better) == ("deviance", False)
    travel = next(brand for brand in found.brands if brand.name == "travel")
    assert travel.trunk is not None
    assert travel.brand_base is not None
    assert travel.continued is not None
    assert travel.continued.value < travel.trunk.value
    assert travel.brand_base.value < travel.trunk.value


def drawn(comparison: BrandComparison) -> str:
    page = io.StringIO()
    Console(width=100, file=page).print(brand_table(comparison))
    return page.getvalue()


def test_the_table_marks_who_chose_and_leaves_out_what_is_unknown() -> None:
    def at(value: float) -> Measured:
        return Measured(value, value - 0.01, value + 0.01)

    brands = (
        BrandOutcome("a", at(0.7), at(0.71), at(0.72), at(0.75), True, 40, at(0.74), at(0.7)),
        BrandOutcome("b", at(0.8), at(0.8), at(0.8), at(0.8), False, 0, None, None),
        BrandOutcome("c", None, None, None, None, False, 0, None, None),
    )
    comparison = BrandComparison("auc", True, brands)
    lines = drawn(comparison).splitlines()
    cells = [" ".join(line.split()) for line in lines]
    assert cells[1] == "a 0.7000 0.7100 0.7200 0.7500* 0.7400 0.7000 0.0100"
    assert cells[2] == "b 0.8000 0.8000 0.8000 0.8000 - - 0.0100"
    assert cells[3] == "c - - - - - - -"
    (said,) = brand_meaning(comparison)
    assert "chosen by a; +0.0500 to +0.0500" in said
    (none,) = brand_meaning(BrandComparison("auc", True, brands[1:]))
    assert "No brand gains" in none
