"""Web sessions and events: visits that show intent before an order does. All generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from fed_audience.demo.behaviour import arrival, moments, spread
from fed_audience.demo.columns import (
    AS_OF_US,
    MINUTE,
    SECOND,
    instants,
    picked,
    table,
    words,
)
from fed_audience.demo.customers import WEB
from fed_audience.demo.draws import happens, logistic
from fed_audience.demo.settings import BLOCKS, RECENT_BLOCKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.demo.customers import Customers, Identities
    from fed_audience.demo.people import Traits
    from fed_audience.demo.settings import Brand
    from fed_audience.demo.shopping import Orders
    from fed_audience.demo.trade import Trade

CHANNELS: Final = ("paid", "organic", "email", "direct", "affiliate", "social")
DEVICES: Final = ("mobile", "desktop", "tablet")
EVENTS: Final = ("product_view", "add_to_cart", "checkout", "search", "support_ticket")
VIEW, CART, CHECKOUT, SEARCH, TICKET = range(5)
STRANGERS: Final = 0.04
"""Share of visits by cookies that no customer owns."""


@dataclass(frozen=True, slots=True)
class Visits:
    """One row a visit; ``customer`` is who came, ``cookie`` the identity row seen, -1 for none."""

    customer: NDArray[np.int64]
    block: NDArray[np.int64]
    at: NDArray[np.int64]
    named: NDArray[np.bool_]
    cookie: NDArray[np.int64]
    pages: NDArray[np.int64]
    ordered: NDArray[np.bool_]


def visits_of(
    customers: Customers,
    identities: Identities,
    trade: Trade,
    orders: Orders,
    rng: np.random.Generator,
) -> Visits:
    """Return the visits of the last thirteen months: those counted, and one before every order."""
    first = BLOCKS - RECENT_BLOCKS
    traits = customers.people.traits
    customer, block = spread(trade.visits[:, first:], first_block=first)
    at = moments(block, traits.evening[customer], customers.created[customer], rng)
    bought = np.flatnonzero((orders.block >= first) & (orders.channel == 0))
    before = orders.at[bought] - rng.integers(4, 45, bought.size) * MINUTE
    ordered = np.repeat([False, True], [customer.size, bought.size])
    customer = np.concatenate([customer, orders.customer[bought]])
    block = np.concatenate([block, orders.block[bought]])
    at = np.maximum(np.concatenate([at, before]), customers.created[customer])
    cookie = identities.first(WEB, customers.size)[customer]
    # Before the cookie was linked, nothing ties a visit to it but the login.
    known = (cookie >= 0) & (identities.since[cookie] <= at)
    named = ~known | ordered | happens(rng, 0.55, at.size)
    interest = 0.7 + 0.35 * traits.curious[customer] + 0.25 * trade.intent[customer, block]
    pages = 1 + rng.poisson(np.exp(np.minimum(interest + 0.12 * traits.premium[customer], 3.0)))
    return Visits(customer, block, at, named, np.where(known, cookie, -1), pages, ordered)


def session_table(
    brand: Brand,
    customers: Customers,
    identities: Identities,
    visits: Visits,
    rng: np.random.Generator,
) -> pa.Table:
    """Return raw ``web_sessions``, with some of strangers."""
    size = visits.at.size
    strange = rng.integers(0, size, round(STRANGERS * size))
    rows = np.concatenate([np.arange(size), strange])
    is_known = np.arange(rows.size) < size
    at = visits.at[rows]
    customer = visits.customer[rows]
    traits = customers.people.traits
    channel = _channels(traits, rng)[customer, :]
    chosen = (rng.random(rows.size)[:, None] > channel).sum(axis=1)
    phone = happens(rng, logistic(1.2 * traits.mobile[customer] + 0.2), rows.size)
    tablet = happens(rng, 0.08, rows.size)
    engaged = visits.pages[rows] * np.exp(rng.normal(3.2, 0.6, rows.size))
    unknown = pa.array([f"web-x{number:06d}" for number in range(len(strange) // 2 + 1)])
    owners = pa.concat_arrays([identities.source_ids, unknown])
    stranger = len(identities.source_ids) + rng.integers(0, len(unknown), rows.size)
    return table(
        {
            "customer_id": picked(
                customers.ids, np.where(is_known & visits.named[rows], customer, -1)
            ),
            "anonymous_id": picked(owners, np.where(is_known, visits.cookie[rows], stranger)),
            "started_at": instants(at),
            "channel": words(chosen, CHANNELS),
            "pages": visits.pages[rows].astype(np.int32),
            "engaged_s": np.minimum(engaged, 7200.0).astype(np.int32),
            "device": words(np.where(tablet, 2, np.where(phone, 0, 1)), DEVICES),
        },
        loaded=arrival(at + 40 * MINUTE, late_share=0.012, late_days=5, rng=rng),
        source="analytics",
        key=("session_id", f"{brand.name[0]}s-"),
    )


def _channels(traits: Traits, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return each customer's cumulative channel shares, without the last; [customers, 5]."""
    size = traits.paid.size
    pull = np.stack(
        [
            0.9 * traits.paid - 0.3,
            rng.normal(0.3, 0.3, size),
            0.9 * traits.mailer - 0.5,
            0.35 * traits.premium - 0.1,
            0.5 * traits.deal - 1.4,
            0.4 * traits.mobile - 1.1,
        ],
        axis=1,
    )
    weight = np.exp(pull)
    shares = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    return shares[:, :-1]


def event_table(
    brand: Brand,
    customers: Customers,
    identities: Identities,
    trade: Trade,
    visits: Visits,
    rng: np.random.Generator,
) -> pa.Table:
    """Return raw ``events``: what happened during the visits, from views to support tickets."""
    traits, size = customers.people.traits, visits.at.size
    intent = trade.intent[visits.customer, visits.block]
    deal, curious = traits.deal[visits.customer], traits.curious[visits.customer]
    counts = np.stack(
        [
            np.minimum(rng.poisson(0.36 * visits.pages), 25),
            rng.poisson(np.exp(np.minimum(0.55 * intent + 0.25 * deal - 1.75, 1.0)))
            + visits.ordered,
            visits.ordered.astype(np.int64),
            rng.poisson(np.exp(np.minimum(0.35 * curious - 1.7, 1.0))),
            happens(rng, np.where(visits.ordered, 0.05, 0.006), size).astype(np.int64),
        ],
        axis=1,
    )
    visit, name = spread(counts)
    at = visits.at[visit] + rng.integers(5, 900, visit.size) * SECOND
    # Carts and checkouts close a visit; looking around opens it.
    at += np.where((name == CART) | (name == CHECKOUT), 15 * MINUTE, 0)
    at = np.minimum(at, AS_OF_US - SECOND)
    category = rng.integers(0, len(brand.categories), visit.size)
    about_category = (name == VIEW) | (name == CART)
    sent = at + rng.integers(0, 4, visit.size) * SECOND
    offline = happens(rng, 0.015, visit.size)
    received = np.where(offline, sent + rng.integers(1, 4320, visit.size) * MINUTE, sent)
    return table(
        {
            "customer_id": picked(
                customers.ids, np.where(visits.named[visit], visits.customer[visit], -1)
            ),
            "anonymous_id": picked(identities.source_ids, visits.cookie[visit]),
            "event_name": words(name, EVENTS),
            "occurred_at": instants(at),
            "received_at": instants(received),
            "properties": words(
                np.where(about_category, category, -1),
                [f'{{"category": "{each.name}"}}' for each in brand.categories],
            ),
        },
        loaded=arrival(received, late_share=0.008, late_days=4, rng=rng),
        source="analytics",
        key=("event_id", f"{brand.name[0]}e-"),
    )
