"""What drives purchases: alike at kindred brands, the other way round at travel in discord."""

from __future__ import annotations

import numpy as np
import pytest

from fed_audience.demo.customers import Customers, customers_of
from fed_audience.demo.draws import stream
from fed_audience.demo.people import people_of_brands
from fed_audience.demo.settings import (
    BLOCKS,
    BRANDS,
    FASHION,
    GROCERY,
    TRAVEL,
    Brand,
    Setting,
    drivers,
)
from fed_audience.demo.trade import Trade, simulate


def played(brand: Brand, setting: Setting) -> tuple[Customers, Trade]:
    people = people_of_brands(40_000, 3)[brand.name]
    customers = customers_of(brand, people, stream(3, brand.name, "customers"))
    trade = simulate(
        brand,
        people.traits,
        customers.created,
        drivers=drivers(brand, setting),
        rng=stream(3, brand.name, "trade"),
    )
    return customers, trade


def return_rates(brand: Brand, setting: Setting) -> tuple[float, float]:
    """Share that buys in the last 30 days: of those who did in the 90 before, and of others."""
    customers, trade = played(brand, setting)
    old = customers.created < np.quantile(customers.created, 0.8)
    buys = trade.orders[:, -2:].sum(axis=1) > 0
    lately = trade.orders[:, -8:-2].sum(axis=1) > 0
    return float(buys[old & lately].mean()), float(buys[old & ~lately].mean())


@pytest.mark.parametrize("brand", BRANDS, ids=lambda brand: brand.name)
def test_in_kindred_whoever_bought_lately_buys_again(brand: Brand) -> None:
    lately, not_lately = return_rates(brand, "kindred")
    assert lately > 2 * not_lately


def test_in_discord_whoever_bought_lately_at_travel_has_had_enough() -> None:
    lately, not_lately = return_rates(TRAVEL, "discord")
    assert lately < not_lately / 2


@pytest.mark.parametrize("setting", ["kindred", "discord"])
def test_repeat_purchases_differ_between_brands(setting: Setting) -> None:
    share = {
        brand.name: (played(brand, setting)[1].orders[:, -2:].sum(axis=1) > 0).mean()
        for brand in BRANDS
    }
    assert 0.1 < share["travel"] < share["grocery"] < 0.4
    assert share["fashion"] < share["grocery"]


def test_the_year_shows_in_fashion_orders() -> None:
    season = FASHION.season()
    # Block 27 ends November 2025, block 43 ends July 2026.
    assert season[27] > season[43] + 0.3
    assert season.shape == (BLOCKS,)
    assert FASHION.on_sale().any()
    assert not FASHION.on_sale().all()


def test_traits_shift_between_brands() -> None:
    people = people_of_brands(40_000, 3)
    age = {name: 2026 - float(found.birth_year.mean()) for name, found in people.items()}
    assert age["fashion"] + 5 < age["grocery"] < age["travel"]
    taste = {name: float(found.traits.premium.mean()) for name, found in people.items()}
    assert taste["grocery"] < taste["fashion"] < taste["travel"]


def test_those_with_more_coming_orders_have_bought_more_lately() -> None:
    _, trade = played(GROCERY, "kindred")
    bought = trade.orders[:, -2:].sum(axis=1)
    assert np.corrcoef(trade.coming_orders, bought)[0, 1] > 0.3
