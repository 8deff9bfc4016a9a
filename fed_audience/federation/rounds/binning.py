"""Agreeing the bins: counts, up to three refinements, cuts and category codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fed_audience.errors import DataError
from fed_audience.federation import messages as m
from fed_audience.federation.events import BinningRound, SiteWarning
from fed_audience.federation.messages.packing import counts_ring
from fed_audience.gbdt.bins.categories import BUCKETS, REFINED, category_bins, survivors
from fed_audience.gbdt.bins.cuts import numeric_bins, rows_by_bin
from fed_audience.gbdt.bins.grid import Grid, refine
from fed_audience.gbdt.bins.label_cap import MAGNITUDES, label_cap
from fed_audience.gbdt.objectives import objective_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fed_audience.federation.events import TrainingEvent
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.coordinator import Coordinator
    from fed_audience.gbdt.bins import FeatureBins

    Counts = NDArray[np.int64]


class BinningRounds:
    """The state of the binning rounds at the coordinator.

    In round 0 every feature is counted on the coarsest grid. A numeric feature takes part again
    while it has heavy cells, a categorical one once, to refine its well-filled buckets. All
    rounds ask the same sites; the result depends on the sums alone.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        manifest: Manifest,
        on_event: Callable[[TrainingEvent], None],
    ) -> None:
        self._coordinator = coordinator
        self._manifest = manifest
        self._on_event = on_event
        self._grids: dict[int, Grid] = {}
        self._counts: dict[int, Counts] = {}
        self._survivors: dict[int, NDArray[np.uint32]] = {}
        self.rows = 0
        self.rounds = 0
        self.label_cap = 1.0

    def run(self) -> tuple[FeatureBins, ...]:
        """Ask until nothing is left to refine; return the bins of every feature.

        Raises DataError when the sites hold no training rows at all.
        """
        features = self._manifest.features
        numeric = [i for i, feature in enumerate(features) if not feature.categorical]
        categorical = [i for i, feature in enumerate(features) if feature.categorical]
        self._grids = {i: Grid() for i in numeric}
        bounded = objective_of(self._manifest.parameters).bounded
        clipped = self._round(numeric, bucketed=categorical, labels=not bounded)
        self._warn_clipped(clipped)
        self.rows = self._training_rows(numeric, categorical)
        buckets = {i: self._counts[i] for i in categorical}
        floor = self._manifest.min_category_count
        self._survivors = {i: survivors(buckets[i], floor) for i in categorical}
        refined = [i for i in categorical if len(self._survivors[i])]
        while (heavy := self._refined_grids(numeric)) or refined:
            self._grids |= heavy
            self._round(list(heavy), refined=refined)
            numeric, refined = list(heavy), []
        return tuple(self._bins(i) for i in range(len(features)))

    def _refined_grids(self, numeric: list[int]) -> dict[int, Grid]:
        max_bin = self._manifest.parameters.max_bin
        grids = {
            i: refine(self._grids[i], self._counts[i], int(self._counts[i].sum()), max_bin)
            for i in numeric
        }
        return {i: grid for i, grid in grids.items() if grid is not None}

    def _round(
        self,
        numeric: list[int],
        bucketed: list[int] | None = None,
        refined: list[int] | None = None,
        *,
        labels: bool = False,
    ) -> dict[int, int]:
        """Ask for one round of counts and keep them; return clipped values by feature."""
        bucketed, refined = bucketed or [], refined or []
        chosen = [self._survivors[i] for i in refined]
        sizes = [self._grids[i].size + 1 for i in numeric]
        sizes += [BUCKETS] * len(bucketed) + [len(kept) * REFINED for kept in chosen]
        sizes += [MAGNITUDES] if labels else []
        request = m.CountValues(
            slot=self._coordinator.slot(m.PREPARATION, self.rounds + 1),
            numeric=tuple(numeric),
            grids=tuple(self._grids[i].to_json() for i in numeric),
            bucketed=tuple(bucketed),
            refined=tuple(refined),
            survivor_counts=tuple(len(kept) for kept in chosen),
            labels=labels,
            survivors=np.concatenate([np.empty(0, np.uint32), *chosen]).astype(np.uint32),
        )
        ring = counts_ring(self._manifest.parameters.row_cap)
        total = self._coordinator.sum(
            request, self._manifest.sites, m.ValueCounts, sum(sizes), ring
        )
        parts = np.split(total, np.cumsum(sizes)[:-1])
        self._on_event(BinningRound(self.rounds, len(total)))
        self.rounds += 1
        if labels:
            self.label_cap = label_cap(parts.pop())
        clipped: dict[int, int] = {}
        for i, part in zip([*numeric, *bucketed, *refined], parts, strict=True):
            self._counts[i] = part[:-1] if i in self._grids else part
            if i in self._grids:
                clipped[i] = int(part[-1])
        return clipped

    def _training_rows(self, numeric: list[int], categorical: list[int]) -> int:
        """Training rows of all sites. A run of categories alone learns them with the labels."""
        totals = {int(self._counts[i].sum()) for i in numeric}
        if len(totals) > 1:
            raise DataError(
                "the features' counts hold different numbers of rows",
                value=sorted(totals),
                fix="check that every site counts each training row once",
            )
        counted = [int(self._counts[i].sum()) for i in categorical]
        return max([*totals, *counted], default=0)

    def _bins(self, feature: int) -> FeatureBins:
        parameters = self._manifest.parameters
        counts = self._counts[feature]
        if feature in self._grids:
            return numeric_bins(
                self._grids[feature],
                counts,
                max_bin=parameters.max_bin,
                min_data_in_bin=parameters.min_data_in_bin,
            )
        kept = self._survivors[feature]
        floor = self._manifest.min_category_count
        refined = counts if len(kept) else np.empty(0, np.int64)
        return category_bins(kept, refined, max_bin=parameters.max_bin, floor=floor)

    def rows_by_slot(self) -> Counts:
        """Training rows of all sites in each slot of a histogram, feature by feature."""
        features = range(len(self._manifest.features))
        return np.concatenate([self._rows_by_slot(feature) for feature in features])

    def _rows_by_slot(self, feature: int) -> Counts:
        parameters, counts = self._manifest.parameters, self._counts[feature]
        if feature in self._grids:
            return rows_by_bin(
                counts,
                max_bin=parameters.max_bin,
                min_data_in_bin=parameters.min_data_in_bin,
            )
        kept = np.empty(0, np.int64)
        if len(self._survivors[feature]):
            common = counts[counts >= self._manifest.min_category_count]
            kept = np.sort(common)[::-1][: max(0, parameters.max_bin - 2)]
        return np.append(kept, self.rows - kept.sum())

    def _warn_clipped(self, clipped: dict[int, int]) -> None:
        for i, count in clipped.items():
            if count:
                name = self._manifest.features[i].name
                text = f"feature {name}: {count} infinite or huge values clipped to +-2^64"
                self._on_event(SiteWarning("", text))
