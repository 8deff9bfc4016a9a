"""With which keys brands sign what they hand each other: those of their audit logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.audit.keys import read_pinned
from fed_audience.federation.messages.overlap import signed
from fed_audience.jobs.audit_trail import PINNED, AuditTrail
from fed_audience.privacy.overlap.refusals import OverlapError

if TYPE_CHECKING:
    from pathlib import Path

    from fed_audience.audit.keys import VerifierKey
    from fed_audience.federation.messages.overlap import MessageT
    from fed_audience.jobs.settings import FederationSettings


class OverlapKeys:
    """The private keys of the brands in ``settings``, and the public ones that are pinned there."""

    def __init__(self, settings: FederationSettings) -> None:
        self._settings = settings
        self._own = {site.name for site in settings.sites}

    def of_party(self, party: str) -> VerifierKey:
        """Return the pinned key of ``party``; a brand whose keys are here is pinned by itself.

        Raises OverlapError (unknown_partner).
        """
        if party in self._own:
            with AuditTrail(self._settings) as trail:
                trail.prepare([party])
        name, path = f"{self._settings.name}/{party}", self._path
        key = read_pinned(path).get(name) if path.exists() else None
        if key is None:
            raise OverlapError("unknown_partner", detail=name, looked=str(path))
        return key

    def signed(self, message: MessageT, site: str) -> MessageT:
        """Return ``message`` under the signature of our brand ``site``."""
        with AuditTrail(self._settings) as trail:
            return signed(message, trail.signer(site))

    @property
    def _path(self) -> Path:
        return self._settings.audit.keys_folder / PINNED
