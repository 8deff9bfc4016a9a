"""A site's part in agreeing on keys: the run's terms, its own card, the others' cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.federation import messages as m
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.privacy.rounds import Round
from fed_audience.privacy.run_keys import KeyCard, RunTerms

if TYPE_CHECKING:
    from fed_audience.federation.manifest import Manifest
    from fed_audience.privacy.site import SecureSite


def terms_of(manifest: Manifest, roster_sha256: str) -> RunTerms:
    """Return what a site signs before the run."""
    return RunTerms(
        run=manifest.run_id,
        manifest_sha256=manifest.sha256,
        roster_sha256=roster_sha256,
        sites=tuple(sorted(manifest.sites)),
        training_sites=tuple(sorted(manifest.training_sites)),
        fixed_cohort=manifest.fixed_cohort,
        overrides=manifest.overrides,
        noisy=manifest.privacy is not None,
    )


def round_of(slot: m.Slot) -> Round:
    """Return the round of the secure sum that ``slot`` names."""
    return Round(slot.run, slot.tree, slot.level, slot.attempt)


def present_key(secure: SecureSite, manifest: Manifest, request: m.PresentKey) -> m.RunKey:
    """Agree to the run's terms with a fresh run key. Raises SecureSumError."""
    roster = secure.roster
    card = secure.present(terms_of(manifest, roster.sha256), roster)
    return key_of(card, roster.sha256, request.slot)


def key_of(card: KeyCard, roster_sha256: str, slot: m.Slot) -> m.RunKey:
    """Return what a site sends of the ``card`` that it presents."""
    return m.RunKey(
        slot=slot,
        roster_sha256=roster_sha256,
        counter=card.counter,
        public_key=card.public_key.hex(),
        signature=card.signature.hex(),
    )


def check_keys(secure: SecureSite, manifest: Manifest, request: m.AgreeKeys) -> m.KeysAgreed:
    """Check the keys of all sites and derive the pairs' secrets. Raises SecureSumError."""
    columns = (request.counters, request.public_keys, request.signatures)
    if any(len(column) != len(manifest.sites) for column in columns):
        raise Refusal("bad_message", detail="keys of another number of sites")
    cards = {
        site: KeyCard(site, counter, bytes.fromhex(key), bytes.fromhex(signature))
        for site, counter, key, signature in zip(manifest.sites, *columns, strict=True)
    }
    return m.KeysAgreed(slot=request.slot, transcript=secure.agree(cards))
