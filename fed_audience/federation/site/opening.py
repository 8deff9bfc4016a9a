"""Opening a run at a site: its manifest is checked, its rows are read and frozen."""

from __future__ import annotations

import hmac
import logging
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.contract.checks import first_difference
from fed_audience.federation.lasting.frozen_rows import check_frozen
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.private.site_run import PrivateSiteRun
from fed_audience.federation.site.rows import SiteRows, read_rows
from fed_audience.federation.site.run import SiteRun, SiteVector
from fed_audience.federation.workers.open_shares import OpenShares
from fed_audience.federation.workers.spread_rows import SpreadRows
from fed_audience.federation.workers.spread_run import SpreadRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.federation.contract.terms import Contract
    from fed_audience.federation.private.keeper import PrivacyKeeper
    from fed_audience.federation.site.row_facts import RowFacts
    from fed_audience.federation.site.source import RowSource
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.privacy.site import SecureSite

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Computed:
    """What was computed for the last slot; ``body`` as released, empty until it was."""

    slot: m.Slot
    request: bytes
    answer: SiteVector | m.Reply
    body: bytes = b""


@dataclass(slots=True)
class RunAtSite:
    """One run at the site, and what it answered first and last.

    ``warnings``: in full words, what is unusual about the rows. ``frozen``: identities of the
    rows, where a checkpoint knows them.
    """

    state: SiteRun | PrivateSiteRun | SpreadRun
    opening: bytes
    opened: bytes
    warnings: list[str]
    frozen: NDArray[np.uint64] | None = None
    presented: m.RunKey | None = None
    shared: tuple[bytes, bytes] | None = None
    answer: Computed | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest of the run."""
        return self.state.manifest


@dataclass(frozen=True, slots=True)
class RunOpening:
    """What a site opens its runs with; the fields are those of ``SiteProgram``."""

    _name: str
    _source: RowSource | SpreadRows
    _category_key: bytes = field(repr=False)
    _min_rows: int
    _team: Team
    _keeper: PrivacyKeeper
    _contract: Contract | None

    def open(
        self,
        body: bytes,
        secure: SecureSite | None,
        *,
        identified: bool,
        frozen: NDArray[np.uint64] | None = None,
    ) -> RunAtSite:
        """Read the rows of the run that ``body``, an OpenRun, begins.

        ``identified``: whether a checkpoint is to know them again. ``frozen``: the rows that it
        knows; no others are taken. Raises Refusal.
        """
        request = cast("m.OpenRun", m.decode_request(body))
        try:
            manifest = Manifest.from_json(request.manifest)
        except FederationError as error:
            raise Refusal("bad_manifest", detail=error) from error
        if self._name not in manifest.sites:
            raise Refusal("not_in_roster", detail=self._name)
        if request.slot.run != manifest.run_id:
            raise Refusal("wrong_run")
        self._check_contract(manifest)
        self._check_protection(manifest, secure)
        labelled = self._name in manifest.training_sites
        rows = self._read(manifest, labelled=labelled, identified=identified, frozen=frozen)
        facts = rows.facts
        if facts.rows < self._min_rows:
            raise Refusal("too_few_rows", detail=f"{facts.rows}, at least {self._min_rows}")
        if facts.training_rows > manifest.parameters.row_cap:
            raise Refusal("too_many_rows", detail=facts.training_rows)
        warnings = _warnings(manifest, facts)
        for warning in warnings:
            _LOG.warning("site %s: %s", self._name, warning)
        categorical = any(feature.categorical for feature in manifest.features)
        opened = m.encode(
            m.RunOpened(
                slot=request.slot,
                manifest_sha256=sha256(request.manifest.encode()).hexdigest(),
                category_check=self._category_check(manifest.run_id) if categorical else "",
                notes=() if manifest.privacy else facts.notes(manifest.parameters.objective),
                missing_features=facts.missing_features,
            )
        )
        known = rows.identities if identified else None
        return RunAtSite(
            self._state(manifest, rows, labelled=labelled), body, opened, warnings, known
        )

    def check_frozen(self, run: RunAtSite) -> None:
        """Read the rows again; raise Refusal (withdrawn) when one that ``run`` uses is gone."""
        if isinstance(self._source, SpreadRows):
            self._source.check_frozen()
        elif run.frozen is not None:
            check_frozen(self._source, run.manifest, run.frozen)

    def _read(
        self,
        manifest: Manifest,
        *,
        labelled: bool,
        identified: bool,
        frozen: NDArray[np.uint64] | None,
    ) -> SiteRows | OpenShares:
        key = self._category_key
        if isinstance(self._source, SpreadRows):
            return self._source.open(manifest, key, labelled=labelled, frozen=frozen)
        return read_rows(
            manifest,
            self._source,
            key,
            labelled=labelled,
            identified=identified,
            frozen=frozen,
            team=self._team,
        )

    def _state(
        self, manifest: Manifest, rows: SiteRows | OpenShares, *, labelled: bool
    ) -> SiteRun | PrivateSiteRun | SpreadRun:
        if isinstance(rows, OpenShares):
            return SpreadRun(rows)
        if manifest.privacy is None:
            return SiteRun(manifest, rows, labelled=labelled, team=self._team)
        return PrivateSiteRun(manifest, rows, self._category_key, self._keeper)

    def _check_contract(self, manifest: Manifest) -> None:
        """Refuse a run that is not what this site signed."""
        found = None if self._contract is None else first_difference(self._contract, manifest)
        if found is not None:
            detail = f"{found.asked}; signed: {found.signed}"
            raise Refusal("other_contract", found.place[:500], detail=detail)
        unpaid = manifest.privacy is not None and self._keeper.book is None
        if self._contract is not None and unpaid:
            # A member of a federation spends from a book, or nothing.
            raise Refusal("over_budget", detail="the site keeps no budget book")

    def _check_protection(self, manifest: Manifest, secure: SecureSite | None) -> None:
        """Refuse a run that would show this site's own sums, unless its owner accepts that."""
        if secure is None:
            if manifest.secure and len(manifest.sites) > 1:
                raise Refusal("no_identity", detail=self._name)
            return
        plain = not manifest.secure or len(manifest.sites) == 1
        if plain and "one_site" not in secure.accepts:
            raise Refusal("plain_sums", detail=self._name)

    def _category_check(self, run_id: str) -> str:
        digest = hmac.digest(self._category_key, f"category check|{run_id}".encode(), "sha256")
        return digest.hex()[:16]


def _warnings(manifest: Manifest, rows: RowFacts) -> list[str]:
    words = {
        "no_rows": "no training rows",
        "no_positives": "no positives among its training rows",
        "no_negatives": "only positives among its training rows",
    }
    warnings = [words[note] for note in rows.notes(manifest.parameters.objective)]
    names = [feature.name for feature in manifest.features]
    warnings += [f"feature {names[i]} is missing; its values are" for i in rows.missing_features]
    warnings += [
        f"feature {names[index]}: {count} infinite or huge values clipped"
        for index, count in rows.clipped.items()
    ]
    return warnings
