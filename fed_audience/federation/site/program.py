"""The program that runs beside a brand's rows: bytes in, sums out."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.site_checkpoint import digest_of
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.private.keeper import PrivacyKeeper
from fed_audience.federation.site.keys import check_keys, key_of, present_key, round_of
from fed_audience.federation.site.opening import Computed, RunAtSite, RunOpening
from fed_audience.federation.site.openings import answer_opening
from fed_audience.federation.site.replay import replayed
from fed_audience.federation.site.steps import to_the_end
from fed_audience.gbdt.kernels.team import team_of
from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from fed_audience.federation.contract.terms import Contract
    from fed_audience.federation.lasting.site_checkpoint import KeptRun, SiteCheckpoint
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.own_copies import OwnCopies
    from fed_audience.federation.site.run import SiteVector
    from fed_audience.federation.site.source import RowSource
    from fed_audience.federation.site.steps import Steps
    from fed_audience.federation.workers.spread_rows import SpreadRows
    from fed_audience.federation.workers.spread_run import SpreadCopies
    from fed_audience.privacy.masks import RingVector
    from fed_audience.privacy.site import SecureSite

_LOG: Final = logging.getLogger(__name__)
_NO_RUN: Final = m.Slot(run="-", tree=m.PREPARATION, level=0)


class SiteProgram:
    """Answers the coordinator's requests about the rows of one site.

    ``source``: the rows, or ``SpreadRows`` where workers hold them.
    ``category_key``: secret of the sites for hashing categories; the coordinator lacks it.
    ``min_rows``: refuse to train with fewer. ``threads`` bounds the threads of the kernels.
    ``warnings`` tell the site's own staff, in full words, what was unusual about its rows.
    ``secure``: the site's identity and secrets; without them only runs of plain sums are answered,
    with them none, but for runs of this site alone when its owner accepts ``one_site``.
    ``keeper``: the budget book and the releases of differentially private runs. ``checkpoint``
    lets a program that is started anew go on in the middle of a run, where ``secure`` has a ledger
    on the disk; without it a run lives and dies with the process. ``contract``: what the site
    signed; a run that differs from it is refused.

    Every round is idempotent: the same request gives the same bytes, an earlier round or a
    changed one is refused. Every vector leaves through ``_release`` and nowhere else.
    """

    def __init__(  # noqa: PLR0913 - what a site is made of, each named
        self,
        name: str,
        source: RowSource | SpreadRows,
        category_key: bytes,
        *,
        min_rows: int = 0,
        threads: int = 1,
        secure: SecureSite | None = None,
        keeper: PrivacyKeeper | None = None,
        contract: Contract | None = None,
        checkpoint: SiteCheckpoint | None = None,
    ) -> None:
        self.name = name
        self.warnings: list[str] = []
        self._secure = secure
        self._opening = RunOpening(
            name,
            source,
            category_key,
            min_rows,
            team_of(threads),
            keeper or PrivacyKeeper(),
            contract,
        )
        self._checkpoint = checkpoint
        self._run: RunAtSite | None = None
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

    def own_copies(self) -> OwnCopies | SpreadCopies:
        """Make what this site alone keeps of a training that has ended; nothing of it leaves."""
        if self._run is None:
            self._take_up()
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
            match request:
                case m.OpenRun():
                    reply = self._open(request, body)
                case m.PresentKey() | m.AgreeKeys():
                    reply = self._agree(request)
                case m.ResumeRun():
                    reply = self._resume(request)
                case m.ForgetRun():
                    reply = self._forget(request)
                case m.OpeningRequest():
                    reply = self._help_to_open(request, body)
                case _:
                    reply = yield from self._answer(request, body)
        except SecureSumError as error:
            _LOG.warning("site %s refused a request: %s", self.name, error)
            return m.encode(m.Refused(slot=slot, reason=error.reason))
        except Refusal as refusal:
            _LOG.warning("site %s refused a request: %s", self.name, refusal)
            return m.encode(m.Refused(slot=slot, reason=refusal.reason, column=refusal.column))
        return reply

    def _release(self, request: m.Request, vector: SiteVector | m.Reply) -> bytes:
        """Turn a vector into the bytes that leave, masked: the only way out.

        Whether masks are due is for the manifest to say, never for the request: only the one site
        that holds all labels, or a run without masks, sends its own numbers.
        """
        if isinstance(vector, m.Reply):
            return m.encode(vector)
        manifest = self._open_run(request.slot).manifest
        everyone = manifest.sites if request.of_all_sites else manifest.training_sites
        if manifest.secure and len(everyone) > 1:
            secure, cohort = self._identified(), self._cohort(manifest, request)
        else:
            secure, cohort = None, ()

        def write(out: RingVector) -> None:
            if secure is not None:
                secure.mask(round_of(request.slot), cohort, vector.values, vector.ring, out)
            else:
                out[:] = vector.ring.elements(vector.values)

        return vector.kind.encoded(request.slot, vector.ring, len(vector.values), write)

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
        manifest = run.manifest
        secure = self._identified()
        if isinstance(request, m.AgreeKeys):
            agreed = check_keys(secure, manifest, request)
            self._keep_keys(secure)
            return m.encode(agreed)
        if run.presented is None or run.presented.slot != request.slot:
            run.presented = present_key(secure, manifest, request)
            self._keep_keys(secure)
        return m.encode(run.presented)

    def _keep_keys(self, secure: SecureSite) -> None:
        if self._checkpoint is not None:
            self._checkpoint.keep_keys(secure.kept())

    def _help_to_open(self, request: m.OpeningRequest, body: bytes) -> bytes:
        """Answer about a root's masks; shares are drawn once, and the same when asked again."""
        run = self._open_run(request.slot)
        if run.shared is not None and run.shared[0] == body:
            return run.shared[1]
        manifest = run.manifest
        cohort = self._cohort(manifest, request)
        secure = self._identified()
        reply = m.encode(answer_opening(secure, manifest, cohort, request))
        if isinstance(request, m.ShareSeeds | m.HoldShares):
            self._keep_keys(secure)
        if isinstance(request, m.ShareSeeds):
            run.shared = body, reply
        return reply

    def _open_run(self, slot: m.Slot) -> RunAtSite:
        if self._run is None:
            self._take_up(slot.run)
        if self._run is None:
            raise Refusal("no_run", detail=slot.run)
        if slot.run != self._run.manifest.run_id:
            raise Refusal("wrong_run")
        return self._run

    def _open(self, request: m.OpenRun, body: bytes) -> bytes:
        if self._run is None:
            try:
                self._take_up(request.slot.run)
            except Refusal as refusal:
                if refusal.reason != "checkpoint":
                    raise
                _LOG.warning("site %s opens a run anew: %s", self.name, refusal)
        if self._run is None or self._run.opening != body:
            run = self._opening.open(body, self._secure, identified=self._checkpoint is not None)
            if self._checkpoint is not None and run.frozen is not None:
                self._checkpoint.begin(body, run.opened, run.frozen)
            self._run, self.warnings = run, run.warnings
        return self._run.opened

    def _resume(self, request: m.ResumeRun) -> bytes:
        """Ask for the consent of the run's rows again; taking up a run has just done so."""
        known = self._run
        run = self._open_run(request.slot)
        if run.frozen is None:
            raise Refusal("no_checkpoint", detail=self.name)
        if run is known:
            try:
                self._opening.check_frozen(run)
            except Refusal:
                self._burn(request.slot.run)
                raise
        return m.encode(m.RunResumed(slot=request.slot, manifest_sha256=run.manifest.sha256))

    def _forget(self, request: m.ForgetRun) -> bytes:
        self._burn(request.slot.run)
        return m.encode(m.RunForgotten(slot=request.slot))

    def _burn(self, run: str) -> None:
        """Forget ``run`` and its keys, here and on the disk."""
        checkpoint = self._checkpoint
        if self._run is not None and self._run.manifest.run_id == run:
            self._run = None
            if self._secure is not None:
                self._secure.forget()
        else:
            kept = None if checkpoint is None or checkpoint.damaged else checkpoint.kept()
            if kept is None or kept.run != run:
                return
            if self._secure is not None:
                self._secure.forget(kept.keys)
        if checkpoint is not None:
            checkpoint.clear()

    def _take_up(self, run_id: str | None = None) -> None:
        """Go on with the run that the checkpoint keeps, if it is ``run_id`` or none is named."""
        kept = None if self._checkpoint is None else self._checkpoint.kept()
        if kept is None or run_id not in {None, kept.run}:
            return
        _LOG.info("site %s takes up run %s after %s rounds", self.name, kept.run, len(kept.answers))
        try:
            self._run = self._taken_up(kept)
        except FederationError as error:
            if isinstance(error, Refusal) and error.reason in {"withdrawn", "rows_changed"}:
                self._burn(kept.run)
            raise
        self.warnings = self._run.warnings

    def _taken_up(self, kept: KeptRun) -> RunAtSite:
        run = self._opening.open(kept.opening, self._secure, identified=True, frozen=kept.frozen)
        secure = self._secure
        if secure is not None and (card := secure.take_up(kept.keys)) is not None:
            slot = m.decode_request(kept.opening).slot
            run.presented = key_of(card, secure.roster.sha256, slot)
        if (last := replayed(run.state, kept.answers)) is not None:
            request, body, answer = last
            run.answer = Computed(request.slot, _first_sending(request, body), answer)
        return run

    def _answer(self, request: m.Request, body: bytes) -> Steps[bytes]:
        run, slot = self._open_run(request.slot), request.slot
        content = _first_sending(request, body)
        last = run.answer
        if last is not None and slot.position <= last.slot.position:
            return self._answer_again(run, last, request, content, body)
        try:
            answer = yield from run.state.compute(request)
        except Refusal as refusal:
            if refusal.reason == "workers":
                self._let_go()  # some shares have moved on: all begin anew from the checkpoint
            raise
        run.answer = Computed(slot, content, answer)
        return self._send(run, run.answer, request, body)

    def _let_go(self) -> None:
        """Hold no run until the next request takes it up as the checkpoint has it."""
        self._run = None
        if self._checkpoint is not None:
            self._checkpoint.close()

    def _answer_again(
        self, run: RunAtSite, last: Computed, request: m.Request, content: bytes, body: bytes
    ) -> bytes:
        """Repeat the last round: the same bytes, or under a new attempt the same vector."""
        slot = request.slot
        if slot.position != last.slot.position or slot.attempt < last.slot.attempt:
            raise Refusal("stale_slot")
        if content != last.request:
            raise Refusal("changed_request")
        if slot.attempt == last.slot.attempt and last.body:
            return last.body
        return self._send(run, last, request, body)

    def _send(self, run: RunAtSite, computed: Computed, request: m.Request, body: bytes) -> bytes:
        """Keep that ``request`` is answered, then release the answer."""
        if self._checkpoint is not None:
            digest = digest_of(computed.answer, run.state.rows_digest)
            try:
                self._checkpoint.keep_answer(body, digest)
            except Refusal:
                self._run = None  # what is not kept has not happened: it is taken up without
                raise
        released = self._release(request, computed.answer)
        run.answer = Computed(request.slot, computed.request, computed.answer, released)
        return released


def _first_sending(request: m.Request, body: bytes) -> bytes:
    """Return the bytes of ``request`` to all sites under attempt 0; ``body`` are its own."""
    if request.slot.attempt == 0 and not request.absent:
        return body
    first = request.slot.model_copy(update={"attempt": 0})
    return m.encode(request.model_copy(update={"slot": first, "absent": ()}))
