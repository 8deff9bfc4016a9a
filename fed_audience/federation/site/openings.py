"""A site's part in opening a root's sum: shares, its signature, its seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fed_audience.federation import messages as m
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.site.keys import round_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fed_audience.federation.manifest import Manifest
    from fed_audience.privacy.site import SecureSite


def answer_opening(
    secure: SecureSite, manifest: Manifest, cohort: tuple[str, ...], request: m.OpeningRequest
) -> m.Reply:
    """Answer ``request`` about a root of ``cohort``. Raises SecureSumError, Refusal."""
    slot, asked = request.slot, round_of(request.slot)
    match request:
        case m.ShareSeeds():
            sealed = secure.share_out(slot.tree, cohort)
            rows = [np.frombuffer(sealed[peer], np.uint8) for peer in sorted(sealed)]
            return m.SeedShares(slot=slot, envelopes=np.stack(rows))
        case m.HoldShares():
            senders = _named(manifest, request.senders)
            if len(senders) != len(request.envelopes):
                raise Refusal("bad_message", detail="shares of another number of sites")
            for sender, envelope in zip(senders, request.envelopes, strict=True):
                secure.hold(sender, slot.tree, envelope.tobytes())
            return m.SharesHeld(slot=slot)
        case m.SignSurvivors():
            consent = secure.sign_survivors(asked, sorted(_named(manifest, request.survivors)))
            keys = tuple(key.hex() for _, key in sorted(consent.pair_keys.items()))
            return m.SurvivorsSigned(slot=slot, signature=consent.signature.hex(), pair_keys=keys)
        case m.RevealSeed():
            seed = secure.reveal(asked, _signatures(secure, request.signatures))
            return m.SeedRevealed(slot=slot, seed=seed.hex())
        case m.ReleaseShares():
            missing = sorted(_named(manifest, request.missing))
            released = secure.release(asked, _signatures(secure, request.signatures), missing)
            return m.SharesReleased(slot=slot, shares=np.stack([released[s] for s in missing]))
        case _:
            raise Refusal("bad_message", detail=type(request).__name__)


def _named(manifest: Manifest, places: Sequence[int]) -> list[str]:
    """Return the sites at ``places`` of the manifest, in the order given."""
    if not places or max(places) >= len(manifest.sites):
        raise Refusal("bad_message", detail="sites that the run has not")
    return [manifest.sites[place] for place in places]


def _signatures(secure: SecureSite, signatures: Sequence[str]) -> dict[str, bytes]:
    """Put the signatures beside the survivors that this site has signed, by name."""
    survivors = secure.survivors
    if len(signatures) != len(survivors):
        raise Refusal("bad_message", detail="signatures of another number of sites")
    return {s: bytes.fromhex(one) for s, one in zip(survivors, signatures, strict=True)}
