"""One run at one brand: a claimed request, rows with consent, a program that answers rounds."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ContractError, FedAudienceError, FederationError
from fed_audience.federation import SiteProgram
from fed_audience.federation import messages as m
from fed_audience.federation.contract.checks import require_signed
from fed_audience.federation.lasting.site_checkpoint import SiteCheckpoint
from fed_audience.jobs.agent_memory import AgentMemory
from fed_audience.jobs.consent_age import refuse_old_ledger
from fed_audience.jobs.consented_rows import ConsentedRows
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.feature_checks import check_request
from fed_audience.jobs.lookalike import lookalike_settings, seed_warnings
from fed_audience.jobs.members import Members
from fed_audience.jobs.participants import check_rows
from fed_audience.jobs.private_training import keeper_of
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.spread_training import SpreadConsentedRows
from fed_audience.jobs.training_content import trained_in
from fed_audience.warehouse.control import (
    LEASE,
    claim_request,
    release_request,
    renew_claim,
    verify_build,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from fed_audience.federation import Manifest
    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.federation.own_copies import OwnCopies
    from fed_audience.federation.private.keeper import PrivacyKeeper
    from fed_audience.federation.workers.spread_run import SpreadCopies
    from fed_audience.jobs.settings import FederationSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.jobs.training_content import TrainedOn
    from fed_audience.privacy.site import SecureSite
    from fed_audience.warehouse.control import TrainingRequest

    TrainingRows = ConsentedRows | SpreadConsentedRows

BEATS_A_LEASE: Final = 4
PROGRESS_SECONDS: Final = 2.0
"""How often the warehouse is told how far a run is, where that has changed."""


@dataclass(frozen=True, slots=True)
class Station:
    """Where an agent stands. ``folder``: of its memory; ``clock`` gives naive UTC."""

    config: Path
    site: Site
    category_key: bytes = field(repr=False)
    folder: Path
    clock: Callable[[], datetime]

    @property
    def settings(self) -> FederationSettings:
        """The site's settings as they are now: the contract, and with it the models, may change."""
        return load_federation(self.config)

    @property
    def name(self) -> str:
        """Name of the site."""
        return self.site.name

    @property
    def claimed_by(self) -> str:
        """Under which name requests are claimed; the same after a restart."""
        return f"fed-audience agent of {self.site.name}"


class AgentRun:
    """The brand's part in one run. ``handle`` answers its rounds.

    The claim is renewed in the background, four times a lease and as the trees grow; ``lost`` says
    so when somebody else holds the request by now, and no round is answered any more. Hold
    ``writing`` to change the request: two that change one row at once would break one of them.
    """

    def __init__(
        self,
        station: Station,
        manifest: Manifest,
        rows: TrainingRows,
        program: SiteProgram,
        checkpoint: SiteCheckpoint,
    ) -> None:
        self.manifest = manifest
        self.began = station.clock()
        self.rows = rows
        self.lost: str | None = None
        self.writing = threading.Lock()
        self.progress = f"run {manifest.run_id}: ready for the first round"
        self._station = station
        self._program = program
        self._checkpoint = checkpoint
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._heart.start()

    @property
    def request(self) -> TrainingRequest:
        """The request that the run answers."""
        return self.rows.request

    def handle(self, body: bytes) -> bytes:
        """Answer one round. Raises ContractError once the request is no longer ours."""
        if self.lost is not None:
            raise ContractError(self.lost, fix="wait for the next run")
        answer = self._program.handle(body)
        with suppress(FederationError):  # what is no request is answered, and no progress
            self.progress = self._reached(m.decode_request(body).slot)
        return answer

    def _reached(self, slot: m.Slot) -> str:
        """Say how far the run is."""
        most = self.manifest.parameters.n_estimators
        if slot.tree == m.PREPARATION:
            words = "agreeing on bins"
        elif slot.tree == m.EVALUATION:
            words = "measuring the model"
        else:
            words = f"tree {slot.tree + 1:,} of at most {most:,}"
        return f"run {self.manifest.run_id}: {words}"

    def own_copies(self) -> OwnCopies | SpreadCopies:
        """Make what this site alone keeps of the training; nothing of it leaves."""
        return self._program.own_copies()

    def forget(self) -> None:
        """Forget the run's rows, keys and checkpoint: it is over."""
        slot = m.Slot(run=self.manifest.run_id, tree=m.PREPARATION, level=0)
        self._program.handle(m.encode(m.ForgetRun(slot=slot)))

    def close(self) -> None:
        """Let the claim rest, and the checkpoint go; the run can be taken up again from it."""
        self._ended.set()
        self._heart.join()
        self._checkpoint.close()
        self.rows.close()

    def _beat(self) -> None:
        every = LEASE.total_seconds() / BEATS_A_LEASE
        told, renewed = "", time.monotonic()
        while not self._ended.wait(PROGRESS_SECONDS):
            progress = self.progress
            if progress == told and time.monotonic() - renewed < every:
                continue
            try:
                with self.writing, self._station.site.open() as warehouse:
                    if self._ended.is_set():
                        return
                    renew_claim(
                        warehouse,
                        self.request,
                        claimed_by=self._station.claimed_by,
                        now=self._station.clock(),
                        progress=progress,
                    )
                told, renewed = progress, time.monotonic()
            except FedAudienceError as error:
                # A warehouse that is busy now is asked again; the lease outlives three misses.
                if "no longer ours" in error.what:
                    self.lost = str(error)
                    return


def begin_run(station: Station, manifest: Manifest) -> AgentRun:
    """Claim the request of ``manifest``'s model, read the rows that consent allows, stand ready.

    Whatever fails gives the request back, but a stale build, which ends it. Raises ContractError
    for a run that is not what was signed and for a table that is not what was agreed.
    """
    contract = _signed(station, manifest)
    with station.site.open() as warehouse:
        request = claim_request(
            warehouse,
            claimed_by=station.claimed_by,
            now=station.clock(),
            model_name=manifest.model_name,
        )
    if request is None:
        raise ContractError(
            f"{station.name} has no training of that model queued any more",
            value=manifest.model_name,
            fix="`dbt build` queues the next one",
        )
    return _ready(station, contract, manifest, request)


def resume_run(station: Station, manifest: Manifest, request: TrainingRequest) -> AgentRun:
    """Stand in a run again after a restart, from its checkpoint.

    The rows are read anew, with consent as of now: the program refuses to go on when one that the
    run began with is gone. Raises WarehouseError when the request is no longer ours.
    """
    contract = _signed(station, manifest)
    with station.site.open() as warehouse:
        renew_claim(warehouse, request, claimed_by=station.claimed_by, now=station.clock())
    return _ready(station, contract, manifest, request)


def brought_to(station: Station, run: AgentRun) -> TrainedOn:
    """Hash what the site brings to ``run``, by which it tells later that nothing has changed."""
    agent = station.settings.agent
    return trained_in(
        run.rows.participant.rows.table,
        run.request.spec,
        run.manifest,
        _signed(station, run.manifest),
        station.category_key,
        continuation=agent is not None and agent.continuation,
    )


def release(station: Station, request: TrainingRequest) -> None:
    """Give the request back to the queue; one that is no longer ours stays as it is."""
    with station.site.open() as warehouse:
        release_request(warehouse, request, claimed_by=station.claimed_by)


def _signed(station: Station, manifest: Manifest) -> Contract:
    """Return the contract that the site signed. Raises ContractError unless the run is in it."""
    signed = Contracts(station.settings).signed_by(station.name)
    if signed is None:
        raise ContractError(
            f"{station.name} has not signed a contract",
            fix=f"`fed-audience federation sign {station.name}` there",
        )
    require_signed(signed.contract, manifest)
    return signed.contract


def _ready(
    station: Station, contract: Contract, manifest: Manifest, request: TrainingRequest
) -> AgentRun:
    try:
        with station.site.open() as warehouse:
            verify_build(warehouse, request, now=station.clock())
            terms = contract.model(manifest.model_name)
            check_request(station.site, warehouse, terms, request)
        _check_partners(station, manifest, request)
        refuse_old_ledger(station.settings, station.site, station.clock())
        rows = _rows(station, request, manifest, terms)
        _check_rows(station, manifest, rows)
        keeper = _keeper(station, manifest, rows)
        secure = _secure(station, contract, rows)
        if isinstance(rows, SpreadConsentedRows):
            rows.connect()
    except FedAudienceError as error:
        # One that verify_build ended as stale is no longer ours to give back; one that cannot be
        # reached is free again when its lease ends.
        with suppress(FedAudienceError):
            release(station, request)
        error.looked = error.looked or f"training request of {station.name}"
        raise
    checkpoint = SiteCheckpoint(AgentMemory(station.folder).checkpoint)
    program = SiteProgram(
        station.name,
        rows.source,
        station.category_key,
        min_rows=station.settings.minimum_rows,
        secure=secure,
        keeper=keeper,
        threads=os.cpu_count() or 1,
        contract=contract,
        checkpoint=checkpoint,
    )
    return AgentRun(station, manifest, rows, program, checkpoint)


def _rows(
    station: Station, request: TrainingRequest, manifest: Manifest, terms: ModelTerms
) -> TrainingRows:
    """Let the agent hold the run's rows, or the workers that its settings name."""
    agent, site, clock = station.settings.agent, station.site, station.clock
    if agent is None or agent.rows is None:
        return ConsentedRows(site, request, manifest, terms, clock)
    return SpreadConsentedRows(site, request, manifest, terms, clock, agent.rows)


def _secure(station: Station, contract: Contract, rows: TrainingRows) -> SecureSite:
    builds = {station.name: rows.participant.build}
    members = Members(station.settings)
    return members.open(builds, accepts=contract.privacy.overrides)[station.name]


def _keeper(station: Station, manifest: Manifest, rows: TrainingRows) -> PrivacyKeeper | None:
    """Return what the site keeps over its noisy runs; None for a run without noise.

    Its budget is asked before anything leaves. Raises BudgetError where it does not suffice,
    ConfigError for a delta that promises nothing over so many rows.
    """
    if manifest.privacy is None:
        return None
    manifest.privacy.require_delta_below(rows.participant.rows.table.num_rows)
    keeper = keeper_of(station.settings, station.name)
    keeper.require_room(manifest)
    return keeper


def _check_rows(station: Station, manifest: Manifest, rows: TrainingRows) -> None:
    """Raise DataError for too few rows, or too few seeds of a lookalike."""
    training, settings = rows.training(), station.settings
    check_rows([rows.participant], {station.name: training}, settings.minimum_rows)
    model = settings.model(manifest.model_name)
    rules = lookalike_settings(settings, model, rows.request.spec, manifest.sites)
    if rules is not None:
        seed_warnings({station.name: training}, manifest.label, rules)


def _check_partners(station: Station, manifest: Manifest, request: TrainingRequest) -> None:
    strangers = set(manifest.sites) - {station.name, *request.spec.partners}
    if strangers:
        raise ContractError(
            f"{station.name} did not agree to train {request.model_name} with "
            f"{', '.join(sorted(strangers))}",
            limit=", ".join(request.spec.partners) or "no partners",
            looked=f"meta.fed_audience.partners of {request.relation.name}",
            fix="add them to the partners there, or leave the site out of the model's sites",
        )
