"""The coordinator's work: greet the sites, start runs that are due, sum, hand the models out.

It holds no warehouse and sees no row. Everything is decided from the contract, from what the sites
say of themselves, and from the records of its runs, so that a restart goes on where it ended.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError, FedAudienceError, ResourceError, RunInterrupted
from fed_audience.federation.events import TreeGrown
from fed_audience.federation.lasting.control import RunCancelled
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.messages import members as mm
from fed_audience.federation.messages.refusal import RowsChanged
from fed_audience.federation.rounds.coordinator import SiteMissing
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.coordinator_audit import RunAudits
from fed_audience.jobs.greetings import Greetings
from fed_audience.jobs.members import Members
from fed_audience.jobs.outcome_delivery import OutcomeDelivery
from fed_audience.jobs.quorum import Decision, decide
from fed_audience.jobs.run_book import RunBook, RunRecord
from fed_audience.jobs.run_manifest import manifest_of
from fed_audience.jobs.run_training import RunTraining
from fed_audience.jobs.training_result import metrics_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fed_audience.federation import TrainingEvent, TrainingResult
    from fed_audience.federation.contract.member_link import MemberLink
    from fed_audience.federation.contract.signing import SignedContract
    from fed_audience.jobs.link_settings import CoordinatorSettings
    from fed_audience.jobs.run_book import Wish
    from fed_audience.jobs.settings import FederationSettings

_LOG: Final = logging.getLogger(__name__)
REST: Final = timedelta(minutes=1)
"""How long a model waits after a run that not every site could take part in."""


@dataclass
class View:
    """What the coordinator knows just now: for status, metrics and the log.

    ``states``: of connected sites; ``seen``: when each was heard last, naive UTC; ``decisions`` by
    model; ``trouble``: why there is no contract; ``run``: the run under way, ``trees`` that it has
    and is to have; ``resting``: a run that waits for its sites.
    """

    states: dict[str, mm.State] = field(default_factory=dict)
    seen: dict[str, datetime] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    trouble: str = ""
    run: str | None = None
    resting: str | None = None
    trees: tuple[int, int] = (0, 0)


class CoordinatorProgram:
    """One federation's coordinator over ``link``. ``step`` does what there is to do, and returns.

    ``clock`` gives naive UTC. ``on_change`` is told whenever ``view`` has changed. After ``pause``
    a run under way rests at the end of its level, and ``step`` raises RunInterrupted.
    """

    def __init__(
        self,
        settings: FederationSettings,
        own: CoordinatorSettings,
        link: MemberLink,
        clock: Callable[[], datetime],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.view = View()
        self.book = RunBook(own.folder / "runs")
        self._settings = settings
        self._own = own
        self._link = link
        self._clock = clock
        self._on_change = on_change
        self._training = RunTraining(link, own, self.book)
        self._said: dict[str, str] = {}
        self._contracts = Contracts(settings)
        self.audits = RunAudits(settings, link, clock)
        self._outcomes = OutcomeDelivery(link, self.book, self.audits, own.deadline_seconds)
        self._greetings = Greetings(link, self._contracts, Members(settings))

    def step(self) -> RunRecord | None:
        """Greet every site, end what has to be ended, go on with a run or start one that is due.

        Returns the run that was trained to its end, if there was one. A site that fails is left
        out for now; others are not disturbed.
        """
        try:
            drawn = self._contracts.publish()
        except ConfigError as error:
            # Before all sites have joined there is nothing that they could sign.
            self.view.trouble = str(error)
            self._say_once("contract", f"no contract yet: {error}")
            self._on_change()
            return None
        self.view.trouble = ""
        signed, self.view.states, news = self._greetings.send(drawn)
        self.view.seen |= dict.fromkeys(self.view.states, self._clock())
        self._on_change()
        for record in self.book.unsealed():
            self._outcomes.seal(record)
        for record in self.book.open_runs():
            if record.stage == "proposed":
                self._end(record, "cancelled", "the coordinator was started anew")
            elif record.stage == "training" and (wish := self.book.wished(record.run)) is not None:
                self._heed(record, wish)
            elif record.stage == "ended":
                self._outcomes.deliver(record)
            elif (done := self._continue(record)) is not None:
                return done
        return self._start_due(signed, wait=news)

    def _start_due(self, signed: SignedContract, *, wait: bool) -> RunRecord | None:
        """Start the first model that is due; ``wait``: only say what each model waits for."""
        contract, busy = signed.contract, {record.model for record in self.book.open_runs()}
        for terms in contract.models:
            last, now = self.book.last_success(terms.name), self._clock()
            decision = decide(contract, terms, self.view.states, last, now)
            self.view.decisions[terms.name] = decision
            cancelled = self.book.last_cancelled(terms.name)
            resting = cancelled is not None and now - cancelled < REST
            if wait or not decision.sites or terms.name in busy or resting:
                continue
            try:
                signed.require(decision.sites)
                manifest = manifest_of(contract, terms, decision.sites, self._settings, now)
            except FedAudienceError as error:
                _LOG.error("model %s cannot be trained: %s", terms.name, error)
                continue
            record = self._propose(manifest, now)
            if record is not None:
                return self._train(record) if record.stage == "training" else record
        waiting = waiting_for(self.view.decisions)
        self._say_once("models", waiting and f"waiting for {waiting}")
        self._on_change()
        return None

    def _propose(self, manifest: Manifest, now: datetime) -> RunRecord | None:
        """Ask every site of ``manifest`` to take part; None when one declines.

        The run is over at once where every site says that nothing has changed since the last one.
        """
        record = self.book.write(
            RunRecord(
                run=manifest.run_id,
                model=manifest.model_name,
                stage="proposed",
                manifest=manifest.to_json(),
                sites=manifest.sites,
                began=now,
            )
        )
        _LOG.info("run %s is proposed to %s", record.run, ", ".join(record.sites))
        last = self.book.last_whole(record.model)
        earlier = last.run if last is not None and last.sites == manifest.sites else None
        proposal = mm.Proposal(manifest=record.manifest, earlier=earlier).encode()
        answers = self._ask_all(record.sites, proposal)
        declined = {site: one.reason for site, one in answers.items() if not one.accepted}
        if declined:
            why = "; ".join(f"{site}: {why or 'no reason'}" for site, why in declined.items())
            self._end(record, "cancelled", f"not every site takes part: {why}"[:2_000])
            return None
        if earlier is not None and all(one.unchanged for one in answers.values()):
            why = f"nothing has changed at any site since run {earlier}, whose model is kept"
            return self._end(record, "unchanged", why)
        return self.book.write(record.changed(stage="training"))

    def _ask_all(self, sites: tuple[str, ...], proposal: bytes) -> dict[str, mm.Acceptance]:
        """Propose to all at once; return what each answers."""
        seconds = self._own.deadline_seconds
        with ThreadPoolExecutor(len(sites)) as pool:
            asked = {
                site: pool.submit(self._link.ask, site, mm.Proposal.kind, proposal, seconds)
                for site in sites
            }
            answers = {}
            for site, answer in asked.items():
                try:
                    answers[site] = mm.decode(mm.Acceptance, answer.result())
                except FedAudienceError as error:
                    answers[site] = mm.Acceptance(accepted=False, reason=str(error)[:2_000])
        return answers

    def _heed(self, record: RunRecord, wish: Wish) -> None:
        """Let a run that does not train just now rest, or end it, as the operator wants."""
        if wish == "pause":
            self.view.resting = record.run
            self._say_once(record.run, f"run {record.run} is paused")
        else:
            self._end(record, "cancelled", "the operator cancelled it", again=False)

    def _continue(self, record: RunRecord) -> RunRecord | None:
        """Go on with a run that was interrupted, once all its sites stand in it again.

        When that lasts longer than the coordinator's patience, the trees that there are, are the
        model.
        """
        states = self.view.states
        absent = [site for site in record.sites if site not in states]
        if absent:
            self.view.resting = record.run
            since = record.rests_since or record.began
            if self._clock() - since > timedelta(seconds=self._own.patience_seconds):
                why = f"{', '.join(absent)} did not come back in time"
                if self.book.has_made(record.run):
                    return self._hand_out(record, why)
                return self._end(record, "cancelled", why)
            self._say_once(record.run, f"run {record.run} waits for {', '.join(absent)}")
            return None
        left = [site for site in record.sites if states[site].run != record.run]
        if left:
            why = f"{', '.join(left)} cannot go on with it"
            return self._end(record, "cancelled", why)
        return self._train(record)

    def _train(self, record: RunRecord) -> RunRecord | None:
        """Train, or go on where the journal stands; None when the run rests."""
        manifest = Manifest.from_json(record.manifest)
        self.view.run, self.view.resting = record.run, None
        self.view.trees = (0, manifest.parameters.n_estimators)
        self._on_change()
        try:
            result = self._trained(manifest)
        except (SiteMissing, ResourceError) as error:
            self._rest(record, str(error))
        except (RowsChanged, RunCancelled) as error:
            changed = isinstance(error, RowsChanged)
            why = str(error)[:2_000] if changed else "the operator cancelled it"
            return self._end(record, "cancelled", why, again=changed)
        except RunInterrupted:
            if self._training.stopped:
                _LOG.info("run %s rests: the coordinator is stopping", record.run)
                raise
            self._rest(record, "the operator paused it")
        except FedAudienceError as error:
            _LOG.error("run %s failed: %s", record.run, error)
            failed = record.changed(error=type(error).__name__)
            return self._end(failed, "failed", str(error)[:2_000])
        else:
            record = self._keep(record, result)
            if result.stopped != "site_missing":
                return self._hand_out(record, "")
            self._rest(record, f"no answer from {', '.join(result.missing)}")
        finally:
            self.view.run = None
        return None

    def _trained(self, manifest: Manifest) -> TrainingResult:
        """Train under the eyes of the run's audit log."""
        self._training.require_connected(manifest)
        contract = self._contracts.publish().contract
        with self.audits.training(manifest, contract) as account:
            return self._training.train(manifest, self._hear, account.on_message)

    def _rest(self, record: RunRecord, why: str) -> None:
        """Let a run rest until its sites are back; the trees that it has are kept."""
        self._say_once(record.run, f"run {record.run} rests: {why}")
        self.view.resting = record.run
        self.book.write(record.changed(rests_since=record.rests_since or self._clock()))

    def pause(self) -> None:
        """Let a run under way rest at the end of its level; may be called from any thread."""
        self._training.stop()

    def _say_once(self, about: str, text: str) -> None:
        """Log what was not the last said ``about`` it: these are looked at every few seconds."""
        if text != self._said.get(about):
            self._said[about] = text
            if text:
                _LOG.info("%s", text)

    def _hear(self, event: TrainingEvent) -> None:
        if isinstance(event, TreeGrown):
            self.view.trees = (event.number, self.view.trees[1])
            self._on_change()

    def _keep(self, record: RunRecord, result: TrainingResult) -> RunRecord:
        """Keep the model of a run, whole or as far as it came."""
        metrics = metrics_document(result)
        made = mm.Made(
            model_text=result.model_text,
            encoder=result.encoder.to_json(),
            metrics=json.dumps(metrics, sort_keys=True) if metrics else None,
            base_scores=result.base_scores,
            rounds=result.rounds,
            warnings=tuple(warning[:2_000] for warning in result.warnings),
        )
        self.book.keep_made(record.run, made.model_dump_json().encode())
        return self.book.write(
            record.changed(
                model_sha256=result.sha256,
                stopped=result.stopped,
                trees_grown=result.trees_grown,
                trees_kept=result.best_iteration,
                bytes_up=dict(result.bytes_up),
            )
        )

    def _hand_out(self, record: RunRecord, why: str) -> RunRecord:
        """End a run with the model that is kept of it, and bring that to its sites."""
        _LOG.info("run %s made model %s", record.run, record.model_sha256)
        digest = sha256(self.book.made(record.run)).hexdigest()
        outcome = mm.Outcome(run=record.run, status="succeeded", why=why, made_sha256=digest)
        ended = record.changed(stage="ended", ended=self._clock(), outcome=outcome)
        return self._outcomes.deliver(self.book.write(ended))

    def _end(
        self, record: RunRecord, status: str, why: str, *, again: bool | None = None
    ) -> RunRecord:
        """End a run without a model.

        ``again``: whether its requests are queued anew; without it, those of a cancelled run are.
        """
        level = logging.INFO if status == "unchanged" else logging.WARNING
        _LOG.log(level, "run %s is %s: %s", record.run, status, why)
        outcome = mm.Outcome.model_validate(
            {
                "run": record.run,
                "status": status,
                "why": why,
                "again": status == "cancelled" if again is None else again,
            }
        )
        ended = record.changed(stage="ended", ended=self._clock(), outcome=outcome)
        return self._outcomes.deliver(self.book.write(ended))


def waiting_for(decisions: Mapping[str, Decision]) -> str:
    """Say in one line whom the models that somebody has queued are waiting for."""
    lines = [
        f"{one.model}: " + ", ".join(f"{site} {why}" for site, why in sorted(one.waits.items()))
        for one in decisions.values()
        if one.asked and one.waits
    ]
    return "; ".join(lines)
