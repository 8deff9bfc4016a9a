"""A brand's customers and the identities under which its systems know them. All generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from fed_audience.demo.columns import (
    AS_OF_US,
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    column,
    identifiers,
    instants,
    joined,
    picked,
    table,
    words,
)
from fed_audience.demo.contacts import emails, phones
from fed_audience.demo.draws import happens, logistic
from fed_audience.demo.people import COUNTRIES, REGIONS, People

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.demo.columns import Column
    from fed_audience.demo.settings import Brand

OLDEST_DAYS: Final = 1100
SYSTEMS: Final = ("crm", "web", "app")
CRM, WEB, APP = range(3)


@dataclass(frozen=True, slots=True)
class Customers:
    """People as one brand numbers them; ``created`` is when each registered."""

    ids: Column
    people: People
    created: NDArray[np.int64]

    @property
    def size(self) -> int:
        """How many."""
        return self.people.size


@dataclass(frozen=True, slots=True)
class Identities:
    """Links of a source identity to a customer row; one identity may have had two owners."""

    system: NDArray[np.int64]
    source_ids: Column
    customer: NDArray[np.int64]
    since: NDArray[np.int64]
    until: NDArray[np.int64]

    def first(self, system: int, customers: int) -> NDArray[np.int64]:
        """Return the row of each customer's first identity in ``system``, -1 for none."""
        rows = np.full(customers, -1, dtype=np.int64)
        here = np.flatnonzero(self.system == system)[::-1]
        rows[self.customer[here]] = here
        return rows


def customers_of(brand: Brand, people: People, rng: np.random.Generator) -> Customers:
    """Register the brand's people, more of them lately."""
    numbers = rng.permutation(people.size) + 1
    days_ago = OLDEST_DAYS * rng.beta(1.1, 1.25, people.size)
    created = AS_OF_US - 8 * HOUR - (days_ago * DAY).astype(np.int64)
    created = created // MINUTE * MINUTE
    return Customers(identifiers(brand.name[0], numbers, width=7), people, created)


def customers_table(customers: Customers, rng: np.random.Generator) -> pa.Table:
    """Return raw ``customers``; a tenth have no birth year, 3 % are suppressed."""
    people = customers.people
    places = [f"{country}-{region}" for country, found in REGIONS.items() for region in found]
    first = np.cumsum([0, *(len(REGIONS[country]) for country in COUNTRIES)])
    region = first[people.country] + people.region
    hidden = happens(rng, 0.1, people.size)
    since = AS_OF_US - customers.created
    suppressed = customers.created + (rng.random(people.size) * since).astype(np.int64)
    suppressed[happens(rng, 0.97, people.size)] = NEVER
    return table(
        {
            "customer_id": customers.ids,
            "created_at": instants(customers.created),
            "country": words(people.country, COUNTRIES),
            "region": words(region, places),
            "birth_year": column(people.birth_year.astype(np.int32), hidden),
            "email": emails(people, rng),
            "phone": phones(people, rng),
            "suppressed_at": instants(suppressed),
        },
        loaded=customers.created + rng.integers(1, 90, people.size) * MINUTE,
        source="crm",
    )


def identities_of(customers: Customers, rng: np.random.Generator) -> Identities:
    """Link everyone to the CRM, 55 % to a cookie, 4 % to a second one, a quarter to the app.

    One cookie in 250 later moves to another customer: a browser that two people share.
    """
    everyone = np.arange(customers.size)
    web = everyone[happens(rng, 0.55, customers.size)]
    second = web[happens(rng, 0.07, web.size)]
    app = everyone[
        happens(rng, logistic(0.5 * customers.people.traits.mobile - 1.1), customers.size)
    ]
    owners = np.concatenate([everyone, web, second, app])
    system = np.repeat([CRM, WEB, WEB, APP], [everyone.size, web.size, second.size, app.size])
    left = AS_OF_US - HOUR - customers.created[owners]
    delay = (0.3 * rng.random(owners.size) ** 3 * left).astype(np.int64)
    since = customers.created[owners] + np.where(system == CRM, 0, delay)
    until = np.full(owners.size, NEVER)
    moved = np.flatnonzero((system == WEB) & happens(rng, 0.004, owners.size))
    heirs = (owners[moved] + rng.integers(1, customers.size, moved.size)) % customers.size
    start = np.maximum(since[moved], customers.created[heirs])
    until[moved] = start + (rng.random(moved.size) * (AS_OF_US - HOUR - start)).astype(np.int64)
    source_ids = joined(
        words(system, SYSTEMS).cast(pa.string()),
        identifiers("-", rng.permutation(owners.size), width=7),
    )
    rows = np.concatenate([np.arange(owners.size), moved])
    return Identities(
        system[rows],
        source_ids.take(column(rows)),
        np.concatenate([owners, heirs]),
        np.concatenate([since, until[moved]]),
        np.concatenate([until, np.full(moved.size, NEVER)]),
    )


def identity_table(
    identities: Identities, customers: Customers, rng: np.random.Generator
) -> pa.Table:
    """Return raw ``identity_map``."""
    return table(
        {
            "source_system": words(identities.system, SYSTEMS),
            "source_id": identities.source_ids,
            "customer_id": picked(customers.ids, identities.customer),
            "valid_from": instants(identities.since),
            "valid_to": instants(identities.until),
        },
        loaded=identities.since + rng.integers(1, 50, identities.since.size) * MINUTE,
        source="identity",
    )
