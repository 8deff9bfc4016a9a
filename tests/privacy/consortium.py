"""Sites that have agreed on keys, for tests: what they hold, and rounds among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.masks import RING_64, Ring, RingVector
from fed_audience.privacy.opening import MaskedSum, recover_seed
from fed_audience.privacy.roster import Roster, enrol
from fed_audience.privacy.rounds import Round
from fed_audience.privacy.run_keys import KeyCard, RunTerms
from fed_audience.privacy.site import Consent, SecureSite

MANIFEST = "ab" * 32
RUN = "run 1"


def names_of(count: int) -> tuple[str, ...]:
    return tuple(f"s{number:03d}" for number in range(count))


@dataclass
class Consortium:
    """``count`` sites of one run; ``vectors`` are drawn once for every site."""

    count: int
    accepts: tuple[Any, ...] = ()
    ledgers: dict[str, SiteLedger] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    build: str | None = None

    def __post_init__(self) -> None:
        self.names = names_of(self.count)
        self.identities = {name: SiteIdentity.generate(name) for name in self.names}
        self.roster: Roster = enrol(self.identities.values())
        self.ledgers = {name: self.ledgers.get(name, SiteLedger()) for name in self.names}
        self.sites = {name: self.start(name) for name in self.names}
        self.terms = self.make_terms(**self.changes)
        self.cards: dict[str, KeyCard] = {}

    def start(self, name: str) -> SecureSite:
        """A fresh process of the site: all but its ledger is gone."""
        identity, ledger = self.identities[name], self.ledgers[name]
        return SecureSite(identity, self.roster, ledger, accepts=self.accepts, build=self.build)

    def make_terms(self, **changes: Any) -> RunTerms:
        fields = {
            "run": RUN,
            "manifest_sha256": MANIFEST,
            "roster_sha256": self.roster.sha256,
            "sites": self.names,
            "training_sites": self.names,
        }
        return RunTerms(**(fields | changes))

    def present(self) -> dict[str, KeyCard]:
        members = self.terms.sites
        self.cards = {n: self.sites[n].present(self.terms, self.roster) for n in members}
        return self.cards

    def agreed(self) -> Consortium:
        self.present()
        for name in self.terms.sites:
            self.sites[name].agree(self.cards)
        return self

    def vectors(self, size: int = 50, *, bound: int = 2**40) -> dict[str, NDArray[np.int64]]:
        rng = np.random.default_rng(self.count)
        return {n: rng.integers(-bound, bound, size, dtype=np.int64) for n in self.names}

    def masked(
        self,
        asked: Round,
        vectors: dict[str, NDArray[np.int64]],
        cohort: tuple[str, ...] | None = None,
        ring: Ring = RING_64,
    ) -> dict[str, RingVector]:
        sites = cohort or self.names
        return {n: self.sites[n].mask(asked, sites, vectors[n], ring) for n in sites}

    def consents(self, asked: Round, survivors: tuple[str, ...]) -> dict[str, Consent]:
        return {n: self.sites[n].sign_survivors(asked, survivors) for n in survivors}

    def signatures(self, asked: Round, survivors: tuple[str, ...]) -> dict[str, bytes]:
        return {n: one.signature for n, one in self.consents(asked, survivors).items()}

    def opened(
        self,
        asked: Round,
        masked: dict[str, RingVector],
        survivors: tuple[str, ...],
        *,
        cohort: tuple[str, ...] | None = None,
        vanished: tuple[str, ...] = (),
        ring: Ring = RING_64,
    ) -> NDArray[np.int64]:
        """Sign, reveal (but for ``vanished``, whose seeds come from shares), and open."""
        consents = self.consents(asked, survivors)
        signed = {name: one.signature for name, one in consents.items()}
        pairs = {name: one.pair_keys for name, one in consents.items()}
        left = [name for name in survivors if name not in vanished]
        seeds = {name: self.sites[name].reveal(asked, signed) for name in left}
        if vanished:
            shares = {n: self.sites[n].release(asked, signed, vanished) for n in left}
            for gone in vanished:
                held = {name: one[gone] for name, one in shares.items()}
                seeds[gone] = recover_seed(cohort or self.names, held)
        return add_up(masked, survivors, ring).opened(cohort or self.names, survivors, seeds, pairs)

    def leave_shares(self, first_tree: int, cohort: tuple[str, ...] | None = None) -> None:
        sites = cohort or self.names
        left = {n: self.sites[n].share_out(first_tree, sites) for n in sites}
        for sender, envelopes in left.items():
            for holder, envelope in envelopes.items():
                self.sites[holder].hold(sender, first_tree, envelope)


def add_up(
    masked: dict[str, RingVector], sites: tuple[str, ...], ring: Ring = RING_64
) -> MaskedSum:
    total = MaskedSum(len(next(iter(masked.values()))), ring)
    for site in sites:
        total.add(masked[site])
    return total


def plain_sum(vectors: dict[str, NDArray[np.int64]], sites: tuple[str, ...]) -> NDArray[np.int64]:
    total = np.zeros_like(vectors[sites[0]])
    for site in sites:
        total += vectors[site]
    return total
