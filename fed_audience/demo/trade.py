"""How often people visit and buy, block by block: rhythm, intent, season, churn.

All generated. In each block of ``BLOCK_DAYS`` days a customer visits and orders at Poisson rates:

    log order rate = brand + season + propensity + steady(traits) + response(traits) * intent
                     + rhythm + sale(deal) - satiety + noise of person and brand

``intent`` is an AR(1) process that shows in visits, carts and clicks before it shows in orders;
how much of it becomes a purchase depends on traits that show only in behaviour. ``Drivers`` weigh
the terms; with other drivers the same behaviour foretells something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.demo.columns import DAY, START_US
from fed_audience.demo.draws import logistic
from fed_audience.demo.settings import BLOCK_DAYS, BLOCKS, Brand, Drivers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.demo.people import Traits

INTENT_MEMORY: Final = 0.82
"""Correlation of intent between neighbouring blocks; 0.67 over the 30 days of a label."""

SATIETY_BLOCKS: Final = 10.0
"""Blocks after which an order puts off the next one only a third as much."""

MOST_ORDERS: Final = 8


@dataclass(frozen=True, slots=True)
class Trade:
    """What happened: counts and intent per customer and block, and the rate after the as-of."""

    orders: NDArray[np.int64]
    visits: NDArray[np.int64]
    intent: NDArray[np.float64]
    coming_orders: NDArray[np.float64]
    """Expected orders in the 30 days after the as-of, from everything that is hidden."""


def response(traits: Traits) -> NDArray[np.float64]:
    """Return how strongly intent turns into orders: who clicks mail buys, who follows ads looks."""
    decided = logistic(2.2 * (traits.mailer - traits.paid))
    window_shopping = logistic(2.5 * (traits.mobile + traits.curious - 0.6))
    return 1.8 * decided * (1.0 - 0.75 * window_shopping) + 0.1


def steady(traits: Traits) -> NDArray[np.float64]:
    """Return the lasting log-rate effect of pairs of traits; none of it is linear."""
    parents_of_taste = logistic(3.0 * traits.family) * np.tanh(1.5 * traits.premium)
    bargain_evenings = logistic(3.0 * (traits.deal - 0.4)) * np.tanh(1.5 * traits.evening)
    return 0.6 * parents_of_taste - 0.55 * bargain_evenings


def simulate(
    brand: Brand,
    traits: Traits,
    created: NDArray[np.int64],
    *,
    drivers: Drivers,
    rng: np.random.Generator,
) -> Trade:
    """Play all blocks for customers who registered at ``created`` (microseconds)."""
    size = created.size
    joined = (created - START_US) // (BLOCK_DAYS * DAY)
    leaves = np.maximum(joined, 0) + rng.exponential(
        drivers.lifetime * np.exp(0.3 * traits.regular), size
    )
    lasting = (
        brand.order_rate
        + drivers.base
        + drivers.propensity * traits.propensity
        + drivers.steady * steady(traits)
        + rng.normal(0.0, brand.noise, size)
    )
    visiting = brand.visit_rate + 0.5 * traits.curious + 0.15 * traits.propensity
    strength = drivers.response * response(traits) + drivers.intent
    cycle = np.clip(np.exp(1.3 - 0.35 * traits.propensity), 1.0, 12.0)
    rhythm_strength = drivers.rhythm * logistic(1.8 * traits.regular)
    on_sale, season = brand.on_sale(), brand.season()
    orders = np.zeros((size, BLOCKS), dtype=np.int64)
    visits = np.zeros((size, BLOCKS), dtype=np.int64)
    intent = np.empty((size, BLOCKS))
    since = rng.geometric(0.2, size).astype(np.float64)
    coming = np.zeros(size)
    now = rng.normal(size=size)
    for block in range(BLOCKS + 2):
        active = (joined <= block) & (block < leaves)
        rhythm = np.exp(-(((since / cycle - 1.0) / 0.35) ** 2)) - 0.25
        at = block % 24 + 24 if block >= BLOCKS else block
        log_rate = lasting + season[at] + strength * now + rhythm_strength * rhythm
        log_rate -= drivers.satiety * np.exp(-since / SATIETY_BLOCKS)
        log_rate += on_sale[at] * (0.35 * np.tanh(traits.deal) + 0.1)
        rate = active * np.exp(np.minimum(log_rate, 1.5))
        if block >= BLOCKS:
            coming += rate
        else:
            orders[:, block] = np.minimum(rng.poisson(rate), MOST_ORDERS)
            visits[:, block] = rng.poisson(active * np.exp(np.minimum(visiting + 0.6 * now, 2.5)))
            intent[:, block] = now
            since = np.where(orders[:, block] > 0, 1.0, since + 1.0)
        now = INTENT_MEMORY * now + np.sqrt(1.0 - INTENT_MEMORY**2) * rng.normal(size=size)
    return Trade(orders, visits, intent, coming)
