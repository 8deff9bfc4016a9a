"""Opening the sum of a root from which sites may be missing: the coordinator's exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.journal_records import SharesLeft
from fed_audience.federation.messages.refusal import SiteRefused
from fed_audience.privacy.deposits import ENVELOPE_BYTES, RANGE_TREES
from fed_audience.privacy.opening import MaskedSum, recover_seed
from fed_audience.privacy.rounds import quorum

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.coordinator import Coordinator


_TOO_ALIKE: Final = ("earlier_cohort", "small_change")
"""Why a site may refuse a set that the coordinator, who knows no earlier runs, thinks allowed."""


class RootOpening:
    """Carries shares, signatures and seeds among the sites; holds no secret of a site.

    Of the masks it learns what opens the sum over the signed survivors, and nothing else.
    """

    def __init__(self, coordinator: Coordinator, manifest: Manifest) -> None:
        self._coordinator = coordinator
        self._places = {site: place for place, site in enumerate(manifest.sites)}
        self._left = coordinator.journal.shares or SharesLeft((), 0, (), ())

    def leave_shares(self, slot: m.Slot, cohort: tuple[str, ...], absent: tuple[int, ...]) -> None:
        """Let the sites deposit shares for the roots from ``slot`` on, unless they have.

        A site that does not answer leaves and holds none; the round that follows will tell.
        """
        first = self._left.first_tree
        if first <= slot.tree < first + RANGE_TREES and cohort == self._left.cohort:
            return
        request = m.ShareSeeds(slot=slot, absent=absent)
        shared, _ = self._coordinator.gather(request, cohort, m.SeedShares)
        _check_fit(shared, len(cohort) - 1)
        rows = {site: row for row, site in enumerate(cohort)}

        def hold(holder: str) -> m.HoldShares:
            # The envelopes of a sender are those for the others of the cohort, by name.
            own = {
                sender: shares.envelopes[rows[holder] - (sender < holder)]
                for sender, shares in shared.items()
                if sender != holder
            }
            senders = tuple(self._places[sender] for sender in own)
            envelopes = np.stack(list(own.values()))
            return m.HoldShares(slot=slot, absent=absent, senders=senders, envelopes=envelopes)

        wanted = ((site, hold(site)) for site in shared)
        holders = self._coordinator.gather_each(wanted, m.SharesHeld)
        self._left = SharesLeft(cohort, slot.tree, tuple(sorted(shared)), tuple(sorted(holders)))
        self._coordinator.journal.left_shares(self._left)

    def opened(
        self,
        slot: m.Slot,
        total: MaskedSum,
        cohort: tuple[str, ...],
        survivors: tuple[str, ...],
        absent: tuple[int, ...],
    ) -> NDArray[np.int64]:
        """Return the sum over ``survivors``, whose vectors alone ``total`` holds, int64[n].

        Raises SiteMissing when one does not sign, or vanishes and no shares stand in for it.
        """
        consents = self._signed(slot, cohort, survivors, absent)
        signatures = tuple(consents[site].signature for site in survivors)
        reveal = m.RevealSeed(slot=slot, absent=absent, signatures=signatures)
        revealed, vanished = self._coordinator.gather(reveal, survivors, m.SeedRevealed)
        seeds = {site: bytes.fromhex(reply.seed) for site, reply in revealed.items()}
        if vanished:
            release = m.ReleaseShares(
                slot=slot,
                absent=absent,
                signatures=signatures,
                missing=self._places_of(vanished),
            )
            seeds |= self._recovered(release, vanished, revealed)
        dropped = sorted(set(cohort) - set(survivors))
        pair_keys = {
            site: dict(zip(dropped, map(bytes.fromhex, reply.pair_keys), strict=False))
            for site, reply in consents.items()
        }
        return total.opened(cohort, survivors, seeds, pair_keys)

    def _signed(
        self,
        slot: m.Slot,
        cohort: tuple[str, ...],
        survivors: tuple[str, ...],
        absent: tuple[int, ...],
    ) -> dict[str, m.SurvivorsSigned]:
        """Let every survivor sign the set.

        One that refuses it, since an earlier run was over almost the same sites, ends the run as
        the missing sites do: what was summed before is not lost.
        """
        sign = m.SignSurvivors(slot=slot, absent=absent, survivors=self._places_of(survivors))
        try:
            consents, silent = self._coordinator.gather(sign, survivors, m.SurvivorsSigned)
        except SiteRefused as error:
            dropped = sorted(set(cohort) - set(survivors))
            if error.reason not in _TOO_ALIKE or not dropped:
                raise
            raise self._coordinator.missing(dropped, error.what) from error
        if silent:
            raise self._coordinator.missing(silent, "the set of survivors is not signed by all")
        return consents

    def _recovered(
        self, request: m.ReleaseShares, vanished: Sequence[str], left: Collection[str]
    ) -> dict[str, bytes]:
        """Recover the seeds of ``vanished`` from the shares that the others hold."""
        kept = self._left
        holders = sorted(set(kept.holders) & set(left))
        released, _ = self._coordinator.gather(request, holders, m.SharesReleased)
        if not set(vanished) <= set(kept.sharers) or len(released) < quorum(len(kept.cohort)):
            raise self._coordinator.missing(vanished, "it vanished in the middle of a round")
        return {
            gone: recover_seed(
                kept.cohort, {site: reply.shares[row] for site, reply in released.items()}
            )
            for row, gone in enumerate(sorted(vanished))
        }

    def _places_of(self, sites: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._places[site] for site in sites)


def _check_fit(shared: Mapping[str, m.SeedShares], others: int) -> None:
    """Raise FederationError unless each site sent an envelope for each of ``others`` sites."""
    for site, shares in shared.items():
        if shares.envelopes.shape != (others, ENVELOPE_BYTES):
            found = shares.envelopes.shape
            raise FederationError(
                f"site {site} sent shares of another number or length",
                value=f"{found[0]} envelopes of {found[1]} bytes",
                limit=f"{others} of {ENVELOPE_BYTES}",
                fix="run the same version of fed-audience at the coordinator and every site",
            )
