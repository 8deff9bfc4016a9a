"""Before a row is counted, every site signs the run's terms and the sites agree on keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.coordinator import Coordinator


def agree_on_keys(coordinator: Coordinator, manifest: Manifest) -> str:
    """Carry every site's signed run key to every site; return the hash of all keys.

    Two round trips. Raises SecureSumError (roster_changed) when the sites approved different
    rosters, FederationError when one refuses a key or was shown other keys.
    """
    slot = coordinator.slot(m.PREPARATION, 0)
    cards = coordinator.ask(m.PresentKey(slot=slot), manifest.sites, m.RunKey)
    rosters = {site: card.roster_sha256 for site, card in cards.items()}
    if len(set(rosters.values())) > 1:
        found = ", ".join(f"{site}: {sha[:12]}" for site, sha in sorted(rosters.items()))
        raise SecureSumError("roster_changed", detail=found)
    request = m.AgreeKeys(
        slot=slot,
        counters=tuple(cards[site].counter for site in manifest.sites),
        public_keys=tuple(cards[site].public_key for site in manifest.sites),
        signatures=tuple(cards[site].signature for site in manifest.sites),
    )
    agreed = coordinator.ask(request, manifest.sites, m.KeysAgreed)
    transcripts = {reply.transcript for reply in agreed.values()}
    if len(transcripts) != 1:
        raise FederationError(
            "the sites were shown different keys",
            value=len(transcripts),
            limit=1,
            fix="do not continue: something between coordinator and sites changes messages",
        )
    return transcripts.pop()
