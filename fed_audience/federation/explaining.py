"""How much each feature moves the scores of all sites' rows, from sums of SHAP values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from fed_audience.federation import messages as m
from fed_audience.federation.messages.payload import trees_to_arrays
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.rounds.cohort import Cohort
from fed_audience.federation.rounds.coordinator import Coordinator
from fed_audience.gbdt.explanation import (
    contribution_sums,
    contribution_unit,
    mean_contributions,
)
from fed_audience.gbdt.models.cover import fill_cover, with_leaf_counts
from fed_audience.gbdt.models.model import to_text
from fed_audience.gbdt.models.reader import read_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.transport import RoundTransport
    from fed_audience.gbdt.growing.booster import BinnedRows
    from fed_audience.gbdt.models.model import Model

EXPLAINED_ROWS: Final = 10_000
"""Rows a site explains unless told otherwise: some seconds of work with 100 trees."""

_LARGEST_COVER: Final = 2**31 - 1


def explain(
    transport: RoundTransport,
    manifest: Manifest,
    model: Model,
    *,
    rows: int = EXPLAINED_ROWS,
    cover: Literal["own", "coarse"] = "own",
    number: int = 1,
    cohort: Sequence[str] | None = None,
) -> dict[str, float]:
    """Mean |SHAP| of each feature over rows of sites that have just trained ``manifest``.

    In raw scores (log odds of a binary model); of several classes, the sum. Explained are the
    validation rows, or the training rows of a run without; at most ``rows`` of each site, evenly
    spaced in its order.
    ``cover``: what branches are weighed by. 'own': each site's explained rows, so that a feature
    counts for how it tells the site's own customers apart, and nothing about the other sites
    leaves the coordinator. 'coarse': the shares of all rows together, rounded as in a model file
    of that level of cover; ``model`` must be the one that training returned. Without a site
    having more than ``rows``, the result does not then depend on how rows are spread.
    ``number`` names the explanation: it rises with each one and each evaluation of a run.
    ``cohort``: the result's, where sites have left the run.
    Raises DataError where no site has a row to explain.
    """
    covers: list[int] = []
    if cover == "coarse":
        text = read_model(to_text(model, cover="coarse"))
        covers = [count for tree in text.trees for count in tree.leaf_count]
    asked = Cohort(Coordinator(transport, manifest.run_id), manifest, sites=cohort)
    request = m.ExplainRows(
        slot=asked.slot(m.EVALUATION, number),
        base_scores=np.array(model.base_scores),
        rows=rows,
        leaf_covers=np.array(covers, dtype=np.int32),
        **trees_to_arrays(model.trees),
    )
    size = len(manifest.features) + 1
    sums = asked.sum(request, m.ContributionSums, size)
    means = mean_contributions(sums, contribution_unit(model, _row_cap(rows, manifest)))
    names = [feature.name for feature in manifest.features]
    return dict(zip(names, means.tolist(), strict=True))


def explained_rows(
    request: m.ExplainRows, model: Model, rows: BinnedRows, manifest: Manifest, threads: int
) -> NDArray[np.int64]:
    """Sum the site's contributions as ``request`` asks: int64[F + 1], the number of rows last.

    Raises Refusal for covers that do not fit the trees.
    """
    part = explainable_rows(manifest, rows.matrix.rows, rows.training_rows)
    codes = codes_at(rows, part.start + evenly_spaced(len(part), request.rows))
    return contributions_of(request, model, codes, manifest, threads)


def explainable_rows(manifest: Manifest, rows: int, training_rows: int) -> range:
    """Which of a site's rows are explained: the validation rows, or the training rows without."""
    parameters = manifest.parameters
    held_out = parameters.early_stopping_round > 0 and parameters.validation_fraction > 0
    return range(training_rows, rows) if held_out else range(training_rows)


def evenly_spaced(rows: int, most: int) -> NDArray[np.int64]:
    """Places of at most ``most`` of ``rows`` rows, evenly spaced."""
    taken = min(rows, most)
    return np.arange(taken) * rows // max(1, taken)


def codes_at(rows: BinnedRows, places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Codes of the rows at ``places``: uint8[n, F]."""
    return np.ascontiguousarray(rows.matrix.columns[:, places].T)


def contributions_of(
    request: m.ExplainRows,
    model: Model,
    codes: NDArray[np.uint8],
    manifest: Manifest,
    threads: int,
) -> NDArray[np.int64]:
    """Sum the contributions of the rows ``codes`` (uint8[n, F]) as ``request`` asks."""
    if len(request.leaf_covers):
        text = with_leaf_counts(to_text(model), _covers(request, model))
    elif len(codes):
        text = fill_cover(model, codes)
    else:
        text = to_text(model)
    cap = _row_cap(request.rows, manifest)
    return contribution_sums(model, codes, text, row_cap=cap, threads=threads)


def _row_cap(rows: int, manifest: Manifest) -> int:
    """Most rows that all sites together can sum."""
    return rows * len(manifest.training_sites)


def _covers(request: m.ExplainRows, model: Model) -> list[list[int]]:
    """Leaf covers by tree; a model without trees has a constant leaf a class."""
    sizes = [tree.leaves for tree in model.trees] or [1] * model.classes
    covers = request.leaf_covers
    if len(covers) != sum(sizes) or covers.min() < 1:
        raise Refusal("bad_message", detail="covers do not fit the trees")
    parts = [part.tolist() for part in np.split(covers, np.cumsum(sizes[:-1]))]
    if max(map(sum, parts)) > _LARGEST_COVER:
        raise Refusal("bad_message", detail="covers are too large to be summed")
    return parts
