"""The people behind the brands: their hidden traits, where they live and how to reach them.

All generated; no person is real. A person may be a customer of several brands: the e-mail is
then the same and the customer ids are not. Traits never reach a raw table.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.demo.draws import happens, stream
from fed_audience.demo.settings import BRANDS, Brand, brand_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

COUNTRIES: Final = ("DE", "GB", "FR", "NL", "US", "IT", "CH")
REGIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "DE": ("BE", "BY", "HE", "HH", "NW"),
    "GB": ("ENG", "NIR", "SCT", "WLS"),
    "FR": ("ARA", "IDF", "OCC", "PAC"),
    "NL": ("NH", "UT", "ZH"),
    "US": ("CA", "FL", "NY", "TX", "WA"),
    "IT": ("25", "62", "72"),
    "CH": ("BE", "GE", "ZH"),
}
AS_OF_YEAR: Final = 2026
ADULT_AGE: Final = 18


@dataclass(frozen=True, slots=True)
class Traits:
    """What drives people, hidden from every brand; each float64[people], about standard normal."""

    propensity: NDArray[np.float64]
    """Buys often, wherever it is."""
    premium: NDArray[np.float64]
    """Likes the expensive and the exclusive."""
    deal: NDArray[np.float64]
    """Waits for a sale, uses coupons."""
    family: NDArray[np.float64]
    """Buys for children."""
    mobile: NDArray[np.float64]
    """Visits by phone."""
    mailer: NDArray[np.float64]
    """Reads and clicks e-mail."""
    paid: NDArray[np.float64]
    """Comes through advertising."""
    regular: NDArray[np.float64]
    """Buys in a rhythm."""
    curious: NDArray[np.float64]
    """Looks around a lot."""
    evening: NDArray[np.float64]
    """Shops in the evening and at weekends."""

    def take(self, rows: NDArray[np.int64]) -> Traits:
        """Return the traits of some people, in the order of ``rows``."""
        return Traits(*(getattr(self, trait.name)[rows] for trait in fields(self)))


@dataclass(frozen=True, slots=True)
class People:
    """Everyone, whichever brands they use. ``number`` makes names and phones unique."""

    traits: Traits
    number: NDArray[np.int64]
    country: NDArray[np.int64]
    region: NDArray[np.int64]
    birth_year: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> People:
        """Return some people, in the order of ``rows``."""
        return People(
            self.traits.take(rows),
            self.number[rows],
            self.country[rows],
            self.region[rows],
            self.birth_year[rows],
        )

    @property
    def size(self) -> int:
        """How many."""
        return int(self.number.size)

    @property
    def is_minor(self) -> NDArray[np.bool_]:
        """Whether each is under age in the year of the as-of."""
        return AS_OF_YEAR - self.birth_year < ADULT_AGE


def people_of_brands(customers: int, seed: int) -> dict[str, People]:
    """Return each brand's people, one a customer, in random order.

    A later brand shares ``acquaintances`` of its customers with the brands before it.
    """
    sizes = brand_sizes(customers)
    everyone: list[People] = []
    found: dict[str, People] = {}
    for brand in BRANDS:
        rng = stream(seed, brand.name, "people")
        size = sizes[brand.name]
        shared = round(brand.acquaintances * size)
        first = sum(people.size for people in everyone)
        everyone.append(_newcomers(brand, size - shared, first, rng))
        known = _together(everyone)
        rows = np.concatenate(
            [
                rng.choice(first, shared, replace=False),
                np.arange(first, first + size - shared),
            ]
        )
        found[brand.name] = known.take(rng.permutation(rows))
    return found


def _newcomers(brand: Brand, size: int, first: int, rng: np.random.Generator) -> People:
    country = rng.choice(
        [COUNTRIES.index(name) for name in brand.countries],
        size,
        p=np.array(list(brand.countries.values())) / sum(brand.countries.values()),
    )
    regions = np.array([len(REGIONS[name]) for name in COUNTRIES])
    adult = np.clip(rng.normal(*brand.age, size), ADULT_AGE, 92).astype(np.int64)
    young = happens(rng, 0.012, size)
    age = np.where(young, rng.integers(14, ADULT_AGE, size), adult)
    return People(
        _traits(brand, age, rng),
        np.arange(first, first + size),
        country,
        np.floor(rng.random(size) * regions[country]).astype(np.int64),
        AS_OF_YEAR - age,
    )


def _traits(brand: Brand, age: NDArray[np.int64], rng: np.random.Generator) -> Traits:
    names = [trait.name for trait in fields(Traits)]
    drawn = Traits(*(rng.normal(brand.trait_means.get(name, 0.0), 1.0, age.size) for name in names))
    years = (age - 42.0) / 14.0
    return replace(
        drawn,
        # Deals and the exclusive rarely go together; the old click e-mail, the young tap.
        deal=drawn.deal - 0.35 * drawn.premium,
        mobile=drawn.mobile - 0.3 * years,
        mailer=drawn.mailer + 0.25 * years,
    )


def _together(parts: list[People]) -> People:
    def joined(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.concatenate(arrays)

    traits = Traits(
        *(
            np.concatenate([getattr(part.traits, trait.name) for part in parts])
            for trait in fields(Traits)
        )
    )
    return People(
        traits,
        joined([part.number for part in parts]),
        joined([part.country for part in parts]),
        joined([part.region for part in parts]),
        joined([part.birth_year for part in parts]),
    )
