"""How good the scores of two classes are, from a summed score histogram.

Every metric treats the rows of a cell as tied; what that may cost the AUC is a stated bound.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import LOSS_BITS, sigmoids
from fed_audience.gbdt.evaluation.ranking import Interval, check_lengths, interval_of
from fed_audience.gbdt.evaluation.score_histogram import RAW_RANGE, check_histogram, from_the_top

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Histogram = NDArray[np.int64]

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
        check_histogram(histogram)
        negatives, positives = (int(count) for count in histogram.sum(axis=1))
        rows = negatives + positives
        both = negatives > 0 and positives > 0
        interval, bound = auc_of(histogram) if both else (None, None)
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

    @property
    def headline(self) -> str | None:
        """The one number to tell, in words."""
        return None if self.auc is None else f"AUC {self.auc:.4f}"

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


def logloss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of -ln of the probability given to the label; kept 1e-15 away from 0 and 1."""
    truth = np.asarray(labels) > 0
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-15, 1.0 - 1e-15)
    check_lengths(truth, p)
    return float(-np.mean(np.log(np.where(truth, p, 1.0 - p))))


def auc_of(histogram: Histogram) -> tuple[Interval, float]:
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
    rows, found = from_the_top(histogram)
    gained = np.diff(found)
    some = gained > 0
    return float((gained[some] / found[-1] * (found[1:][some] / rows[1:][some])).sum())


def _deciles(histogram: Histogram) -> tuple[Decile, ...]:
    rows, found = from_the_top(histogram)
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
