"""Growing the trees: one round a level, leaf values riding on the next trees' roots."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.journal_records import FinishedTrees
from fed_audience.federation.messages.payload import (
    leaves_to_arrays,
    nodes_to_array,
    splits_to_arrays,
)
from fed_audience.federation.rounds.coordinator import SiteMissing
from fed_audience.federation.rounds.sum_checks import FIND_IT, BrokenSums, SumChecks
from fed_audience.gbdt.growing.histogram_pool import HistogramPool
from fed_audience.gbdt.growing.lockstep import LockstepGrowth
from fed_audience.gbdt.growing.sampling import drawn_features
from fed_audience.gbdt.kernels.histogram import SlotLayout
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.result import RowCounts
    from fed_audience.federation.rounds.cohort import Cohort
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.growing.grower import NodeSplit
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.objectives import Objective
    from fed_audience.gbdt.tree import Tree


Stopped = Literal["all_trees", "early_stopping", "no_gain", "site_missing"]
"""Why no more trees are grown."""


@dataclass(frozen=True, slots=True)
class GrownTrees:
    """All trees that were finished, a tree a class in each round, and how many rounds to keep.

    ``clipped``: share of all gradients that did not fit the label cap. ``missing``: the sites
    without which no further tree could be grown.
    """

    trees: tuple[Tree, ...]
    best_iteration: int
    stopped: Stopped
    losses: tuple[float, ...]
    clipped: float
    missing: tuple[str, ...]


class BoostingRounds:
    """The trees of one run at the coordinator.

    The trees of all classes grow in the same rounds. The validation loss of the trees so far comes
    with the next roots. Losses are compared as integers; of equal ones the earlier wins. Those of
    different sites are not compared: when sites leave, the search for the best begins anew.

    A tree that loses a site below its root ends there: its leaves' values follow from the sums at
    hand. Without a site that the rules cannot spare, the finished trees are the model.
    """

    def __init__(
        self,
        cohort: Cohort,
        manifest: Manifest,
        bins: tuple[FeatureBins, ...],
        objective: Objective,
        counts: RowCounts,
        rows_by_slot: NDArray[np.int64],
        base_scores: tuple[float, ...],
        on_event: Callable[[TrainingEvent], None],
    ) -> None:
        self._cohort = cohort
        self._sites = cohort.sites
        self._manifest = manifest
        self._parameters = manifest.parameters
        self._layout = SlotLayout.from_bins(bins)
        self._objective = objective
        self._counts = counts
        self._base_scores = np.array(base_scores)
        self._on_event = on_event
        self._names = [feature.name for feature in manifest.features]
        signs = dict(manifest.parameters.monotone_constraints)
        self._monotone = np.array([signs.get(name, 0) for name in self._names], dtype=np.int8)
        self._team = ALONE
        self._pool = HistogramPool()
        self._checks = SumChecks(rows_by_slot, objective.fixed, self._names)
        self._trees: list[tuple[Tree, ...]] = []
        self._losses: list[int] = []
        self._changed: list[int] = []
        self._clipped: list[int] = []

    def run(self, team: Team = ALONE) -> GrownTrees:
        """Grow trees until all are grown, the loss stops falling, or nothing gains.

        ``team`` searches for splits. Raises SiteMissing when a site is missing before the first
        tree is finished.
        """
        self._team = team
        stopped, missing = self._stop()
        kept = self._best() if self._validates else len(self._trees)
        if missing and kept == len(self._losses) - 1:
            kept = len(self._trees)
        self._on_event(e.TrainingStopped(stopped, len(self._trees), kept))
        return GrownTrees(
            tuple(tree for trees in self._trees for tree in trees),
            kept,
            stopped,
            tuple(map(self._mean, range(len(self._losses)))),
            sum(self._clipped) / max(self._counts.rows * len(self._clipped), 1),
            missing,
        )

    def _stop(self) -> tuple[Stopped, tuple[str, ...]]:
        try:
            return self._grow_all(), ()
        except SiteMissing as error:
            if not self._trees:
                raise
            text = f"{error.what} ({error.limit}): the {len(self._trees)} finished trees are kept"
            self._on_event(e.SiteWarning("", text))
            return "site_missing", error.sites

    def _grow_all(self) -> Stopped:
        nothing: list[dict[int, float]] = [{} for _ in range(self._objective.classes)]
        closing = _closing([() for _ in nothing], nothing)
        for number in range(self._parameters.n_estimators):
            if finished := self._cohort.finished(number):
                closing = self._restore(finished)
                continue
            drawn = self._draw(number)
            roots, loss = self._start(number, drawn, closing)
            if self._overdue():
                return "early_stopping"
            growing = LockstepGrowth(
                self._layout, self._parameters, self._objective.fixed, self._rows, drawn,
                self._monotone, self._team, self._pool,
            )  # fmt: skip
            unsent = self._grow(number, growing, roots)
            trees = growing.trees()
            if not any(tree.splits for tree in trees):
                return "no_gain"
            done = FinishedTrees(
                number, trees, unsent, growing.leaf_values(), loss, self._clipped[-1],
                self._cohort.sites,
            )  # fmt: skip
            self._cohort.keep(done)
            closing = _closing(done.unsent, done.leaves)
            self._add(trees)
        self._finish(closing)
        return "all_trees"

    def _add(self, trees: tuple[Tree, ...]) -> None:
        self._trees.append(trees)
        leaves = sum(tree.leaves for tree in trees)
        number, limit = len(self._trees), self._parameters.n_estimators
        self._on_event(e.TreeGrown(number, limit, leaves))

    def _restore(self, finished: FinishedTrees) -> dict[str, Any]:
        """Take over trees that were finished before an interruption; return what closes them."""
        for site, text in finished.warnings:
            self._on_event(e.SiteWarning(site, text))
        self._cohort.restore(finished.cohort)
        self._note_loss(finished.loss)
        self._clipped.append(finished.clipped)
        self._add(finished.trees)
        return _closing(finished.unsent, finished.leaves)

    @property
    def _validates(self) -> bool:
        return self._parameters.early_stopping_round > 0 and self._counts.validation_rows > 0

    @property
    def _rows(self) -> int:
        """Rows that a tree is expected to train with."""
        return max(1, round(self._counts.rows * self._parameters.bagging_fraction))

    def _draw(self, number: int) -> NDArray[np.int64]:
        mask = drawn_features(
            self._names,
            fraction=self._parameters.feature_fraction,
            seed=self._parameters.seed,
            tree=number,
        )
        return np.flatnonzero(mask)

    def _start(
        self, number: int, drawn: NDArray[np.int64], closing: dict[str, Any]
    ) -> tuple[NDArray[np.int64], int]:
        """Close the trees before; return the roots' histograms and the loss that comes along."""
        self._checks.draw(drawn, self._layout)
        how = self._checks.packing()
        request = m.StartTree(
            slot=self._cohort.slot(number, 0),
            base_scores=self._base_scores,
            features=drawn.astype(np.int32),
            packing=how.packing,
            wide=how.wide,
            **closing,
        )
        classes = self._objective.classes
        size = how.size(classes, rides=2)
        sums = self._cohort.sum(request, m.RootHistogram, size, how.ring)
        roots, (loss, clipped) = how.unpack(sums, classes, rides=2)
        self._checks.roots(number, roots)
        self._checks.rides(number, int(loss), int(clipped), self._counts.rows * classes)
        self._note_loss(int(loss))
        self._clipped.append(int(clipped))
        return roots, int(loss)

    def _grow(
        self, number: int, growing: LockstepGrowth, roots: NDArray[np.int64]
    ) -> list[list[NodeSplit]]:
        """Grow one round of trees; return the splits that some site may not know yet."""
        self._take(growing.start, roots)
        level = 0
        while build := growing.build:
            level += 1
            unsent = growing.unsent()
            how = self._checks.packing(growing.largest_hessian)
            request = m.GrowLevel(
                slot=self._cohort.slot(number, level),
                build=nodes_to_array(build),
                packing=how.packing,
                wide=how.wide,
                **splits_to_arrays(unsent),
            )
            nodes = sum(map(len, build))
            try:
                sums = self._cohort.sum(request, m.LevelHistogram, how.size(nodes), how.ring)
            except SiteMissing as error:
                text = f"{error.what}: tree {number + 1} ends at level {level}"
                self._on_event(e.SiteWarning("", text))
                return unsent
            built, _ = how.unpack(sums, nodes)
            parents = growing.parents_of_build()
            self._checks.children(number, built, growing.pool.sums, parents, self._team)
            self._take(growing.advance, built)
        return growing.unsent()

    def _take(self, grow: Callable[[NDArray[np.int64]], None], sums: NDArray[np.int64]) -> None:
        """Let the trees take ``sums``; features that do not agree on a node are broken sums."""
        try:
            grow(sums)
        except FederationError as error:
            raise BrokenSums(
                error.what, value=error.value, limit=error.limit, looked=error.looked, fix=FIND_IT
            ) from error

    def _finish(self, closing: dict[str, Any]) -> None:
        """Close the last trees, when nothing else would, and get their loss."""
        slot = self._cohort.slot(len(self._trees), 0)
        request = m.FinishTraining(slot=slot, **closing)
        self._note_loss(int(self._cohort.sum(request, m.ValidationLoss, 1)[0]))

    def _note_loss(self, loss: int) -> None:
        if not self._validates:
            return
        trees = len(self._losses)
        if self._cohort.sites != self._sites:
            self._sites = self._cohort.sites
            self._changed.append(trees)
        self._losses.append(loss)
        self._on_event(e.ValidationMeasured(trees, self._mean(trees), self._best() == trees))

    def _best(self) -> int:
        since = self._changed[-1] if self._changed else 0
        comparable = self._losses[since:]
        return since + comparable.index(min(comparable))

    def _overdue(self) -> bool:
        if not self._validates:
            return False
        return len(self._losses) - 1 - self._best() >= self._parameters.early_stopping_round

    def _mean(self, trees: int) -> float:
        """Mean loss after ``trees`` rounds; NaN where sites had left, whose weight is not told."""
        if self._changed and trees >= self._changed[0]:
            return nan
        return self._objective.mean_loss(self._losses[trees], self._counts.validation_weight)


def _closing(
    last: Sequence[Sequence[NodeSplit]], values: Sequence[Mapping[int, float]]
) -> dict[str, Any]:
    return {**splits_to_arrays(last), **leaves_to_arrays(values)}
