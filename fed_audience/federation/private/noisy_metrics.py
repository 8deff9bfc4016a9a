"""How good a private model is, from noisy counts of scores over rows that no tree has seen.

Rows held out are others than those that train, by a hash of their keys: a row is in the trees' sums
or in these counts, never in both, so that these may have noise of the whole run's mu at no charge.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isqrt, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.gbdt.arithmetic import sigmoids
from fed_audience.gbdt.evaluation.ranking import interval_of
from fed_audience.privacy.dp.plan import ROW_UNITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

CELLS: Final = 32
WIDTH: Final = 0.4
"""Of a cell, in log-odds: wide enough to hold many rows; ties cost the AUC about 0.001."""

SUMS: Final = 2 * CELLS + 1
"""Rows by cell of the score, negatives and then positives, and the sum of their losses."""

MOST_LOSS: Final = 4.0
"""A row's loss is at most this, so that one row moves the sum by a bounded amount."""

_LOSS_UNITS: Final = ROW_UNITS // 2
"""Units of the largest loss."""

SCORES_REACH: Final = isqrt(ROW_UNITS**2 + _LOSS_UNITS**2 - 1) + 1
"""How far one row moves the sums, in units: one cell and its loss."""

_LEAST: Final = 4.0
"""Deviations of noise that there must be of either label before an AUC is told."""

_LEAST_IN_GROUP: Final = 5.0
"""Deviations of its noise that a group of the calibration holds at least."""


def score_sums(scores: Floats, labels: Floats, base_score: float) -> Integers:
    """Count rows by score and label, and add up their losses: int64[SUMS], in units, exact."""
    cell = np.floor((scores - base_score) / WIDTH + CELLS / 2)
    place = np.clip(cell, 0, CELLS - 1).astype(np.int64) + CELLS * (labels > 0)
    counts = np.bincount(place, minlength=2 * CELLS).astype(np.int64) * ROW_UNITS
    wrong = np.logaddexp(0.0, np.where(labels > 0, -scores, scores))
    losses = np.rint(np.minimum(wrong, MOST_LOSS) * (_LOSS_UNITS / MOST_LOSS))
    return np.append(counts, int(losses.sum()))


@dataclass(frozen=True, slots=True)
class NoisyCalibration:
    """A group of rows by score: mean predicted probability, rate of positives, noise in it."""

    predicted: float
    observed: float
    observed_noise: float


@dataclass(frozen=True, slots=True)
class NoisyMetrics:
    """Quality over the rows held out at all sites; None where noise leaves nothing to say.

    ``rows`` and ``positives`` are noisy. ``auc_low`` and ``auc_high``: interval at 95 %, of the
    noise and of the draw of rows together. ``logloss`` clips a row's loss at MOST_LOSS. Each
    ``..._noise`` is the standard deviation of what the noise alone does to the number.
    """

    rows: float
    positives: float
    rows_noise: float
    auc: float | None
    auc_noise: float | None
    auc_low: float | None
    auc_high: float | None
    logloss: float | None
    logloss_noise: float | None
    calibration: tuple[NoisyCalibration, ...]

    @classmethod
    def of(cls, sums: Integers, base_score: float, deviation: float) -> NoisyMetrics:
        """Measure from summed ``score_sums``; ``deviation``: of their noise, in units."""
        noise = deviation / ROW_UNITS
        counts = sums[: 2 * CELLS] / ROW_UNITS
        negatives, positives = counts[:CELLS], counts[CELLS:]
        rows, found = float(counts.sum()), float(positives.sum())
        rows_noise = noise * sqrt(2 * CELLS)
        label_noise = noise * sqrt(CELLS)
        auc = low = high = auc_noise = logloss = logloss_noise = None
        if min(found, rows - found) > _LEAST * label_noise:
            auc, auc_noise, sampling = _auc(negatives, positives, noise)
            interval = interval_of(auc, auc_noise**2 + sampling, low=0.0)
            low, high = interval.low, interval.high
        if rows > _LEAST * rows_noise:
            in_losses = MOST_LOSS / _LOSS_UNITS
            logloss = float(sums[-1]) * in_losses / rows
            logloss_noise = sqrt((deviation * in_losses) ** 2 + (logloss * rows_noise) ** 2) / rows
        groups = _calibration(negatives, positives, base_score, noise)
        return cls(
            rows, found, rows_noise, auc, auc_noise, low, high, logloss, logloss_noise, groups
        )

    @property
    def headline(self) -> str | None:
        """The one number to tell, in words."""
        if self.auc is None:
            return None
        return f"AUC {self.auc:.3f} (95 %: {self.auc_low:.3f} to {self.auc_high:.3f}, with noise)"

    def to_json(self) -> str:
        """JSON object with the names of the fields, and the kind."""
        document: dict[str, Any] = {"kind": "noisy", **asdict(self)}
        return json.dumps(document, separators=(",", ":"))


def _auc(negatives: Floats, positives: Floats, noise: float) -> tuple[float, float, float]:
    """AUC with the rows of a cell tied, the deviation of noise in it, its variance by sampling.

    The noise by its derivative in every count; the sampling as DeLong's.
    """
    n, p = negatives.sum(), positives.sum()
    outranked = np.clip((np.cumsum(negatives) - 0.5 * negatives) / n, 0.0, 1.0)
    outranking = np.clip((p - np.cumsum(positives) + 0.5 * positives) / p, 0.0, 1.0)
    auc = float(np.clip((positives * outranked).sum() / p, 0.0, 1.0))
    slopes = np.append((outranked - auc) / p, (outranking - auc) / n)
    sampling = _variance(outranked, positives) / p + _variance(outranking, negatives) / n
    return auc, noise * float(np.sqrt((slopes**2).sum())), float(sampling)


def _variance(values: Floats, counts: Floats) -> float:
    weights = np.maximum(counts, 0.0)
    mean = (weights * values).sum() / weights.sum()
    return float((weights * (values - mean) ** 2).sum() / weights.sum())


def _calibration(
    negatives: Floats, positives: Floats, base_score: float, noise: float
) -> tuple[NoisyCalibration, ...]:
    """Join neighbouring cells into up to ten groups, each well above its own noise."""
    middles = base_score + (np.arange(CELLS) + 0.5 - CELLS / 2) * WIDTH
    probability = sigmoids(middles)
    each = (negatives.sum() + positives.sum()) / 10
    groups: list[NoisyCalibration] = []
    begin = 0
    for end in range(1, CELLS + 1):
        cells = end - begin
        here = slice(begin, end)
        rows = float(negatives[here].sum() + positives[here].sum())
        if rows < max(each, _LEAST_IN_GROUP * noise * sqrt(2 * cells)):
            continue
        observed = float(np.clip(positives[here].sum() / rows, 0.0, 1.0))
        weights = np.maximum(negatives[here] + positives[here], 0.0)
        predicted = float((weights * probability[here]).sum() / weights.sum())
        spread = noise * sqrt(cells * (observed**2 + (1 - observed) ** 2)) / rows
        groups.append(NoisyCalibration(predicted, observed, spread))
        begin = end
    return tuple(groups)
