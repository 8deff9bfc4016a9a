"""Identities for sites that live in one process: demo, simulation, one operator's warehouses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.roster import enrol
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fed_audience.federation.site.program import SiteProgram


def enrol_in_memory(programs: Iterable[SiteProgram]) -> None:
    """Give each program without an identity a fresh one, and all of these the same roster.

    They accept every override: whoever runs their process sees all rows anyway.
    """
    fresh = [program for program in programs if not program.enrolled]
    identities = [SiteIdentity.generate(program.name) for program in fresh]
    roster = enrol(identities)
    for program, identity in zip(fresh, identities, strict=True):
        program.enrol(SecureSite(identity, roster, SiteLedger(), accepts=OVERRIDES))
