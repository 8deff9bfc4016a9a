"""A feature whose values the seed site does not know is left out where it can be spared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fed_audience.simulate.carry_over import carried_over, unknown_share
from fed_audience.simulate.problem import read_problem

if TYPE_CHECKING:
    from tests.simulate.conftest import MakeSettings


def households(*, spare: bool) -> dict[str, Any]:
    """Married people buy. At B the role of the married has another word than at A."""
    random = np.random.default_rng(5)
    rows = 3_000
    married = random.random(rows) < 0.5
    brand = np.where(np.arange(rows) < 2_000, "A", "B")
    role = np.where(married, np.where(brand == "A", "husband", "wife"), "single")
    table: dict[str, Any] = {
        "brand": brand,
        "role": role,
        "age": random.integers(20, 60, rows).astype(float) + 40.0 * (brand == "B"),
        "bought": np.where(random.random(rows) < np.where(married, 0.7, 0.2), "yes", "no"),
    }
    if spare:
        table["status"] = np.where(married, "married", "not")
    return table


def kept(make: MakeSettings, table: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    chosen = make(table, site_column="brand")
    problem = read_problem(chosen)
    seed, target = np.arange(2_000), np.arange(2_000, 3_000)
    features, left_out = carried_over(problem, chosen, problem.features, seed, target)
    return [feature.name for feature in features], left_out


def test_it_is_left_out_when_another_says_the_same(settings: MakeSettings) -> None:
    names, left_out = kept(settings, households(spare=True))
    assert names == ["age", "status"]
    assert list(left_out) == ["role"]
    assert "of the rows hold values unknown to the seed site" in left_out["role"]


def test_it_stays_when_the_seed_site_ranks_by_it_alone(settings: MakeSettings) -> None:
    names, left_out = kept(settings, households(spare=False))
    assert names == ["role", "age"]
    assert left_out == {}


@pytest.mark.parametrize(
    ("known", "expected"), [(19, 1.0), (20, 0.0)], ids=["too few to know", "enough to know"]
)
def test_a_value_is_known_from_twenty_rows_on(
    settings: MakeSettings, known: int, expected: float
) -> None:
    table = households(spare=True)
    table["role"][:known] = "wife"
    table["role"][2_000:] = "wife"
    problem = read_problem(settings(table, site_column="brand"))
    role = next(feature for feature in problem.features if feature.name == "role")
    share = unknown_share(problem, role, np.arange(2_000), np.arange(2_000, 3_000))
    assert share == expected


def test_gaps_are_a_value_and_numbers_beyond_the_range_are_known(settings: MakeSettings) -> None:
    table = households(spare=True)
    table["age"][2_500:] = np.nan
    problem = read_problem(settings(table, site_column="brand"))
    age = next(feature for feature in problem.features if feature.name == "age")
    assert unknown_share(problem, age, np.arange(2_000), np.arange(2_000, 2_500)) == 0.0
    assert unknown_share(problem, age, np.arange(2_000), np.arange(2_000, 3_000)) == 0.5
