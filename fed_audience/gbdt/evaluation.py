"""How good scores are: from summed histograms of scores, or exactly from rows at hand.

A score histogram counts negatives and positives in fixed cells of the log-odds, so it sums over
sites. Every metric below treats the rows of a cell as tied; what that may cost the AUC is a
stated bound.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import LOSS_BITS, sigmoids
from fed_audience.gbdt.ranking import (
    Interval,
    auc,
    auc_difference,
    auc_interval,
    check_lengths,
    interval_of,
    nan_score,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Histogram = NDArray[np.int64]

__all__ = [
    "RAW_RANGE",
    "SCORE_BINS",
    "CalibrationBin",
    "Decile",
    "Interval",
    "Metrics",
    "auc",
    "auc_difference",
    "auc_interval",
    "lift_at",
    "logloss",
    "score_bin",
    "score_edge",
    "score_histogram",
    "threshold_for",
]

SCORE_BINS: Final = 1 << 17
"""Cells of a score histogram, 2^-12 of log-odds wide: error bounds of the AUC below 1e-4."""

RAW_RANGE: Final = 16.0
"""Log-odds from -16 to 16, probabilities from 1e-7, are told apart; the rest joins the ends."""

_DECILES: Final = 10


@dataclass(frozen=True, slots=True)
class Decile:
    """A tenth of the rows, best scores first. Ties are shared out in proportion.

    ``share`` is where it ends (0.1 to 1), ``rate`` its rate of positives, ``lift`` that over the
    rate of all rows, ``gain`` the share of all positives found up to its end.
    """

    share: float
    rate: float
    lift: float
    gain: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """A tenth of the rows, lowest scores first: mean predicted probability against the rate."""

    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """Quality of scores over rows, from a summed histogram; None where it is not defined.

    ``auc_error_bound``: the AUC of the unrounded scores is within this of ``auc``. ``auc_low``
    and ``auc_high``: DeLong's interval at CONFIDENCE, widened by the bound.
    """

    rows: int
    positives: int
    auc: float | None
    auc_error_bound: float | None
    auc_low: float | None
    auc_high: float | None
    logloss: float | None
    average_precision: float | None
    deciles: tuple[Decile, ...]
    calibration: tuple[CalibrationBin, ...]

    @classmethod
    def from_histogram(cls, histogram: Histogram, loss_sum: int | None = None) -> Metrics:
        """Metrics of a summed histogram: int64[2, B], negatives then positives.

        ``loss_sum``: summed fixed-point losses of the same rows, unit 2^-LOSS_BITS. Raises
        DataError when the histogram has another shape or a negative count.
        """
        _check(histogram)
        negatives, positives = (int(count) for count in histogram.sum(axis=1))
        rows = negatives + positives
        both = negatives > 0 and positives > 0
        interval, bound = _auc_of(histogram) if both else (None, None)
        return cls(
            rows=rows,
            positives=positives,
            auc=interval.estimate if interval else None,
            auc_error_bound=bound,
            auc_low=interval.low if interval else None,
            auc_high=interval.high if interval else None,
            logloss=loss_sum / rows / (1 << LOSS_BITS) if loss_sum is not None and rows else None,
            average_precision=_average_precision(histogram) if positives else None,
            deciles=_deciles(histogram) if positives else (),
            calibration=_calibration(histogram) if rows else (),
        )

    def to_json(self) -> str:
        """JSON object with the names of the fields."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Metrics:
        """Read what ``to_json`` wrote. Raises DataError for anything else."""
        try:
            document: dict[str, Any] = json.loads(text)
            document["deciles"] = tuple(Decile(**decile) for decile in document["deciles"])
            document["calibration"] = tuple(
                CalibrationBin(**entry) for entry in document["calibration"]
            )
            return cls(**document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"metrics are malformed: {error}", fix="evaluate the model again"
            ) from error


@njit(cache=True, nogil=True, error_model="numpy")
def _score_bin(raw: float, bins: int) -> np.int64:
    # Exact: the scale is a power of two, and nothing is added before the floor.
    place = np.floor(raw * (bins / (2.0 * RAW_RANGE))) + bins // 2
    return np.int64(min(max(place, 0.0), bins - 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _score_bins(raw: Floats, bins: int, out: NDArray[np.int32]) -> bool:
    for i in range(raw.size):
        if raw[i] != raw[i]:  # NaN
            return False
        out[i] = _score_bin(raw[i], bins)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _score_histogram(labels: Floats, raw: Floats, out: Histogram) -> bool:
    bins = out.shape[1]
    for i in range(raw.size):
        if raw[i] != raw[i]:  # NaN
            return False
        out[1 if labels[i] > 0 else 0, _score_bin(raw[i], bins)] += 1
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
    _check(histogram)
    rows, found = _from_the_top(histogram)
    if not found[-1]:
        return None
    return float(np.interp(share * rows[-1], rows, found) / (share * found[-1]))


def threshold_for(histogram: Histogram, share: float) -> float:
    """Lowest cell edge (log-odds) with at most ``share`` of the rows at or above it.

    Infinity when even the best cell holds more than that.
    """
    _check(histogram)
    rows, _ = _from_the_top(histogram)
    bins = histogram.shape[1]
    cells = int(np.searchsorted(rows, share * rows[-1], side="right")) - 1
    return score_edge(bins - cells, bins)


def logloss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of -ln of the probability given to the label; kept 1e-15 away from 0 and 1."""
    truth = np.asarray(labels) > 0
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-15, 1.0 - 1e-15)
    check_lengths(truth, p)
    return float(-np.mean(np.log(np.where(truth, p, 1.0 - p))))


def _auc_of(histogram: Histogram) -> tuple[Interval, float]:
    """AUC with DeLong's interval, the rows of a cell tied, and the error bound of the tying."""
    negatives, positives = histogram
    n, p = int(negatives.sum()), int(positives.sum())
    below = np.cumsum(negatives) - negatives
    above = p - np.cumsum(positives)
    of_positives = (below + 0.5 * negatives) / n
    of_negatives = (above + 0.5 * positives) / p
    estimate = float((positives * of_positives).sum() / p)
    variance = _weighted_mean_variance(of_positives, positives) + _weighted_mean_variance(
        of_negatives, negatives
    )
    bound = 0.5 * float(((negatives / n) * (positives / p)).sum())
    return interval_of(estimate, variance, low=0.0, bound=bound), bound


def _weighted_mean_variance(values: Floats, counts: NDArray[np.int64]) -> float:
    size = int(counts.sum())
    if size < 2:  # noqa: PLR2004 - one row has no variance
        return np.inf
    mean = float((counts * values).sum() / size)
    return float((counts * (values - mean) ** 2).sum() / (size - 1) / size)


def _average_precision(histogram: Histogram) -> float:
    """Sum over cells, best first, of precision x gained recall (scikit-learn's definition)."""
    rows, found = _from_the_top(histogram)
    gained = np.diff(found)
    some = gained > 0
    return float((gained[some] / found[-1] * (found[1:][some] / rows[1:][some])).sum())


def _from_the_top(histogram: Histogram) -> tuple[Floats, Floats]:
    """Rows and positives in the best k cells, k = 0 ... B: float64[B + 1] each."""
    best_first = histogram[:, ::-1].astype(np.float64)
    rows = np.concatenate(([0.0], np.cumsum(best_first.sum(axis=0))))
    found = np.concatenate(([0.0], np.cumsum(best_first[1])))
    return rows, found


def _deciles(histogram: Histogram) -> tuple[Decile, ...]:
    rows, found = _from_the_top(histogram)
    shares = np.arange(_DECILES + 1) / _DECILES
    gains = np.interp(shares * rows[-1], rows, found) / found[-1]
    lifts = np.diff(gains) * _DECILES
    base = found[-1] / rows[-1]
    return tuple(
        Decile(float(share), float(lift * base), float(lift), float(gain))
        for share, lift, gain in zip(shares[1:], lifts, gains[1:], strict=True)
    )


def _calibration(histogram: Histogram) -> tuple[CalibrationBin, ...]:
    bins = histogram.shape[1]
    width = 2 * RAW_RANGE / bins
    probability = sigmoids((np.arange(bins) + 0.5) * width - RAW_RANGE)
    in_cell = histogram.sum(axis=0).astype(np.float64)
    rows, found, expected = (
        np.concatenate(([0.0], np.cumsum(column)))
        for column in (in_cell, histogram[1], in_cell * probability)
    )
    ends = np.arange(_DECILES + 1) / _DECILES * rows[-1]
    each = rows[-1] / _DECILES
    observed = np.diff(np.interp(ends, rows, found)) / each
    predicted = np.diff(np.interp(ends, rows, expected)) / each
    return tuple(map(CalibrationBin, predicted.tolist(), observed.tolist()))


def _check(histogram: Histogram) -> None:
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
