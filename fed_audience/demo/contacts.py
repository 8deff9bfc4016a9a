"""Names at example domains and phones from ranges that regulators keep for fiction.

All generated; no address or number can reach anyone. Domains: RFC 2606. Phones: +1 555-01xx
(NANPA), +44 drama ranges (Ofcom), +33 fictional blocks (Arcep), +49 drama ranges
(Bundesnetzagentur).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.demo.columns import column, joined, words
from fed_audience.demo.draws import choose, happens
from fed_audience.demo.people import COUNTRIES

if TYPE_CHECKING:
    from fed_audience.demo.columns import Column
    from fed_audience.demo.people import People

DOMAINS: Final = ("example.com", "example.org", "example.net")
# fmt: off
FIRST_NAMES: Final = (
    "ada", "amir", "arno", "carla", "clara", "elena", "emma", "erik", "finn", "hana", "ines",
    "ivo", "jonas", "kofi", "leon", "lucas", "marc", "mila", "nils", "noah", "olga", "oscar",
    "petra", "sami", "sofia", "tom", "zoe",
)
LAST_NAMES: Final = (
    "abel", "amato", "berg", "bos", "carter", "costa", "diaz", "ferri", "fox", "graf", "hansen",
    "huber", "keller", "kuhn", "lopez", "martin", "moreau", "novak", "perrin", "ricci", "roux",
    "silva", "stone", "vogel", "weber", "young",
)
# fmt: on
UNUSABLE: Final = ("n/a", "no-email", "unknown", "@example.com", "jane.doe(at)example.org")

# Prefix and number of last digits of each range that is kept for fiction.
PHONE_RANGES: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "US": tuple(
        (f"+1{area}55501", 2)
        for area in (202, 206, 212, 213, 303, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 808)
    ),
    "GB": (
        ("+447700900", 3),
        ("+442079460", 3),
        *(
            (f"+44{area}4960", 3)
            for area in (113, 114, 115, 116, 117, 118, 121, 131, 141, 151, 161)
        ),
    ),
    "FR": tuple((f"+33{prefix}", 4) for prefix in (19900, 26191, 35301, 46571, 53649, 63998)),
    "DE": (("+493023125", 3), ("+496990009", 3), ("+494066969", 3), ("+498999998", 3)),
}


def emails(people: People, rng: np.random.Generator) -> Column:
    """Return the e-mail of each customer: 6 % none, 2 % unusable, 3 % oddly written."""
    clean = _addresses(people)
    forms = [
        clean,
        pa.nulls(people.size, pa.string()),
        words(rng.integers(0, len(UNUSABLE), people.size), UNUSABLE).cast(pa.string()),
        joined(" ", pc.utf8_title(clean)),
    ]
    form = choose(rng, (0.89, 0.06, 0.02, 0.03), people.size)
    chosen: Column = pc.choose(column(form), *forms)
    return chosen


def _addresses(people: People) -> Column:
    """Return one address a person, the same at every brand."""
    # Multiplying by an odd constant scatters the names of neighbours.
    scattered = (people.number * 2_654_435_761) % 2**32
    first = words(scattered // 8 % len(FIRST_NAMES), FIRST_NAMES).cast(pa.string())
    last = words(scattered // 512 % len(LAST_NAMES), LAST_NAMES).cast(pa.string())
    domain = words(scattered // 65536 % len(DOMAINS), DOMAINS).cast(pa.string())
    number = column(people.number + 10).cast(pa.string())
    return joined(joined(first, "."), joined(last, number), joined("@", domain))


def phones(people: People, rng: np.random.Generator) -> Column:
    """Return the E.164 phone of each customer; about 4 in 10 gave one, none outside the ranges."""
    found = np.full(people.size, -1, dtype=np.int64)
    numbers: list[str] = []
    gave = happens(rng, 0.45, people.size)
    for country, ranges in PHONE_RANGES.items():
        block = [
            f"{prefix}{last:0{digits}d}" for prefix, digits in ranges for last in range(10**digits)
        ]
        here = gave & (people.country == COUNTRIES.index(country))
        found[here] = len(numbers) + people.number[here] % len(block)
        numbers.extend(block)
    return words(found, numbers).cast(pa.string())
