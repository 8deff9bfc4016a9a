"""What a site computes in a private run: every vector gets its noise before anybody sees it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import BudgetError, DataError, FederationError, ResourceError
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.frozen_rows import digest_of_rows
from fed_audience.federation.messages.payload import bins_from_message
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.private.noisy_metrics import SCORES_REACH, score_sums
from fed_audience.federation.private.recipe import HESSIAN_FACTOR, count_reach, plan_of, row_reach
from fed_audience.federation.site.run import SiteVector
from fed_audience.federation.site.steps import to_the_end
from fed_audience.gbdt.bins import MISSING_CODE
from fed_audience.gbdt.bins.categories import prefix_of
from fed_audience.gbdt.kernels.flushing import HESSIAN_BITS
from fed_audience.gbdt.objectives import objective_of
from fed_audience.privacy.dp.discrete_gaussian import discrete_gaussian
from fed_audience.privacy.dp.plan import ROW_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.own_copies import OwnCopies
    from fed_audience.federation.private.keeper import PrivacyKeeper
    from fed_audience.federation.site.rows import SiteRows
    from fed_audience.federation.site.steps import Steps
    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.privacy.dp.plan import Release

    Integers = NDArray[np.int64]

MOST_STEP: Final = 4.0
"""No honest leaf's value is larger; noise hides a row whatever its score, this keeps it finite."""


class PrivateSiteRun:
    """The rows of one site in one private run. It answers no request of another recipe.

    Begun only where the budget suffices, so that no site is charged for a run that another's
    owner refuses. Raises Refusal (over_budget, not_kept, loose_delta).
    """

    def __init__(
        self, manifest: Manifest, rows: SiteRows, category_key: bytes, keeper: PrivacyKeeper
    ) -> None:
        self.manifest = manifest
        self._plan = plan_of(manifest)
        self._objective = objective_of(manifest.parameters)
        self._rows = rows
        self._key = category_key
        self._keeper = keeper
        self._history = sha256(manifest.sha256.encode())
        self._counted = False
        self._bins: tuple[FeatureBins, ...] = ()
        self._codes = np.empty((0, 0), dtype=np.uint8)
        self._scores = np.empty(0)
        self._base_score = 0.0
        self._finished = False
        self._replaying = False
        self.rows_digest = b""
        if self._plan.terms.delta * rows.rows >= 1:
            raise Refusal("loose_delta", detail=self._plan.terms.delta)
        try:
            keeper.require_room(manifest)
        except BudgetError as error:
            raise Refusal("over_budget", detail=error) from error
        except ResourceError as error:
            raise Refusal("not_kept", detail=error) from error

    def compute(self, request: m.Request) -> Steps[SiteVector | m.Reply]:
        """Answer ``request``, in one step, with a SiteVector or a reply.

        Raises Refusal as ``SiteRun`` does.
        """
        yield from ()
        try:
            return self._compute(request)
        except BudgetError as error:
            raise Refusal("over_budget", detail=error) from error
        except ResourceError as error:
            raise Refusal("not_kept", detail=error) from error
        except (DataError, FederationError) as error:
            if isinstance(error, Refusal):
                raise
            raise Refusal("bad_message", detail=error) from error

    def replay(self, request: m.Request, *, whole: bool = False) -> SiteVector | m.Reply:
        """Come to where ``request`` left the run; raise Refusal where a release is not kept."""
        del whole
        self._replaying = True
        try:
            return to_the_end(self.compute(request))
        finally:
            self._replaying = False

    def own_copies(self) -> OwnCopies:
        """Raise FederationError: the trunk of a private run is not continued on the same rows."""
        raise FederationError(
            "a private run leaves no copies of the model for brands",
            fix="train without epsilon, or leave base scores and trees of the brands' own out",
        )

    def _compute(self, request: m.Request) -> SiteVector | m.Reply:
        match request:
            case m.HashCategories():
                return m.CategoryHashes(slot=request.slot, prefixes=self._prefixes())
            case m.CountNoisily():
                if self._counted or len(self._rows.roles.labels) < self._rows.rows:
                    raise Refusal("wrong_state", detail="counted already, or without labels")
                self._keeper.charge(self.manifest)
                noisy = self._released("counts", request, self._counts)
                self._counted = True
                return SiteVector(m.NoisyCounts, noisy)
            case m.FixNoisyBins():
                self._fix_bins(request)
                return m.BinsFixed(slot=request.slot)
            case m.SumFeature():
                self._update(request)
                name = f"tree {request.slot.tree}"
                noisy = self._released(name, request, lambda: self._sums(request.feature))
                return SiteVector(m.NoisySums, noisy)
            case m.ScoreNoisily():
                self._add_last(request)
                return SiteVector(m.NoisyScores, self._released("scores", request, self._measured))
            case _:
                raise Refusal("wrong_state", detail=type(request).__name__)

    def _released(self, name: str, request: m.Request, compute: Callable[[], Integers]) -> Integers:
        """Return the vector of a round: the one that was released, or a new one with noise."""
        asked = self._remember(request)
        run = self.manifest.sha256
        known = self._keeper.releases.of(run, name)
        if known is not None:
            if known[0] != asked:
                raise Refusal("changed_request", detail=name)
            return known[1]
        if self._replaying:
            raise Refusal("checkpoint", detail=f"the release of {name} was not kept")
        noisy = compute()
        self._keeper.releases.keep(run, name, asked, noisy)
        return noisy

    def _remember(self, request: m.Request) -> str:
        """Return the hash of everything that was asked so far, this request included."""
        first = request.slot.model_copy(update={"attempt": 0})
        body = m.encode(request.model_copy(update={"slot": first, "absent": ()}))
        self._history.update(len(body).to_bytes(8, "big") + body)
        return self._history.hexdigest()

    def _prefixes(self) -> NDArray[np.uint32]:
        public = {values.feature: values for values in self.manifest.public}
        found = [
            prefix_of(category, self._key)
            for feature in self.manifest.features
            for category in public[feature.name].categories
        ]
        return np.array(found, dtype=np.uint32)

    def _counts(self) -> Integers:
        rows, front = self._rows, self._rows.training_rows
        positives = int(rows.roles.labels[:front].sum())
        labels = np.array([front - positives, positives], dtype=np.int64) * ROW_UNITS
        parts = [labels + self._noise("base_rate", ROW_UNITS, 2)]
        cells = []
        code = np.empty(rows.rows, dtype=np.uint8)
        public = {values.feature: values for values in self.manifest.public}
        for column, feature in zip(rows.columns, self.manifest.features, strict=True):
            if not feature.categorical:
                grid = public[feature.name].cells()
                column.encode(grid, code)
                cells.append(_by_slot(code[:front], grid.size) * ROW_UNITS)
        if cells:
            joined = np.concatenate(cells)
            parts.append(joined + self._noise("bins", count_reach(len(cells)), len(joined)))
        return np.concatenate(parts)

    def _fix_bins(self, request: m.FixNoisyBins) -> None:
        if not self._counted or self._bins:
            raise Refusal("wrong_state", detail="bins are fixed once, after the counts")
        bins = bins_from_message(request, self.manifest.features)
        self._remember(request)
        codes = np.empty((len(bins), self._rows.rows), dtype=np.uint8)
        for column, feature_bins, out in zip(self._rows.columns, bins, codes, strict=True):
            column.encode(feature_bins, out)
        self._codes = codes
        self._scores = np.full(self._rows.rows, request.base_score)
        self._base_score = request.base_score
        self._bins = bins
        if self._rows.identities is not None:
            labels = self._rows.roles.labels
            self.rows_digest = digest_of_rows(self._rows.identities, (labels,), codes)

    def _update(self, request: m.SumFeature) -> None:
        """Add the values of the tree before. Raises Refusal for what fits no bin."""
        features, tree = len(self._bins), request.slot.tree
        ready = features > 0 and request.slot.level == 0
        if not ready or not 0 <= tree < self.manifest.parameters.n_estimators:
            raise Refusal("wrong_state", detail=f"tree {tree}")
        if request.feature >= features:
            raise Refusal("bad_message", detail="a feature that the run has not")
        if len(request.values) > 0 or tree > 0:
            self._add(request)

    def _add_last(self, request: m.ScoreNoisily) -> None:
        """Add the last tree's values, once. Raises Refusal where nothing is to be measured."""
        if not self._bins or self._plan.held_out is None or self._finished:
            raise Refusal("wrong_state", detail="nothing is to be measured")
        self._add(request)
        self._finished = True

    def _add(self, request: m.SumFeature | m.ScoreNoisily) -> None:
        if request.updated >= len(self._bins):
            raise Refusal("bad_message", detail="a feature that the run has not")
        values, size = request.values, self._bins[request.updated].size
        if len(values) != size + 1 or not (np.abs(values) <= MOST_STEP).all():
            raise Refusal("bad_message", detail="values do not fit the bins")
        table = np.zeros(MISSING_CODE + 1)
        table[:size], table[MISSING_CODE] = values[:-1], values[-1]
        self._scores += table[self._codes[request.updated]]

    def _sums(self, feature: int) -> Integers:
        """Gradients and thrice the hessians by bin, with noise: G, 3 H of each bin in turn."""
        front = self._rows.training_rows
        pairs = np.empty(front, dtype=np.int64)
        labels = self._rows.roles.labels[:front]
        self._objective.gradient_pairs(self._scores[:front], labels, None, pairs)
        codes, size = self._codes[feature, :front], self._bins[feature].size
        sums = np.empty((size + 1, 2), dtype=np.int64)
        sums[:, 0] = _by_slot(codes, size, pairs >> HESSIAN_BITS)
        sums[:, 1] = HESSIAN_FACTOR * _by_slot(codes, size, pairs & (2**HESSIAN_BITS - 1))
        flat = sums.ravel()
        return flat + self._noise("trees", row_reach(self._objective.fixed), len(flat))

    def _measured(self) -> Integers:
        """Rows held out by score, and their losses, with noise."""
        front = self._rows.training_rows
        labels = self._rows.roles.labels[front:]
        sums = score_sums(self._scores[front:], labels, self._base_score)
        return sums + self._noise("evaluation", SCORES_REACH, len(sums))

    def _noise(self, what: Release, reach: int, size: int) -> Integers:
        return discrete_gaussian(self._plan.site_variance(what, reach), size)


def _by_slot(codes: NDArray[np.uint8], size: int, integers: Integers | None = None) -> Integers:
    """Sum integers (or count rows) by code, the missing last: int64[size + 1].

    Floats add them exactly: a site's sums stay below 2^53.
    """
    sums = np.bincount(codes, weights=integers, minlength=MISSING_CODE + 1).astype(np.int64)
    return np.append(sums[:size], sums[MISSING_CODE])
