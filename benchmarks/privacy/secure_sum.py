"""The secure sum: processor time of one site and of the coordinator, by number of sites.

Times are milliseconds of one thread, the best of several: a machine shared with others is never
faster than that. Up to 100 sites every sum is checked against the plain one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.masks import RING_32, RING_64, Ring
from fed_audience.privacy.opening import MaskedSum
from fed_audience.privacy.roster import enrol
from fed_audience.privacy.rounds import DROPOUT_COHORT, Round
from fed_audience.privacy.run_keys import RunTerms
from fed_audience.privacy.site import SecureSite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHECKED_UP_TO = 100
"""Sites up to which every site takes part; above, one is measured and masks do not cancel."""


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Return the least CPU time of ``work`` in ``repeats`` runs."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return 1e3 * min(times)


def consortium(count: int) -> tuple[tuple[str, ...], dict[str, SecureSite], float]:
    """Return sites that have agreed on keys, and a site's CPU time for it."""
    identities = [SiteIdentity.generate(f"s{number:03d}") for number in range(count)]
    roster = enrol(identities)
    names = tuple(sorted(roster.keys))
    terms = RunTerms("run", "0" * 64, roster.sha256, names, names)
    sites = {one.name: SecureSite(one, roster, SiteLedger()) for one in identities}
    cards = {name: site.present(terms, roster) for name, site in sites.items()}
    began = time.process_time()
    agreeing = list(sites)[: count if count <= CHECKED_UP_TO else 1]
    for name in agreeing:
        sites[name].agree(cards)
    return names, sites, 1e3 * (time.process_time() - began) / len(agreeing)


def rounds(count: int, size: int, ring: Ring, repeats: int) -> dict[str, float]:
    """Measure an all-or-nothing round and, from ten sites, a root that three sites leave."""
    names, sites, agreeing = consortium(count)
    rng = np.random.default_rng(count)
    vectors = {name: rng.integers(-1000, 1000, size) for name in names}
    levels = iter(range(1, 1_000_000))
    masking = milliseconds(
        lambda: sites[names[0]].mask(Round("run", 0, next(levels)), names, vectors[names[0]], ring),
        repeats,
    )
    found = {"agree_keys": agreeing, "mask": masking}
    if count > CHECKED_UP_TO:
        return found
    last = Round("run", 0, next(levels))
    masked = {name: sites[name].mask(last, names, vectors[name], ring) for name in names}

    def adding() -> np.ndarray:
        total = MaskedSum(size, ring)
        for name in names:
            total.add(masked[name])
        return total.total()

    if not np.array_equal(adding(), sum(vectors.values())):
        raise SystemExit("the secure sum differs from the plain one")
    found["add"] = milliseconds(adding, repeats)
    if count >= DROPOUT_COHORT:
        found |= dropout(names, sites, vectors, ring)
    return found


def dropout(
    names: tuple[str, ...], sites: dict[str, SecureSite], vectors: dict[str, Any], ring: Ring
) -> dict[str, float]:
    """Measure a root that the first three sites do not answer; all others sign and reveal."""
    asked, survivors = Round("run", 1, 0), names[3:]
    sharing = milliseconds(lambda: sites[names[0]].share_out(1, names), 1)
    masked = {name: sites[name].mask(asked, names, vectors[name], ring) for name in survivors}
    consents = {name: sites[name].sign_survivors(asked, survivors) for name in survivors}
    signed = {name: one.signature for name, one in consents.items()}
    pairs = {name: one.pair_keys for name, one in consents.items()}
    began = time.process_time()
    seeds = {name: sites[name].reveal(asked, signed) for name in survivors}
    revealing = 1e3 * (time.process_time() - began) / len(survivors)
    total = MaskedSum(len(vectors[names[0]]), ring)
    for vector in masked.values():
        total.add(vector)
    opened: list[Any] = []
    opening = milliseconds(lambda: opened.append(total.opened(names, survivors, seeds, pairs)), 1)
    if not np.array_equal(opened[0], sum(vectors[name] for name in survivors)):
        raise SystemExit("the sum over the survivors differs from the plain one")
    return {"share_out_64_slots": sharing, "reveal": revealing, "open_3_dropped": opening}


def measure(
    sites: Sequence[int] = (3, 10, 50, 500), size: int = 100_000, repeats: int = 30
) -> list[dict[str, Any]]:
    """Return a row for each number of sites and ring."""
    return [
        {"sites": count, "bits": ring.bits, "size": size}
        | {
            name: round(value, 3)
            for name, value in rounds(count, size, ring, 5 if count > 100 else repeats).items()
        }
        for count in sites
        for ring in (RING_64, RING_32)
    ]
