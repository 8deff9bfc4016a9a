"""What a site computes in one run: counts, then gradients, histograms and scores of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import DataError, FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.brand_scores import BrandScores, validation_scores
from fed_audience.federation.explaining import explained_rows
from fed_audience.federation.lasting.frozen_rows import digest_of_rows
from fed_audience.federation.messages.packing import SlotPacking, counts_ring
from fed_audience.federation.messages.payload import (
    bins_from_message,
    features_from_message,
    leaves_from_message,
    nodes_from_array,
    splits_from_message,
    trees_from_message,
)
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.own_copies import OwnCopies
from fed_audience.federation.site.freed_memory import give_back
from fed_audience.federation.site.steps import to_the_end
from fed_audience.gbdt.growing.booster import BinnedRows, RowBooster
from fed_audience.gbdt.kernels.team import ALONE
from fed_audience.gbdt.models.model import Model
from fed_audience.gbdt.objectives import objective_of
from fed_audience.privacy.masks import RING_64, Ring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.site.rows import SiteRows
    from fed_audience.federation.site.steps import Steps
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.kernels.team import Team
    from fed_audience.gbdt.tree import Split

    NodeRule = tuple[Split, int, int]


ROOT_RIDES: Final = 2
"""Integers behind a root's histograms: the validation loss, the clipped rows."""


@dataclass(frozen=True, slots=True)
class SiteVector:
    """What a site has computed for a round: int64[n], and the ring that its sum fits."""

    kind: type[m.VectorReply]
    values: NDArray[np.int64]
    ring: Ring = RING_64


class SiteRun:
    """The rows of one site in one run, and how far the run has come.

    ``labelled``: whether the site's rows train; the others are counted for the bins alone.
    """

    def __init__(
        self,
        manifest: Manifest,
        rows: SiteRows,
        *,
        labelled: bool,
        team: Team = ALONE,
    ) -> None:
        self.manifest = manifest
        self._labelled = labelled
        self._team = team
        self._unbinned: SiteRows | None = rows
        self._bins: tuple[FeatureBins, ...] = ()
        self._fitted: RowBooster | None = None
        self._brands: BrandScores | None = None
        self._groups: NDArray[np.uint64] | None = None
        self._split: list[dict[int, NodeRule]] = []
        self.rows_digest = b""

    def compute(self, request: m.Request) -> Steps[SiteVector]:
        """Answer ``request``, in steps; raise Refusal where it contradicts the run or its order."""
        try:
            return (yield from self._compute(request))
        except KeyError as error:
            raise Refusal("wrong_state", detail=f"node {error}") from error
        except (DataError, FederationError) as error:
            if isinstance(error, Refusal):
                raise
            raise Refusal("bad_message", detail=error) from error

    def replay(self, request: m.Request, *, whole: bool = False) -> SiteVector | None:
        """Come to where ``request`` left the run; return its answer where that was computed.

        Unless ``whole``, sums of trees are not: rows move through their nodes and end with the
        same scores.
        """
        match request:
            case _ if whole:
                return to_the_end(self.compute(request))
            case m.StartTree():
                self._close_before(request)
                self._booster.place_rows(request.slot.tree)
            case m.GrowLevel():
                classes = self._booster.objective.classes
                splits = splits_from_message(request, self._bins, classes)
                self._booster.grow(splits, [[]] * classes)
                self._know(splits)
            case m.FinishTraining():
                self._close_trees(request)
            case m.WholeModel():
                pass
            case _:
                return to_the_end(self.compute(request))
        return None

    def own_copies(self) -> OwnCopies:
        """Return the rows and the binning, for copies of the model that stay at the site."""
        return OwnCopies(self.manifest, self._bins, self._booster, self._brands, self._groups)

    def _compute(self, request: m.Request) -> Steps[SiteVector]:
        match request:
            case m.CountValues():
                counts = self._rows.count(request, self._team)
                ring = counts_ring(self.manifest.parameters.row_cap)
                return SiteVector(m.ValueCounts, counts, ring)
            case m.FixBins():
                counts = self._fix_bins(request)
                give_back()
                return SiteVector(m.LabelCounts, counts)
            case m.StartTree():
                return (yield from self._start_trees(request))
            case m.GrowLevel():
                return (yield from self._grow_level(request))
            case m.FinishTraining():
                self._close_trees(request)
                loss = np.array([self._booster.validation_loss()], dtype=np.int64)
                return SiteVector(m.ValidationLoss, loss)
            case m.WholeModel():
                return self._judge(request)
            case _:
                raise Refusal("wrong_state", detail=type(request).__name__)

    @property
    def _rows(self) -> SiteRows:
        if self._unbinned is None:
            raise Refusal("wrong_state", detail="the rows are encoded already")
        return self._unbinned

    @property
    def _booster(self) -> RowBooster:
        if self._fitted is None:
            raise Refusal("wrong_state", detail="the bins are not fixed yet")
        return self._fitted

    def _fix_bins(self, request: m.FixBins) -> NDArray[np.int64]:
        rows, manifest = self._rows, self.manifest
        roles = rows.roles
        if not self._labelled:
            raise Refusal("wrong_state", detail="this site holds no labels in this run")
        self._bins = bins_from_message(request, manifest.features)
        objective = objective_of(
            manifest.parameters, label_cap=request.label_cap, weight_cap=manifest.weight_cap
        )
        binned = BinnedRows(
            rows.encode(self._bins, self._team),
            roles.labels,
            rows.training_rows,
            roles.weights,
            roles.hashes,
        )
        self._fitted = RowBooster(
            binned,
            self._bins,
            objective,
            manifest.parameters,
            team=self._team,
        )
        if roles.brands is not None and manifest.brand_base:
            self._brands = BrandScores.of(roles.brands, self._fitted)
        self._unbinned, self._groups = None, roles.groups
        if rows.identities is not None:
            brands = None if roles.brands is None else roles.brands.codes
            held_out = np.arange(rows.rows) >= rows.training_rows
            seen = (held_out, roles.labels, roles.weights, brands, roles.groups)
            self.rows_digest = digest_of_rows(rows.identities, seen, binned.matrix.columns)
        return rows.label_counts(objective)

    def _start_trees(self, request: m.StartTree) -> Steps[SiteVector]:
        booster = self._booster
        self._close_before(request)
        rides = np.array([booster.validation_loss(), booster.clipped_rows()], dtype=np.int64)
        how = self._packing(request)
        rooting = booster.start_rooting(request.slot.tree, how.form)
        try:
            yield
        finally:
            roots = rooting()
        return SiteVector(m.RootHistogram, how.joined(roots.reshape(-1), rides), how.ring)

    def _close_before(self, request: m.StartTree) -> None:
        """Close the trees before, or give the first scores."""
        drawn = features_from_message(request, len(self._bins))
        if request.slot.tree == 0:
            self._booster.start_run(self._first_scores(request.base_scores))
        else:
            self._close_trees(request)
        self._booster.draw(drawn)
        self._split = [{} for _ in range(self._booster.objective.classes)]

    def _know(self, splits: Sequence[dict[int, NodeRule]]) -> None:
        for known, of_class in zip(self._split, splits, strict=True):
            known.update(of_class)

    def _grow_level(self, request: m.GrowLevel) -> Steps[SiteVector]:
        booster = self._booster
        classes = booster.objective.classes
        build = nodes_from_array(request.build, classes)
        splits = splits_from_message(request, self._bins, classes)
        how = self._packing(request)
        growing = booster.start_growing(splits, build, how.form)
        self._know(splits)
        try:
            yield
        finally:  # rows that began to move come to rest, whoever gives up meanwhile
            built = growing()
        return SiteVector(m.LevelHistogram, how.joined(built.reshape(-1)), how.ring)

    def _close_trees(self, request: m.TreeClosing) -> None:
        booster = self._booster
        classes = booster.objective.classes
        splits = splits_from_message(request, self._bins, classes)
        # A tree that was cut short names the splits of its last level again: the level may have
        # reached this site or not.
        anew = [
            {node: rule for node, rule in of_class.items() if known.get(node) != rule}
            for known, of_class in zip(self._split, splits, strict=True)
        ]
        booster.finish_trees(anew, leaves_from_message(request, classes))

    def _judge(self, request: m.WholeModel) -> SiteVector:
        booster, model = self._booster, self.model_of(request)
        rows, threads = booster.rows, self._team.threads
        if isinstance(request, m.ExplainRows):
            sums = explained_rows(request, model, rows, self.manifest, threads)
            return SiteVector(m.ContributionSums, sums)
        scores = validation_scores(model, booster, self._brands, threads=threads)
        counts = booster.objective.evaluation(scores, rows.labels[rows.validation])
        return SiteVector(m.ScoreHistogram, counts)

    def model_of(self, request: m.WholeModel) -> Model:
        """Read the model of ``request``, over the run's bins."""
        objective = self._booster.objective
        trees = trees_from_message(request, self._bins)
        base = tuple(request.base_scores.tolist())
        if len(base) != objective.classes or not np.isfinite(base).all():
            raise Refusal("bad_message", detail="base scores do not fit the objective")
        return Model(self.manifest.features, self._bins, trees, base, 1.0, objective.text)

    def _first_scores(self, base_scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores before the first tree: those of all brands, or of each row's own."""
        classes = self._booster.objective.classes
        if base_scores.shape != (classes,) or not np.isfinite(base_scores).all():
            raise Refusal("bad_message", detail="base scores do not fit the objective")
        if self._brands is None:
            return base_scores.reshape(classes, 1)
        return self._brands.first_scores(tuple(base_scores.tolist()))

    def _packing(self, request: m.StartTree | m.GrowLevel) -> SlotPacking:
        """How the histograms of the drawn features leave."""
        return SlotPacking.read(request.packing, request.wide, self._booster.drawn.slots)
