"""What each feature adds to a row's score (SHAP), and its mean size over rows that stay at home.

Contributions are Shapley values of the path-dependent value function: TreeSHAP, Lundberg et al.,
From local explanations to global understanding with explainable AI for trees (2020), algorithm 2,
as LightGBM computes them. Branches are weighed by the covers in the model's text.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import MISSING_CODE, NumericBins
from fed_audience.gbdt.models.reader import load_booster

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy.typing as npt

    from fed_audience.gbdt.bins import FeatureBins
    from fed_audience.gbdt.models.model import Model

_BLOCK: Final = 1 << 12
_PRECISION_BITS: Final = 40
"""A unit is at most this many halvings of the largest contribution, below float64's own limit."""


def contributions(
    text: str, values: npt.NDArray[np.float64], *, threads: int = 1
) -> npt.NDArray[np.float64]:
    """Split each row's raw score into what each feature adds, and the expected score (last).

    ``text``: a model text with covers, such as ``fill_cover`` gives. ``values``: float64[n, F] as
    ``Encoder.to_lightgbm`` gives them. float64[n, F + 1] of a model of one score, else
    float64[K, n, F + 1]; columns add up to the raw score. About half a millisecond a row for 100
    trees of 63 leaves. Raises ModelFormatError for an unsound text.
    """
    return _contributions(load_booster(text), values, threads)


def contribution_unit(model: Model, row_cap: int) -> float:
    """Real value of one unit of ``contribution_sums``, a power of two, from the model alone.

    No contribution of a row is larger than its cap: the range of each tree's leaves, summed over
    trees and classes. The unit leaves room for ``row_cap`` rows at the cap.
    """
    spread = math.fsum(max(tree.leaf_values) - min(tree.leaf_values) for tree in model.trees)
    _, cap_exponent = math.frexp(spread)
    return math.ldexp(1.0, cap_exponent - _cap_bits(row_cap))


def contribution_sums(
    model: Model,
    codes: npt.NDArray[np.uint8],
    text: str,
    *,
    row_cap: int,
    threads: int = 1,
) -> npt.NDArray[np.int64]:
    """Sum |contribution| over rows, by feature, then count the rows: int64[F + 1].

    ``codes``: uint8[n, F]; ``text``: the model's, with the covers to weigh branches by. Each
    row's contribution (of K classes, the sum of their sizes) is rounded to units of
    ``contribution_unit``, so sums of sites add up exactly and one row moves a sum by at most
    2^62 / row_cap units. Raises DataError for more than ``row_cap`` rows.
    """
    if len(codes) > row_cap:
        raise DataError(
            "more rows than an explanation may sum",
            value=len(codes),
            limit=row_cap,
            fix="raise row_cap, or explain fewer rows",
        )
    sums = np.zeros(len(model.features) + 1, np.int64)
    sums[-1] = len(codes)
    booster = load_booster(text)
    unit = contribution_unit(model, row_cap)
    cap = float(1 << _cap_bits(row_cap))
    table = _representatives(model.bins)
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK]
        values = np.column_stack([table[f][block[:, f]] for f in range(len(table))])
        found = _contributions(booster, values, threads)
        sizes = np.abs(found[..., :-1]).reshape(-1, len(block), len(table)).sum(axis=0)
        units = np.minimum(np.rint(sizes / unit), cap)
        sums[:-1] += units.astype(np.int64).sum(axis=0)
    return sums


def mean_contributions(sums: npt.NDArray[np.int64], unit: float) -> npt.NDArray[np.float64]:
    """Mean |contribution| of each feature, float64[F], from the sites' sums together.

    Raises DataError when no row was summed.
    """
    if sums[-1] <= 0:
        raise DataError(
            "there is no row to explain at any site",
            fix="train with validation rows, or with rows at all",
        )
    return np.asarray(sums[:-1].astype(np.float64) * unit / float(sums[-1]))


def _cap_bits(row_cap: int) -> int:
    """Return the power of two that caps a row's units; ``row_cap`` such rows stay below 2^62."""
    return min(_PRECISION_BITS, 62 - max(1, row_cap).bit_length())


def _contributions(
    booster: Any, values: npt.NDArray[np.float64], threads: int
) -> npt.NDArray[np.float64]:
    features = booster.num_feature()
    if values.ndim != 2 or values.shape[1] != features:  # noqa: PLR2004 - a table
        raise DataError(
            "rows do not fit the model",
            value=list(values.shape),
            limit=f"[rows, {features}]",
            fix="encode the rows with the encoder that came with the model",
        )
    rows, classes = len(values), booster.num_model_per_iteration()
    if not rows:
        return np.zeros((0, features + 1) if classes == 1 else (classes, 0, features + 1))
    flat = np.asarray(booster.predict(values, pred_contrib=True, num_threads=threads))
    return flat if classes == 1 else flat.reshape(rows, classes, features + 1).swapaxes(0, 1)


def _representatives(bins: Sequence[FeatureBins]) -> list[npt.NDArray[np.float64]]:
    """For each feature a value that LightGBM treats like each code: float64[256], NaN if none."""
    tables = []
    for of in bins:
        table = np.full(MISSING_CODE + 1, np.nan)
        if isinstance(of, NumericBins):
            cuts = of.thresholds
            table[: len(cuts)] = cuts
            # Far above: LightGBM takes numbers below 1e-35 for zero.
            table[len(cuts)] = cuts[-1] + max(1.0, abs(cuts[-1])) if cuts else 0.0
        else:
            table[: of.size] = np.arange(of.size)
        tables.append(table)
    return tables
