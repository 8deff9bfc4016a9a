"""The coordinator's side of a private run: noisy counts, bins, then trees of one feature."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.federation import events as e
from fed_audience.federation import messages as m
from fed_audience.federation.messages.payload import bins_to_arrays
from fed_audience.federation.private import noisy_checks
from fed_audience.federation.private.noisy_bins import noisy_bins
from fed_audience.federation.private.noisy_metrics import SCORES_REACH, SUMS, NoisyMetrics
from fed_audience.federation.private.one_feature_tree import leaf_values, one_feature_tree, ridge
from fed_audience.federation.private.recipe import HESSIAN_FACTOR, count_reach, plan_of, row_reach
from fed_audience.federation.private.turns import Turns
from fed_audience.gbdt.bins import CategoryBins
from fed_audience.gbdt.objectives import objective_of
from fed_audience.privacy.dp.plan import ROW_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.coordinator import Coordinator
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.tree import Tree

    Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrivateTrees:
    """What a private run has learnt. ``rows``: training rows of all sites, as far as is known.

    ``metrics``: over the rows held out, None where none are.
    """

    bins: tuple[FeatureBins, ...]
    trees: tuple[Tree, ...]
    base_score: float
    rows: int
    metrics: NoisyMetrics | None


class PrivateTraining:
    """The rounds of one private run, over the sites that hold labels."""

    def __init__(
        self,
        coordinator: Coordinator,
        manifest: Manifest,
        on_event: Callable[[e.TrainingEvent], None],
    ) -> None:
        self._coordinator = coordinator
        self._manifest = manifest
        self._on_event = on_event
        self._plan = plan_of(manifest)
        self._public = {values.feature: values for values in manifest.public}
        self._fixed = objective_of(manifest.parameters).fixed
        self._reach = row_reach(self._fixed)

    def run(self) -> PrivateTrees:
        """Agree the bins and grow all trees.

        Raises FederationError for sums that cannot be, ConfigError for a delta that the number of
        rows makes meaningless.
        """
        categories = self._hash_categories()
        negatives, positives, cells = self._count()
        rows = negatives + positives
        self._plan.terms.require_delta_below(max(1, round(rows)))
        bins, most = self._bins(cells, categories, rows)
        least = max(1.0, self._plan.sum_deviation("base_rate", ROW_UNITS) / ROW_UNITS)
        base = log(max(positives, least) / max(negatives, least))
        slot = self._coordinator.slot(m.PREPARATION, 3)
        request = m.FixNoisyBins(slot=slot, base_score=base, **bins_to_arrays(bins))
        self._coordinator.ask(request, self._manifest.training_sites, m.BinsFixed)
        sent = 16 * max(feature_bins.size + 1 for feature_bins in bins)
        cells_in_all = sum(feature_bins.size + 1 for feature_bins in bins)
        self._on_event(e.BinsAgreed(max(0, round(rows)), 0, cells_in_all, sent))
        trees, updated, values = self._grow(bins, most)
        self._on_event(e.TrainingStopped("all_trees", len(trees), len(trees)))
        metrics = None
        if self._plan.held_out is not None:
            metrics = self._measure(updated, values, base)
        return PrivateTrees(bins, trees, base, max(0, round(rows)), metrics)

    def _hash_categories(self) -> dict[str, CategoryBins]:
        """Ask under which hash each public category is known: the same at every site."""
        declared = [self._public[feature.name] for feature in self._manifest.features]
        sizes = [len(values.categories) for values in declared]
        if not sum(sizes):
            return {}
        request = m.HashCategories(slot=self._coordinator.slot(m.PREPARATION, 1))
        answers = self._coordinator.ask(request, self._manifest.training_sites, m.CategoryHashes)
        first = next(iter(answers.values())).prefixes
        if len(first) != sum(sizes) or any(
            not np.array_equal(answer.prefixes, first) for answer in answers.values()
        ):
            raise FederationError(
                "the sites know the declared categories under different hashes",
                fix="give every site the same category key and the same version",
            )
        parts = np.split(first, np.cumsum(sizes)[:-1])
        return {
            # Two names of one hash, one in 2^24, share a code.
            values.feature: CategoryBins(tuple(dict.fromkeys(part.tolist())))
            for values, part in zip(declared, parts, strict=True)
            if values.categorical
        }

    def _count(self) -> tuple[float, float, dict[str, Integers]]:
        """Noisy rows by label, in rows, and by cell of each number, in units."""
        numeric = [values for values in self._public.values() if not values.categorical]
        ordered = [f.name for f in self._manifest.features if not f.categorical]
        sizes = [self._public[name].cells().size + 1 for name in ordered]
        request = m.CountNoisily(slot=self._coordinator.slot(m.PREPARATION, 2))
        total = self._coordinator.sum(
            request, self._manifest.training_sites, m.NoisyCounts, 2 + sum(sizes)
        )
        self._on_event(e.BinningRound(0, len(total)))
        labels = total[:2] / ROW_UNITS
        of_labels = self._plan.sum_deviation("base_rate", ROW_UNITS) / ROW_UNITS
        noisy_checks.check_counts(labels, deviation=of_labels, where="the rows by label")
        cells = dict(zip(ordered, np.split(total[2:], np.cumsum(sizes)[:-1]), strict=True))
        if numeric:
            of_cells = self._cell_deviation() / ROW_UNITS
            for name, found in cells.items():
                where = f"the cells of feature {name}"
                noisy_checks.check_counts(found / ROW_UNITS, deviation=of_cells, where=where)
                noise = sqrt(len(found) * of_cells**2 + 2 * of_labels**2)
                rows, counted = float(labels.sum()), float(found.sum() / ROW_UNITS)
                noisy_checks.check_equal_totals(rows, counted, deviation=noise, where=where)
        return float(labels[0]), float(labels[1]), cells if numeric else {}

    def _cell_deviation(self) -> float:
        """Deviation of the noise in a cell's count, in units."""
        return self._plan.sum_deviation("bins", count_reach(self._plan.numeric))

    def _bins(
        self, cells: dict[str, Integers], categories: dict[str, CategoryBins], rows: float
    ) -> tuple[tuple[FeatureBins, ...], float]:
        """Return the bins of every feature, and an upper bound for the rows of any bin."""
        bins: list[FeatureBins] = []
        for feature in self._manifest.features:
            if feature.categorical:
                bins.append(categories[feature.name])
                continue
            bins.append(
                noisy_bins(
                    self._public[feature.name],
                    cells[feature.name],
                    deviation=self._cell_deviation(),
                    max_bin=self._manifest.parameters.max_bin,
                )
            )
        of_labels = self._plan.sum_deviation("base_rate", ROW_UNITS) / ROW_UNITS
        return tuple(bins), rows + noisy_checks.TOLERANCE * sqrt(2) * of_labels

    def _grow(
        self, bins: tuple[FeatureBins, ...], most_rows: float
    ) -> tuple[tuple[Tree, ...], int, NDArray[np.float64]]:
        """Return the trees, and of the last one the feature and the values of its bins."""
        parameters, fixed = self._manifest.parameters, self._fixed
        deviation = self._plan.sum_deviation("trees", self._reach) * fixed.gradient_unit
        trees: list[Tree] = []
        updated, values, turns = 0, np.empty(0), Turns(len(bins))
        for number in range(parameters.n_estimators):
            feature = turns.next()
            sums = self._sum(number, feature, bins[feature].size + 1, updated, values)
            gradients = sums[:, 0] * np.float64(fixed.gradient_unit)
            hessians = sums[:, 1] * np.float64(fixed.hessian_unit / HESSIAN_FACTOR)
            noisy_checks.check_sums(
                gradients,
                hessians,
                rows=most_rows,
                deviation=deviation,
                where=f"tree {number + 1}, feature {self._manifest.features[feature].name}",
            )
            updated, values = (
                feature,
                leaf_values(
                    gradients,
                    hessians,
                    deviation=deviation,
                    learning_rate=parameters.learning_rate,
                ),
            )
            turns.took(
                feature,
                gradients,
                hessians,
                variance=deviation**2,
                ridge=ridge(deviation),
                learning_rate=parameters.learning_rate,
            )
            sums[:, 1] //= HESSIAN_FACTOR
            tree = one_feature_tree(
                feature, bins[feature], values, sums, ridge(deviation) / fixed.hessian_unit
            )
            trees.append(tree)
            self._on_event(e.TreeGrown(number + 1, parameters.n_estimators, tree.leaves))
        return tuple(trees), updated, values

    def _measure(
        self, updated: int, values: NDArray[np.float64], base_score: float
    ) -> NoisyMetrics:
        """Measure the model on the rows held out at all sites."""
        slot = self._coordinator.slot(m.EVALUATION, 0)
        request = m.ScoreNoisily(slot=slot, updated=updated, values=values)
        sites = self._manifest.training_sites
        sums = self._coordinator.sum(request, sites, m.NoisyScores, SUMS)
        deviation = self._plan.sum_deviation("evaluation", SCORES_REACH)
        where = "the rows held out, by score"
        noisy_checks.check_counts(
            sums[:-1] / ROW_UNITS, deviation=deviation / ROW_UNITS, where=where
        )
        return NoisyMetrics.of(sums, base_score, deviation)

    def _sum(
        self, number: int, feature: int, slots: int, updated: int, values: NDArray[np.float64]
    ) -> Integers:
        """Noisy sums of the feature's bins: int64[slots, 2], in units."""
        request = m.SumFeature(
            slot=self._coordinator.slot(number, 0), feature=feature, updated=updated, values=values
        )
        sites = self._manifest.training_sites
        return self._coordinator.sum(request, sites, m.NoisySums, 2 * slots).reshape(-1, 2)
