"""How an agent answers its coordinator: how it stands, whether it takes part, what it wrote."""

from __future__ import annotations

import logging
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from fed_audience import __version__
from fed_audience.errors import ContractError, DataError, FedAudienceError, FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.contract.signing import SignedContract
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.messages import members as mm
from fed_audience.jobs.agent_memory import AgentMemory, HeldRun, SettledRun
from fed_audience.jobs.agent_outcome import Parts, score_customers, settle
from fed_audience.jobs.agent_run import begin_run, brought_to, release, resume_run
from fed_audience.jobs.agent_witness import SiteWitness
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.feature_checks import check_request
from fed_audience.jobs.feature_report import keep_baseline, report_of
from fed_audience.jobs.members import Members
from fed_audience.jobs.unchanged import unchanged_since
from fed_audience.warehouse.control import waiting_request

if TYPE_CHECKING:
    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.jobs.agent_run import AgentRun, Station
    from fed_audience.jobs.training_content import TrainedOn
    from fed_audience.jobs.unchanged import Unchanged
    from fed_audience.warehouse.control import TrainingRequest

_LOG: Final = logging.getLogger(__name__)


class AgentDesk:
    """The site's end of the link. One question is answered at a time; rounds beside it.

    ``settled``: how many runs were settled since the start, for `agent --once`; ``sealed``: whether
    the end of the last one's audit log was counter-signed too.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._memory = AgentMemory(station.folder)
        self._contracts = Contracts(station.settings)
        self._run: AgentRun | None = None
        self._busy = threading.Lock()
        self._parts = Parts()
        self._reports: dict[tuple[str, str, str], mm.Offer] = {}
        self.settled = 0
        self.sealed = False

    @property
    def holds_run(self) -> bool:
        """Whether a run is under way here."""
        return self._run is not None

    @property
    def standing(self) -> str:
        """Say in words what the agent waits for."""
        held = self._memory.held()
        if held is not None:
            return f"run {held.run_id} is under way"
        if self._contracts.signed_by(self._station.name) is None:
            return f"{self._station.name} has not signed the contract"
        return "a run for what is queued, or the next request"

    def recover(self) -> None:
        """Stand in the run again that was under way when the agent ended, where that can be."""
        held = self._memory.held()
        if held is None:
            return
        try:
            manifest = Manifest.from_json(held.manifest)
            self._run = resume_run(self._station, manifest, held.request)
            _LOG.info("standing in run %s again", manifest.run_id)
        except FedAudienceError as error:
            _LOG.warning("the run that was under way cannot go on: %s", error)
            release(self._station, held.request)

    def close(self) -> None:
        """Let a claim rest; the run can be taken up again."""
        if self._run is not None:
            self._run.close()

    def handle(self, body: bytes) -> bytes:
        """Answer a round of the run that is held; without one, say so."""
        run = self._run
        if run is not None:
            return run.handle(body)
        request = m.decode_request(body)
        return m.encode(m.Refused(slot=request.slot, reason="no_run"))

    def answer(self, kind: str, body: bytes) -> bytes:
        """Answer a question of the coordinator. Raises FedAudienceError."""
        with self._busy:
            if kind == mm.Greeting.kind:
                return self._greet(mm.decode(mm.Greeting, body)).encode()
            if kind == mm.Proposal.kind:
                return self._consider(mm.decode(mm.Proposal, body)).encode()
            if kind == mm.CounterSign.kind:
                return self._counter_sign(mm.decode(mm.CounterSign, body)).encode()
            if kind == mm.ModelPart.kind:
                size = self._parts.add(mm.decode(mm.ModelPart, body))
                return mm.PartKept(size=size).encode()
            if kind == mm.Outcome.kind:
                return self._settle(mm.decode(mm.Outcome, body)).encode()
        raise FederationError(
            "a question of an unknown kind",
            value=kind[:60],
            limit=", ".join(one.kind for one in mm.ASKED),
            fix="run the same version of fed-audience at the coordinator and at every site",
        )

    def _greet(self, greeting: mm.Greeting) -> mm.State:
        """Keep the contract that is shown; say how the site stands."""
        self._keep(greeting)
        name, signed = self._station.name, self._contracts.signed_by(self._station.name)
        contract = None if signed is None else signed.contract
        settled = self._memory.settled()
        held = self._memory.held()
        may_tell = contract is None or contract.may_report(name, "software")
        approval = self._approval()
        return mm.State(
            software=__version__ if may_tell else None,
            contract_sha256=None if contract is None else contract.sha256,
            signature=None if signed is None else signed.signatures[name].hex(),
            approval=None if approval is None else approval.hex(),
            offers=() if contract is None or held is not None else self._offers(contract),
            run=held.run_id if held is not None and self._run is not None else None,
            ended=None if settled is None else settled.run_id,
        )

    def _keep(self, greeting: mm.Greeting) -> None:
        """Keep the contract file and the roster as the coordinator has them.

        What this site signed is kept elsewhere, and only that binds it.
        """
        shown = SignedContract.from_json(greeting.contract, source="the coordinator's greeting")
        if greeting.contract != _text(self._contracts):
            self._contracts.keep(shown)
        keys = {site: bytes.fromhex(key) for site, key in shown.contract.roster.items()}
        own = self._approval()
        told = {site: bytes.fromhex(text) for site, text in greeting.approvals.items()}
        if own is not None:
            told[self._station.name] = own
        Members(self._station.settings).adopt(
            keys, {site: told[site] for site in keys if site in told}
        )

    def _approval(self) -> bytes | None:
        """Return this site's signature under the roster, where it holds to that one."""
        members = Members(self._station.settings)
        roster = members.roster() if members.roster_file.exists() else None
        if roster is None or members.holds_to(self._station.name) != roster.sha256:
            return None
        return members.identity(self._station.name).sign(roster.text)

    def _offers(self, contract: Contract) -> tuple[mm.Offer, ...]:
        found = []
        for terms in contract.models:
            if self._station.name not in terms.sites:
                continue
            try:
                with self._station.site.open() as warehouse:
                    request = waiting_request(warehouse, terms.name, now=self._station.clock())
                if request is not None:
                    found.append(self._offer(contract, request))
            except FedAudienceError as error:
                _LOG.warning("model %s cannot be offered: %s", terms.name, error)
                found.append(mm.Offer(model=terms.name, refused=self._reason(contract, error)))
        return tuple(found)

    def _offer(self, contract: Contract, request: TrainingRequest) -> mm.Offer:
        """Look at a queued table once; what was found is told again until it is built anew."""
        key = (request.request_id, request.build_id, contract.sha256)
        if key not in self._reports:
            terms, site = contract.model(request.model_name), self._station.site
            with site.open() as warehouse, warehouse.transaction():
                check_request(site, warehouse, terms, request)
                baseline = self._memory.baseline(terms.name)
                features, rows = report_of(site, warehouse, contract, request, baseline)
            self._reports[key] = mm.Offer(model=terms.name, features=features, rows=rows)
        return self._reports[key]

    def _reason(self, contract: Contract | None, error: FedAudienceError) -> str:
        """Say why in words where the contract allows it; the site's own log has them anyway.

        What is wrong with rows is not told where only noisy numbers of them may be.
        """
        counted = isinstance(error, DataError)
        private = contract is not None and contract.privacy.epsilon is not None
        if contract is None or contract.may_report(self._station.name, "reasons"):
            return "see the site's log" if private and counted else str(error)[:2_000]
        return "see the site's log"

    def _consider(self, proposal: mm.Proposal) -> mm.Acceptance:
        held = self._memory.held()
        if held is not None and held.manifest == proposal.manifest and self._run is not None:
            return mm.Acceptance(accepted=True, unchanged=held.unchanged is not None)
        signed = self._contracts.signed_by(self._station.name)
        try:
            if held is not None:
                raise ContractError(
                    "the site holds another run", value=held.run_id, fix="end that run first"
                )
            manifest = Manifest.from_json(proposal.manifest)
            run = begin_run(self._station, manifest)
        except FedAudienceError as error:
            _LOG.warning("a proposed run is declined: %s", error)
            self._reports.clear()  # what was found before may not be so any more
            reason = self._reason(None if signed is None else signed.contract, error)
            return mm.Acceptance(accepted=False, reason=reason)
        brought = brought_to(self._station, run)
        same = self._unchanged(proposal.earlier, run, brought)
        words = None if same is None else str(same)
        self._memory.hold(
            HeldRun(proposal.manifest, run.began, run.request, brought.to_json(), words)
        )
        self._run = run
        _LOG.info("taking part in run %s%s", manifest.run_id, f": {words}" if words else "")
        return mm.Acceptance(accepted=True, unchanged=same is not None)

    def _unchanged(
        self, earlier: str | None, run: AgentRun, brought: TrainedOn
    ) -> Unchanged | None:
        """Say whether the model of run ``earlier`` would come out.

        Of a run with noise it never would; of rows whose features are with workers nobody knows.
        """
        if earlier is None or run.manifest.privacy is not None or not run.rows.whole:
            return None
        try:
            return unchanged_since(earlier, run.manifest.model_name, self._station.site, brought)
        except FedAudienceError as error:
            _LOG.warning("trained, as the model before cannot be looked at: %s", error)
            return None

    def _counter_sign(self, asked: mm.CounterSign) -> mm.CounterSigned:
        station, held = self._station, self._memory.held()
        witness = SiteWitness(station.settings, station.name, station.clock)
        answer = witness.answer(asked, None if held is None else held.run_id)
        if answer.refused:
            _LOG.error("the log of run %s is not counter-signed: %s", asked.run, answer.refused)
        settled = self._memory.settled()
        if answer.line is not None and settled is not None and settled.run_id == asked.run:
            self.sealed = True
        return answer

    def _settle(self, outcome: mm.Outcome) -> mm.Registered:
        held, settled = self._memory.held(), self._memory.settled()
        if settled is not None and settled.run_id == outcome.run:
            return mm.Registered(run=outcome.run, model_sha256=settled.model_sha256)
        if held is None or held.run_id != outcome.run:
            return mm.Registered(run=outcome.run)
        manifest, run = Manifest.from_json(held.manifest), self._run
        made = self._parts.made(outcome) if outcome.status == "succeeded" else None
        with nullcontext() if run is None else run.writing:
            digest = settle(self._station, held, run, outcome, made)
        if run is not None:
            run.forget()
            run.close()
            if digest is not None and (signed := self._contracts.signed_by(self._station.name)):
                self._keep_baseline(run, signed.contract.model(manifest.model_name))
        self._run, self._parts = None, Parts()
        self._memory.settle(SettledRun(outcome.run, digest))
        self.settled += 1
        # A run that asked for no round has no log whose end could be signed.
        self.sealed = outcome.status == "unchanged"
        _LOG.info("run %s is over: %s %s", outcome.run, outcome.status, outcome.why)
        if digest is not None or (outcome.status == "unchanged" and held.unchanged is not None):
            self._score(manifest.model_name)
        return mm.Registered(run=outcome.run, model_sha256=digest)

    def _keep_baseline(self, run: AgentRun, terms: ModelTerms) -> None:
        """Keep how the features were distributed; a failure costs the comparison, not the model."""
        try:
            keep_baseline(run.rows.sample(), terms, self._memory.baseline(terms.name))
        except FedAudienceError as error:
            _LOG.warning("how features were distributed is not kept: %s", error)

    def _score(self, model: str) -> None:
        """Score where the site wants it; a failure costs the scores, not the model."""
        agent = self._station.settings.agent
        if agent is None or not agent.score:
            return
        try:
            _LOG.info("scored %d customers with %s", score_customers(self._station, model), model)
        except FedAudienceError as error:
            _LOG.error("customers are not scored: %s", error)


def _text(contracts: Contracts) -> str | None:
    found = contracts.held()
    return None if found is None else found.to_json()
