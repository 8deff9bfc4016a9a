"""Training one model over sites: bins, base rate, trees, evaluation."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import ConfigError, DataError, FederationError
from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.binning import BinningRounds
from fed_audience.federation.boosting import BoostingRounds, GrownTrees, Stopped
from fed_audience.federation.cohort import Cohort
from fed_audience.federation.coordinator import Coordinator, LargestMessage, SiteMissing
from fed_audience.federation.key_agreement import agree_on_keys
from fed_audience.federation.payload import bins_to_arrays, trees_to_arrays
from fed_audience.federation.private.recipe import plan_of
from fed_audience.federation.private.training import PrivateTraining
from fed_audience.federation.protection import Protection
from fed_audience.gbdt.encoding import Encoder
from fed_audience.gbdt.explanation import FeatureImportance, importance
from fed_audience.gbdt.histogram import SlotLayout
from fed_audience.gbdt.model import Model, to_text
from fed_audience.gbdt.objectives import objective_of
from fed_audience.gbdt.team import team_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.transport import RoundTransport
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.evaluation import AnyMetrics
    from fed_audience.gbdt.objectives import Objective
    from fed_audience.gbdt.team import Team
    from fed_audience.privacy.dp.plan import PrivacyPlan

    OnEvent = Callable[[e.TrainingEvent], None]


MAX_LEVEL_BYTES: Final = 2**29
"""Most bytes that a site may have to send for one level of the trees that grow together."""

MUCH_CLIPPED: Final = 0.01
"""Share of clipped gradients above which a warning is due."""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of all sites together. ``validation_weight``: in the objective's unit of weight."""

    rows: int
    validation_rows: int
    validation_weight: int


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained model and the books of its run.

    ``metrics`` are those of the kept trees on the validation rows of all sites, None without
    validation rows. ``validation_losses[t]`` is the mean loss after t rounds of trees, of which
    the model keeps ``best_iteration``; ``trees_grown`` counts the rounds dropped after it too. It
    is NaN from when sites left, for the weight of the others' rows is not told.
    ``cohort``: the sites that the last tree was summed over. ``missing``: those without which the
    run could not go on (``stopped`` is then 'site_missing') or not be measured.
    ``base_scores`` are those of all brands: where each brand has its own, the model holds none.
    ``label_cap``: a power of two above every training label, 1 for classes. ``clipped``: share of
    gradients beyond it. ``bytes_up``: what left each site. ``privacy``: what a differentially
    private run promised and spent; its ``counts`` are noisy, and it measures nothing.
    """

    model_text: str
    sha256: str
    encoder: Encoder
    model: Model
    base_scores: tuple[float, ...]
    best_iteration: int
    trees_grown: int
    stopped: Stopped
    metrics: AnyMetrics | None
    validation_losses: tuple[float, ...]
    label_cap: float
    clipped: float
    counts: RowCounts
    rounds: int
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]
    largest_message: LargestMessage
    importance: Mapping[str, FeatureImportance]
    protection: Protection
    cohort: tuple[str, ...]
    missing: tuple[str, ...]
    privacy: PrivacyPlan | None
    warnings: tuple[str, ...]


def train(
    transport: RoundTransport,
    manifest: Manifest,
    *,
    on_event: OnEvent | None = None,
    timeout: float = 600.0,
    retries: int = 2,
    threads: int = 1,
) -> TrainingResult:
    """Train ``manifest``'s model over the sites that ``transport`` reaches.

    The same manifest (its run id and sites aside) and the same rows give the same model text,
    however the rows are spread. ``on_event`` is called from this thread as the run proceeds.
    ``timeout``: seconds a site has for one answer; it is asked ``retries`` times more. A site that
    is then missing ends the tree at its last complete level. From ten sites on, three or more may
    be missing from the next; else the run ends, and the finished trees are the model.
    ``threads`` search for splits; sites of this process share them.
    Raises FederationError when a site refuses, or is missing (SiteMissing) before a tree is
    finished; DataError when the rows of all sites cannot be learnt from.
    """
    coordinator = Coordinator(transport, manifest.run_id, timeout=timeout, retries=retries)
    team = team_of(threads)
    return _Training(transport, manifest, coordinator, on_event or (lambda _: None), team).run()


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
        absent = sorted(set(manifest.sites) - set(transport.sites()))
        if absent:
            raise FederationError(
                "a site of the manifest cannot be reached",
                value=", ".join(absent),
                limit=transport.sites(),
                fix="start the site, or leave it out of the manifest",
            )

    def run(self) -> TrainingResult:
        manifest, coordinator = self._manifest, self._coordinator
        self._open()
        if manifest.secure and len(manifest.sites) > 1:
            agree_on_keys(coordinator, manifest)
        for weakness in Protection.of(manifest).weaknesses():
            self._tell(e.SiteWarning("", weakness))
        return self._train() if manifest.privacy is None else self._train_privately()

    def _train(self) -> TrainingResult:
        manifest, coordinator = self._manifest, self._coordinator
        binning = BinningRounds(coordinator, manifest, self._tell)
        bins = binning.run()
        objective = objective_of(
            manifest.parameters, label_cap=binning.label_cap, weight_cap=manifest.weight_cap
        )
        counts, label_sums = self._fix_bins(bins, binning, objective)
        rows = binning.rows_by_slot()
        base = objective.base_scores(label_sums)
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
        return self._result(model, base, grown, counts, metrics, binning.label_cap, cohort.sites)

    def _train_privately(self) -> TrainingResult:
        """Train by the private recipe: nothing leaves a site without noise."""
        manifest = self._manifest
        found = PrivateTraining(self._coordinator, manifest, self._tell).run()
        text = objective_of(manifest.parameters).text
        rate, base = manifest.parameters.learning_rate, (found.base_score,)
        promised = json.dumps(plan_of(manifest).document(), sort_keys=True)
        model = Model(manifest.features, found.bins, found.trees, base, rate, text, promised)
        grown = GrownTrees(found.trees, len(found.trees), "all_trees", (), 0.0, ())
        counts, sites = RowCounts(found.rows, 0, 0), tuple(sorted(manifest.training_sites))
        return self._result(model, base, grown, counts, None, 1.0, sites)

    def _result(
        self,
        model: Model,
        base: tuple[float, ...],
        grown: GrownTrees,
        counts: RowCounts,
        metrics: AnyMetrics | None,
        label_cap: float,
        cohort: tuple[str, ...],
    ) -> TrainingResult:
        manifest, coordinator = self._manifest, self._coordinator
        text, protection = to_text(model), Protection.of(manifest)
        if coordinator.largest is None:
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
            rounds=coordinator.rounds,
            bytes_up=coordinator.bytes_up,
            bytes_down=coordinator.bytes_down,
            largest_message=protection.as_read(coordinator.largest),
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
        self._listener(event)

    def _open(self) -> None:
        """Give every site the manifest; stop when they do not hold the same category key."""
        manifest = self._manifest
        slot = self._coordinator.slot(m.PREPARATION, 0)
        request = m.OpenRun(slot=slot, manifest=manifest.to_json())
        opened = self._coordinator.ask(request, manifest.sites, m.RunOpened)
        for site, reply in opened.items():
            if reply.manifest_sha256 != manifest.sha256:
                raise FederationError(
                    f"site {site} read another manifest",
                    value=reply.manifest_sha256,
                    limit=manifest.sha256,
                    fix="run the same version of fed-audience at the coordinator and every site",
                )
        if len({reply.category_check for reply in opened.values()}) > 1:
            raise FederationError(
                "the sites hash categories with different keys",
                value=", ".join(f"{s}: {r.category_check}" for s, r in sorted(opened.items())),
                fix="give every site the same category key",
            )
        self._tell(e.RunOpened(tuple(manifest.sites)))
        for site, reply in opened.items():
            self._warn(site, reply)

    def _warn(self, site: str, reply: m.RunOpened) -> None:
        for note in reply.notes:
            self._tell(e.SiteWarning(site, note.replace("_", " ") + " to train with"))
        for index in reply.missing_features:
            if index >= len(self._manifest.features):
                raise FederationError(f"site {site} lacks a feature that the run has not")
            name = self._manifest.features[index].name
            self._tell(e.SiteWarning(site, f"feature {name} is missing; its values are missing"))

    def _fix_bins(
        self, bins: tuple[FeatureBins, ...], binning: BinningRounds, objective: Objective
    ) -> tuple[RowCounts, NDArray[np.int64]]:
        """Let the training sites encode their rows; return what they count together."""
        manifest = self._manifest
        level_bytes = self._level_bytes(bins, objective)
        slot = self._coordinator.slot(m.PREPARATION, binning.rounds + 1)
        request = m.FixBins(slot=slot, label_cap=binning.label_cap, **bins_to_arrays(bins))
        sums = self._coordinator.sum(
            request, manifest.training_sites, m.LabelCounts, 3 + objective.sums_size
        )
        counts = RowCounts(*(int(value) for value in sums[:3]))
        if counts.rows > manifest.parameters.row_cap:
            raise DataError(
                "the sites together have more training rows than row_cap",
                value=counts.rows,
                limit=manifest.parameters.row_cap,
                fix="raise row_cap: it fixes the scale of the gradients before the first row",
            )
        if counts.rows == 0:
            raise DataError(
                "there are no training rows at any site",
                looked=", ".join(manifest.training_sites),
                fix="check the training tables: consent and cutoff may leave no row",
            )
        if manifest.parameters.early_stopping_round and not counts.validation_rows:
            self._tell(e.SiteWarning("", "no validation rows, so every tree is kept"))
        if manifest.label_sites is None and binning.rows > counts.rows:
            raise FederationError(
                "the sites counted more values than they have training rows",
                value=binning.rows,
                limit=counts.rows,
                fix="start the run again; a site's rows must not change while it trains",
            )
        all_bins = sum(feature_bins.size + 1 for feature_bins in bins)
        self._tell(e.BinsAgreed(counts.rows, counts.validation_rows, all_bins, level_bytes))
        return counts, sums[3:]

    def _level_bytes(self, bins: tuple[FeatureBins, ...], objective: Objective) -> int:
        """Bytes of the widest level of all trees together. Raises ConfigError for too many."""
        parameters = self._manifest.parameters
        # Of two siblings one is built, and the deepest nodes never are.
        nodes = max(1, min(1 << max(parameters.max_depth - 2, 0), parameters.num_leaves // 2))
        if parameters.leaves_per_round:
            nodes = min(nodes, parameters.leaves_per_round)
        most = objective.classes * nodes * SlotLayout.from_bins(bins).slots * 16
        if most > MAX_LEVEL_BYTES:
            raise ConfigError(
                "a level of the trees would be too large a message",
                value=f"{most / 2**20:,.0f} MiB ({objective.classes} trees of {nodes} nodes)",
                limit=f"{MAX_LEVEL_BYTES / 2**20:,.0f} MiB",
                fix="lower max_depth, num_leaves or max_bin, or merge classes",
            )
        return most


def _evaluate(cohort: Cohort, objective: Objective, model: Model, number: int) -> AnyMetrics | None:
    request = m.ScoreValidation(
        slot=cohort.slot(m.EVALUATION, number),
        base_scores=np.array(model.base_scores),
        **trees_to_arrays(model.trees),
    )
    size = objective.evaluation_size
    sums = cohort.sum(request, m.ScoreHistogram, size)
    return objective.metrics(sums) if sums.any() else None
