"""Training one model over sites: bins, base rate, trees, evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.control import RunCancelled
from fed_audience.federation.messages.payload import trees_to_arrays
from fed_audience.federation.private.recipe import plan_of
from fed_audience.federation.private.training import PrivateTraining
from fed_audience.federation.result import RowCounts, TrainingResult
from fed_audience.federation.rounds.boosting import BoostingRounds, GrownTrees
from fed_audience.federation.rounds.cohort import Cohort
from fed_audience.federation.rounds.coordinator import Coordinator, SiteMissing
from fed_audience.federation.rounds.preparing import Preparing
from fed_audience.federation.rounds.protection import Protection
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.explanation import importance
from fed_audience.gbdt.kernels.team import team_of
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.objectives import objective_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fed_audience.federation.lasting.control import RunControl
    from fed_audience.federation.lasting.journal import Journal
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.private.noisy_metrics import NoisyMetrics
    from fed_audience.federation.transport import RoundTransport
    from fed_audience.gbdt.evaluation import AnyMetrics
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.objectives import Objective

    OnEvent = Callable[[e.TrainingEvent], None]


MUCH_CLIPPED: Final = 0.01
"""Share of clipped gradients above which a warning is due."""


def train(
    transport: RoundTransport,
    manifest: Manifest,
    *,
    on_event: OnEvent | None = None,
    timeout: float = 600.0,
    retries: int = 2,
    threads: int = 1,
    journal: Journal | None = None,
    control: RunControl | None = None,
) -> TrainingResult:
    """Train ``manifest``'s model over the sites that ``transport`` reaches.

    The same manifest (its run id and sites aside) and the same rows give the same model text,
    however the rows are spread. ``on_event`` is called from this thread as the run proceeds.
    ``timeout``: seconds a site has for one answer; it is asked ``retries`` times more. A site that
    is then missing ends the tree at its last complete level. From ten sites on, three or more may
    be missing from the next; else the run ends, and the finished trees are the model.
    ``threads`` search for splits; sites of this process share them.

    ``journal``: a RunJournal makes the run last: should this process end, the same call goes on
    where it was, asks for no finished level again, and ends in the same bytes; so does a run that
    ended because sites were missing. ``control`` pauses or cancels the run from another thread.

    Raises FederationError when a site refuses, or is missing (SiteMissing) before a tree is
    finished, RowsChanged when one cannot go on with the rows it began with; DataError when the
    rows of all sites cannot be learnt from; RunPaused and RunCancelled; ResourceError when the
    journal cannot be written: the run goes on once it can.
    """
    if journal is not None:
        journal.begin(manifest)
    coordinator = Coordinator(
        transport,
        manifest.run_id,
        timeout=timeout,
        retries=retries,
        journal=journal,
        control=control,
    )
    team = team_of(threads)
    training = _Training(transport, manifest, coordinator, on_event or (lambda _: None), team)
    try:
        return training.run()
    except RunCancelled:
        coordinator.forget(manifest.sites)
        coordinator.journal.cancel()
        raise


def evaluate(
    transport: RoundTransport,
    manifest: Manifest,
    model: Model,
    *,
    number: int = 1,
    label_cap: float = 1.0,
    cohort: Sequence[str] | None = None,
) -> AnyMetrics | None:
    """Metrics of ``model`` on the validation rows of sites that have just trained ``manifest``.

    ``model`` must use the bins of that run; where brands have base scores of their own, theirs
    count and not the model's. ``number`` names the evaluation: it rises with each one of a run, 0
    being the one that training ends with. ``label_cap``: the result's; ``cohort`` too, where sites
    have left the run. None when no validation row exists.
    """
    objective = objective_of(
        manifest.parameters, label_cap=label_cap, weight_cap=manifest.weight_cap
    )
    coordinator = Coordinator(transport, manifest.run_id)
    asked = Cohort(coordinator, manifest, sites=cohort)
    return _evaluate(asked, objective, model, number)


class _Training:
    def __init__(
        self,
        transport: RoundTransport,
        manifest: Manifest,
        coordinator: Coordinator,
        on_event: OnEvent,
        team: Team,
    ) -> None:
        self._manifest = manifest
        self._coordinator = coordinator
        self._listener = on_event
        self._team = team
        self._warnings: list[str] = []
        self._journal = coordinator.journal
        self._preparing = Preparing(coordinator, manifest, self._tell)
        self._transport = transport

    def run(self) -> TrainingResult:
        manifest, journal = self._manifest, self._journal
        if not journal.completed:
            self._reach_sites()
        if journal.resumed:
            self._resume()
        if journal.preparation is None:
            self._preparing.open()
        result = self._train() if manifest.privacy is None else self._train_privately()
        if not result.missing:
            journal.complete()
        return result

    def _reach_sites(self) -> None:
        """Refuse a run that lacks a site; one that lasts waits for it as in any round."""
        absent = sorted(set(self._manifest.sites) - set(self._transport.sites()))
        if absent and not self._journal.lasts:
            raise FederationError(
                "a site of the manifest cannot be reached",
                value=", ".join(absent),
                limit=self._transport.sites(),
                fix="start the site, or leave it out of the manifest",
            )

    def _resume(self) -> None:
        """Let the sites that are left of the run ask for consent again before they go on."""
        journal = self._journal
        if not journal.completed:
            slot = self._coordinator.slot(m.PREPARATION, 0)
            sites = journal.cohort or self._manifest.sites
            self._coordinator.gather(m.ResumeRun(slot=slot), sites, m.RunResumed)
        self._tell(e.RunResumed(journal.finished))

    def _train(self) -> TrainingResult:
        manifest, coordinator = self._manifest, self._coordinator
        ready = self._journal.preparation
        if ready is None:
            ready = self._preparing.run()
        else:
            for site, text in ready.warnings:
                self._tell(e.SiteWarning(site, text))
        all_bins = sum(feature_bins.size + 1 for feature_bins in ready.bins)
        self._tell(e.BinsAgreed(ready.counts[0], ready.counts[1], all_bins, ready.level_bytes))
        bins, rows, counts = ready.bins, ready.rows_by_slot, RowCounts(*ready.counts)
        objective = objective_of(
            manifest.parameters, label_cap=ready.label_cap, weight_cap=manifest.weight_cap
        )
        base = objective.base_scores(ready.label_sums)
        cohort = Cohort(coordinator, manifest, self._tell)
        boosting = BoostingRounds(cohort, manifest, bins, objective, counts, rows, base, self._tell)
        grown = boosting.run(self._team)
        if grown.clipped > MUCH_CLIPPED:
            text = f"{grown.clipped:.1%} of the gradients exceed the largest label: is it skewed?"
            self._tell(e.SiteWarning("", text))
        kept = grown.trees[: grown.best_iteration * objective.classes]
        own = (0.0,) * objective.classes if manifest.brand_base else base
        learning_rate = manifest.parameters.learning_rate
        model = Model(manifest.features, bins, kept, own, learning_rate, objective.text)
        metrics, missing = None, grown.missing
        if counts.validation_rows and not missing:
            metrics, missing = self._measure(cohort, objective, model)
        grown = replace(grown, missing=missing)
        return self._result(model, base, grown, counts, metrics, ready.label_cap, cohort.sites)

    def _train_privately(self) -> TrainingResult:
        """Train by the private recipe: nothing leaves a site without noise."""
        manifest = self._manifest
        found = PrivateTraining(self._coordinator, manifest, self._tell).run()
        text = objective_of(manifest.parameters).text
        rate, base = manifest.parameters.learning_rate, (found.base_score,)
        promised = json.dumps(plan_of(manifest).document(), sort_keys=True)
        model = Model(manifest.features, found.bins, found.trees, base, rate, text, promised)
        grown = GrownTrees(found.trees, len(found.trees), "all_trees", (), 0.0, ())
        held_out = 0 if found.metrics is None else max(0, round(found.metrics.rows))
        counts = RowCounts(found.rows, held_out, 0)
        sites = tuple(sorted(manifest.training_sites))
        return self._result(model, base, grown, counts, found.metrics, 1.0, sites)

    def _result(
        self,
        model: Model,
        base: tuple[float, ...],
        grown: GrownTrees,
        counts: RowCounts,
        metrics: AnyMetrics | NoisyMetrics | None,
        label_cap: float,
        cohort: tuple[str, ...],
    ) -> TrainingResult:
        manifest, coordinator = self._manifest, self._coordinator
        text, protection = to_text(model), Protection.of(manifest)
        books = coordinator.books
        if books.largest is None:
            raise FederationError("no site sent a message", fix="name at least one site")
        return TrainingResult(
            model_text=text,
            sha256=sha256(text.encode()).hexdigest(),
            encoder=Encoder(manifest.features, model.bins),
            model=model,
            base_scores=base,
            best_iteration=grown.best_iteration,
            trees_grown=len(grown.trees) // model.classes,
            stopped=grown.stopped,
            metrics=metrics,
            validation_losses=grown.losses,
            label_cap=label_cap,
            clipped=grown.clipped,
            counts=counts,
            rounds=books.rounds,
            bytes_up=books.bytes_up,
            bytes_down=books.bytes_down,
            largest_message=protection.as_read(books.largest),
            importance=importance(model),
            protection=protection,
            cohort=cohort,
            missing=grown.missing,
            privacy=None if manifest.privacy is None else plan_of(manifest),
            warnings=tuple(self._warnings),
        )

    def _measure(
        self, cohort: Cohort, objective: Objective, model: Model
    ) -> tuple[AnyMetrics | None, tuple[str, ...]]:
        """Evaluate the model; a site that is missing by now costs its measures alone."""
        try:
            return _evaluate(cohort, objective, model, 0), ()
        except SiteMissing as error:
            self._tell(e.SiteWarning("", f"{error.what}: the model is not measured"))
            return None, error.sites

    def _tell(self, event: e.TrainingEvent) -> None:
        if isinstance(event, e.SiteWarning):
            place = f"site {event.site}: " if event.site else ""
            self._warnings.append(place + event.text)
            self._journal.warned(event.site, event.text)
        self._listener(event)


def _evaluate(cohort: Cohort, objective: Objective, model: Model, number: int) -> AnyMetrics | None:
    request = m.ScoreValidation(
        slot=cohort.slot(m.EVALUATION, number),
        base_scores=np.array(model.base_scores),
        **trees_to_arrays(model.trees),
    )
    size = objective.evaluation_size
    sums = cohort.sum(request, m.ScoreHistogram, size)
    return objective.metrics(sums) if sums.any() else None
