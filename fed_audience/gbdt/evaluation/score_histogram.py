"""Histograms of scores in fixed cells of the log-odds: what sites sum to be evaluated together.

A score histogram counts negatives and positives in each cell. Whatever is read from it treats the
rows of a cell as tied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.evaluation.ranking import check_lengths, nan_score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Histogram = NDArray[np.int64]

SCORE_BINS: Final = 1 << 17
"""Cells of a score histogram, 2^-12 of log-odds wide: error bounds of the AUC below 1e-4."""

RAW_RANGE: Final = 16.0
"""Log-odds from -16 to 16, probabilities from 1e-7, are told apart; the rest joins the ends."""


@njit(cache=True, nogil=True, error_model="numpy")
def cell_of(raw: float, bins: int) -> np.int64:
    """Cell of a score that is not NaN, in [0, bins)."""
    # Exact: the scale is a power of two, and nothing is added before the floor.
    place = np.floor(raw * (bins / (2.0 * RAW_RANGE))) + bins // 2
    return np.int64(min(max(place, 0.0), bins - 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _score_bins(raw: Floats, bins: int, out: NDArray[np.int32]) -> bool:
    for i in range(raw.size):
        if raw[i] != raw[i]:  # NaN
            return False
        out[i] = cell_of(raw[i], bins)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _score_histogram(labels: Floats, raw: Floats, out: Histogram) -> bool:
    bins = out.shape[1]
    for i in range(raw.size):
        if raw[i] != raw[i]:  # NaN
            return False
        out[1 if labels[i] > 0 else 0, cell_of(raw[i], bins)] += 1
    return True


def score_bin(raw: ArrayLike, bins: int = SCORE_BINS) -> NDArray[np.int32]:
    """Cell of each score: int32[n] in [0, bins).

    ``raw``: log-odds; ``bins``: a power of two from 2. Raises DataError for NaN or other bins.
    """
    _check_bins(bins)
    values = np.ascontiguousarray(raw, dtype=np.float64)
    out = np.empty(values.shape, dtype=np.int32)
    if not _score_bins(values, bins, out):
        raise nan_score()
    return out


def score_histogram(labels: ArrayLike, raw: ArrayLike, bins: int = SCORE_BINS) -> Histogram:
    """Count negatives and positives in each cell: int64[2, bins]; sites' histograms add.

    ``labels``: [n], 0 or 1; ``raw``: float64[n] log-odds; ``bins``: a power of two from 2. Raises
    DataError for NaN scores, unequal lengths or other bins.
    """
    _check_bins(bins)
    truth = np.ascontiguousarray(labels)
    values = np.ascontiguousarray(raw, dtype=np.float64)
    check_lengths(truth, values)
    out = np.zeros((2, bins), dtype=np.int64)
    if not _score_histogram(truth, values, out):
        raise nan_score()
    return out


def score_edge(position: int, bins: int = SCORE_BINS) -> float:
    """Lowest log-odds of a cell; minus infinity for the first, infinity past the last."""
    if position <= 0:
        return -np.inf
    return np.inf if position >= bins else position * (2 * RAW_RANGE / bins) - RAW_RANGE


def lift_at(histogram: Histogram, share: float) -> float | None:
    """Rate of positives among the best ``share`` of rows over the rate of all; None without any.

    ``share`` in (0, 1]. A cell that the cut divides counts in proportion.
    """
    check_histogram(histogram)
    rows, found = from_the_top(histogram)
    if not found[-1]:
        return None
    return float(np.interp(share * rows[-1], rows, found) / (share * found[-1]))


def threshold_for(histogram: Histogram, share: float) -> float:
    """Lowest cell edge (log-odds) with at most ``share`` of the rows at or above it.

    Infinity when even the best cell holds more than that.
    """
    check_histogram(histogram)
    rows, _ = from_the_top(histogram)
    bins = histogram.shape[1]
    cells = int(np.searchsorted(rows, share * rows[-1], side="right")) - 1
    return score_edge(bins - cells, bins)


def from_the_top(histogram: Histogram) -> tuple[Floats, Floats]:
    """Rows and positives in the best k cells, k = 0 ... B: float64[B + 1] each."""
    best_first = histogram[:, ::-1].astype(np.float64)
    rows = np.concatenate(([0.0], np.cumsum(best_first.sum(axis=0))))
    found = np.concatenate(([0.0], np.cumsum(best_first[1])))
    return rows, found


def check_histogram(histogram: Histogram) -> None:
    """Raise DataError for another shape than int64[2, B], or a negative count."""
    right_shape = histogram.ndim == 2 and histogram.shape[0] == 2 and histogram.size > 0  # noqa: PLR2004
    if not right_shape or histogram.min() < 0:
        raise DataError(
            "a score histogram is malformed",
            value=histogram.shape,
            limit="two rows of counts, negatives and positives, none negative",
            fix="sum what score_histogram returned at each site",
        )


def _check_bins(bins: int) -> None:
    if bins < 2 or bins & (bins - 1):  # noqa: PLR2004 - the least power of two with a half
        raise DataError(
            "a score histogram cannot have this number of cells",
            value=bins,
            limit="a power of two from 2",
            fix=f"leave bins at its default, {SCORE_BINS}",
        )
