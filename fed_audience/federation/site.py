"""The program that runs beside a brand's rows: bytes in, sums out."""

from __future__ import annotations

import hmac
import logging
import threading
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.contract_checks import first_difference
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.private.keeper import PrivacyKeeper
from fed_audience.federation.private.site_run import PrivateSiteRun
from fed_audience.federation.refusal import Refusal
from fed_audience.federation.site_keys import check_keys, present_key, round_of
from fed_audience.federation.site_openings import answer_opening
from fed_audience.federation.site_rows import SiteRows, read_rows
from fed_audience.federation.site_run import SiteRun, SiteVector
from fed_audience.federation.steps import to_the_end
from fed_audience.gbdt.team import team_of
from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from fed_audience.federation.contract import Contract
    from fed_audience.federation.own_copies import OwnCopies
    from fed_audience.federation.source import RowSource
    from fed_audience.federation.steps import Steps
    from fed_audience.privacy.site import SecureSite

_LOG: Final = logging.getLogger(__name__)
_NO_RUN: Final = m.Slot(run="-", tree=m.PREPARATION, level=0)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was released for the last slot, so that it can be released again."""

    slot: m.Slot
    request: bytes
    answer: SiteVector | m.Reply
    body: bytes


@dataclass(slots=True)
class _Run:
    """One run at the site, and what it answered first and last."""

    state: SiteRun | PrivateSiteRun
    opening: bytes
    opened: bytes
    presented: m.RunKey | None = None
    shared: tuple[bytes, bytes] | None = None
    answer: _Answer | None = None


class SiteProgram:
    """Answers the coordinator's requests about the rows of one site.

    ``category_key``: secret of the sites for hashing categories; the coordinator lacks it.
    ``min_rows``: refuse to train with fewer. ``threads`` bounds the threads of the kernels.
    ``warnings`` tell the site's own staff, in full words, what was unusual about its rows.
    ``secure``: the site's identity and secrets; without them only runs of plain sums are answered,
    with them none, but for runs of this site alone when its owner accepts ``one_site``.
    ``keeper``: the budget book and the releases of differentially private runs.
    ``contract``: what the site signed; a run that differs from it is refused.

    Every round is idempotent: the same request gives the same bytes, an earlier round or a
    changed one is refused. Every vector leaves through ``_release`` and nowhere else.
    """

    def __init__(
        self,
        name: str,
        source: RowSource,
        category_key: bytes,
        *,
        min_rows: int = 0,
        threads: int = 1,
        secure: SecureSite | None = None,
        keeper: PrivacyKeeper | None = None,
        contract: Contract | None = None,
    ) -> None:
        self.name = name
        self.warnings: list[str] = []
        self._source = source
        self._category_key = category_key
        self._min_rows = min_rows
        self._team = team_of(threads)
        self._secure = secure
        self._keeper = keeper or PrivacyKeeper()
        self._contract = contract
        self._run: _Run | None = None
        self._busy = threading.Lock()

    @property
    def enrolled(self) -> bool:
        """Whether the site has an identity."""
        return self._secure is not None

    def enrol(self, secure: SecureSite) -> None:
        """Give the site its identity and secrets, before its first run."""
        self._secure = secure

    def handle(self, body: bytes) -> bytes:
        """Answer one request. What the site refuses is a reply too, with a named reason.

        A request that arrives again while it is being answered waits for that answer.
        """
        return to_the_end(self.steps(body))

    def steps(self, body: bytes) -> Steps[bytes]:
        """``handle`` in steps: what comes after the first is done while kernels run."""
        with self._busy:
            return (yield from self._handle(body))

    def own_copies(self) -> OwnCopies:
        """Make what this site alone keeps of a training that has ended; nothing of it leaves."""
        if self._run is None:
            raise FederationError(f"site {self.name} has trained no model to make its own")
        return self._run.state.own_copies()

    def _handle(self, body: bytes) -> Steps[bytes]:
        slot = _NO_RUN
        try:
            try:
                request = m.decode_request(body)
            except FederationError as error:
                raise Refusal("bad_message", detail=error) from error
            slot = request.slot
            if isinstance(request, m.OpenRun):
                return self._open(request, body)
            if isinstance(request, m.PresentKey | m.AgreeKeys):
                return self._agree(request)
            if isinstance(request, m.OpeningRequest):
                return self._help_to_open(request, body)
            return (yield from self._answer(request, body))
        except SecureSumError as error:
            _LOG.warning("site %s refused a request: %s", self.name, error)
            return m.encode(m.Refused(slot=slot, reason=error.reason))
        except Refusal as refusal:
            _LOG.warning("site %s refused a request: %s", self.name, refusal)
            return m.encode(m.Refused(slot=slot, reason=refusal.reason, column=refusal.column))

    def _release(self, request: m.Request, vector: SiteVector | m.Reply) -> bytes:
        """Turn a vector into the bytes that leave, masked: the only way out.

        Whether masks are due is for the manifest to say, never for the request: only the one site
        that holds all labels, or a run without masks, sends its own numbers.
        """
        if isinstance(vector, m.Reply):
            return m.encode(vector)
        manifest = self._open_run(request.slot).state.manifest
        if manifest.secure and len(manifest.cohort(of_all_sites=request.of_all_sites)) > 1:
            cohort = self._cohort(manifest, request)
            elements = self._identified().mask(
                round_of(request.slot), cohort, vector.values, vector.ring
            )
        else:
            elements = vector.ring.elements(vector.values)
        return m.encode(vector.kind(slot=request.slot, words=elements.view("<u4")))

    def _cohort(self, manifest: Manifest, request: m.Request) -> tuple[str, ...]:
        try:
            return manifest.cohort(request.absent, of_all_sites=request.of_all_sites)
        except FederationError as error:
            raise Refusal("bad_message", detail=error) from error

    def _identified(self) -> SecureSite:
        if self._secure is None:
            raise Refusal("no_identity", detail=self.name)
        return self._secure

    def _agree(self, request: m.PresentKey | m.AgreeKeys) -> bytes:
        """Present a run key, the same one when asked again, or check the others'."""
        run = self._open_run(request.slot)
        manifest = run.state.manifest
        secure = self._identified()
        if isinstance(request, m.AgreeKeys):
            return m.encode(check_keys(secure, manifest, request))
        if run.presented is None or run.presented.slot != request.slot:
            run.presented = present_key(secure, manifest, request)
        return m.encode(run.presented)

    def _help_to_open(self, request: m.OpeningRequest, body: bytes) -> bytes:
        """Answer about a root's masks; shares are drawn once, and the same when asked again."""
        run = self._open_run(request.slot)
        if run.shared is not None and run.shared[0] == body:
            return run.shared[1]
        manifest = run.state.manifest
        cohort = self._cohort(manifest, request)
        reply = m.encode(answer_opening(self._identified(), manifest, cohort, request))
        if isinstance(request, m.ShareSeeds):
            run.shared = body, reply
        return reply

    def _open_run(self, slot: m.Slot) -> _Run:
        if self._run is None:
            raise Refusal("no_run", detail=slot.run)
        if slot.run != self._run.state.manifest.run_id:
            raise Refusal("wrong_run")
        return self._run

    def _open(self, request: m.OpenRun, body: bytes) -> bytes:
        if self._run is not None and self._run.opening == body:
            return self._run.opened
        try:
            manifest = Manifest.from_json(request.manifest)
        except FederationError as error:
            raise Refusal("bad_manifest", detail=error) from error
        if self.name not in manifest.sites:
            raise Refusal("not_in_roster", detail=self.name)
        if request.slot.run != manifest.run_id:
            raise Refusal("wrong_run")
        self._check_contract(manifest)
        self._check_protection(manifest)
        labelled = self.name in manifest.training_sites
        rows = read_rows(manifest, self._source, self._category_key, labelled=labelled)
        if rows.rows < self._min_rows:
            raise Refusal("too_few_rows", detail=f"{rows.rows}, at least {self._min_rows}")
        if rows.training_rows > manifest.parameters.row_cap:
            raise Refusal("too_many_rows", detail=rows.training_rows)
        self.warnings = _warnings(manifest, rows)
        for warning in self.warnings:
            _LOG.warning("site %s: %s", self.name, warning)
        categorical = any(feature.categorical for feature in manifest.features)
        opened = m.encode(
            m.RunOpened(
                slot=request.slot,
                manifest_sha256=sha256(request.manifest.encode()).hexdigest(),
                category_check=self._category_check(manifest.run_id) if categorical else "",
                notes=() if manifest.privacy else rows.notes(manifest.parameters.objective),
                missing_features=rows.missing_features,
            )
        )
        self._run = _Run(self._state(manifest, rows, labelled=labelled), body, opened)
        return opened

    def _state(
        self, manifest: Manifest, rows: SiteRows, *, labelled: bool
    ) -> SiteRun | PrivateSiteRun:
        if manifest.privacy is None:
            return SiteRun(manifest, rows, labelled=labelled, team=self._team)
        return PrivateSiteRun(manifest, rows, self._category_key, self._keeper)

    def _check_contract(self, manifest: Manifest) -> None:
        """Refuse a run that is not what this site signed."""
        found = None if self._contract is None else first_difference(self._contract, manifest)
        if found is not None:
            detail = f"{found.asked}; signed: {found.signed}"
            raise Refusal("other_contract", found.place[:500], detail=detail)

    def _check_protection(self, manifest: Manifest) -> None:
        """Refuse a run that would show this site's own sums, unless its owner accepts that."""
        if self._secure is None:
            if manifest.secure and len(manifest.sites) > 1:
                raise Refusal("no_identity", detail=self.name)
            return
        plain = not manifest.secure or len(manifest.sites) == 1
        if plain and "one_site" not in self._secure.accepts:
            raise Refusal("plain_sums", detail=self.name)

    def _category_check(self, run_id: str) -> str:
        digest = hmac.digest(self._category_key, f"category check|{run_id}".encode(), "sha256")
        return digest.hex()[:16]

    def _answer(self, request: m.Request, body: bytes) -> Steps[bytes]:
        run, slot = self._open_run(request.slot), request.slot
        content = _first_sending(request, body)
        last = run.answer
        if last is not None and slot.position <= last.slot.position:
            return self._answer_again(run, last, request, content)
        answer = yield from run.state.compute(request)
        released = self._release(request, answer)
        run.answer = _Answer(slot, content, answer, released)
        return released

    def _answer_again(self, run: _Run, last: _Answer, request: m.Request, content: bytes) -> bytes:
        """Repeat the last round: the same bytes, or under a new attempt the same vector."""
        slot = request.slot
        if slot.position != last.slot.position or slot.attempt < last.slot.attempt:
            raise Refusal("stale_slot")
        if content != last.request:
            raise Refusal("changed_request")
        if slot.attempt == last.slot.attempt:
            return last.body
        released = self._release(request, last.answer)
        run.answer = _Answer(slot, content, last.answer, released)
        return released


def _first_sending(request: m.Request, body: bytes) -> bytes:
    """Return the bytes of ``request`` to all sites under attempt 0; ``body`` are its own."""
    if request.slot.attempt == 0 and not request.absent:
        return body
    first = request.slot.model_copy(update={"attempt": 0})
    return m.encode(request.model_copy(update={"slot": first, "absent": ()}))


def _warnings(manifest: Manifest, rows: SiteRows) -> list[str]:
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
