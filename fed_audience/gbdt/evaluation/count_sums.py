"""What sites sum to evaluate predicted amounts: integers of exact value, whatever the order.

A vector holds, for every cell of the prediction, the rows, their labels and their predictions;
then the rows clipped, and five sums of errors. Cells are 2^-8 of a power of two wide, so wherever
deciles are cut, predictions are told apart to 0.4 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.gbdt.fixed_point import row_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

MANTISSA_BITS: Final = 8
OCTAVES: Final = 32
"""Predictions below 2^-32 of the label cap join the cell of zero."""

_SIDE: Final = OCTAVES << MANTISSA_BITS
CELLS: Final = 2 * _SIDE + 1
"""Negative predictions, largest first; zero; positive ones."""

_DROPPED_BITS: Final = 52 - MANTISSA_BITS
_FIRST_KEY: Final = (1023 - OCTAVES) << MANTISSA_BITS

ERRORS: Final = ("absolute", "squared", "deviance", "own", "label_squared")
_LIMB_BITS: Final = 28
_ERROR_BITS: Final = 50
_MOST_SUM_BITS: Final = 62
_MOST_VALUE_BITS: Final = 50

SIZE: Final = 3 * CELLS + 1 + 2 * len(ERRORS)
"""Length of the vector."""


@dataclass(frozen=True, slots=True)
class CountUnits:
    """Caps that fix the units: powers of two. A label or prediction beyond its cap is clipped.

    A label counts in 2^-(62 - bits(row_cap)) of its cap, at most 2^-50: 2^-35 for 2^27 rows. Every
    error counts in 2^-50 of its largest, as two integers, so that 2^34 rows cannot wrap.
    """

    label_cap: float
    deviance_cap: float
    row_cap: int

    @property
    def label_unit(self) -> float:
        """Real value of one unit of labels and predictions."""
        bits = min(_MOST_SUM_BITS - row_bits(self.row_cap), _MOST_VALUE_BITS)
        return self.label_cap / 2.0**bits

    @property
    def largest(self) -> tuple[float, ...]:
        """Largest error of a row, in the order of ERRORS."""
        square = self.label_cap * self.label_cap
        return 2.0 * self.label_cap, 4.0 * square, self.deviance_cap, self.deviance_cap, square


@dataclass(frozen=True, slots=True)
class CountSums:
    """The vector read back: by cell ``rows``, ``labels`` and ``predictions``, float64[CELLS]."""

    rows: Integers
    labels: NDArray[np.floating]
    predictions: NDArray[np.floating]
    label_sum: float
    prediction_sum: float
    clipped: int
    errors: dict[str, float]


def count_sums(
    units: CountUnits, labels: Floats, predictions: Floats, deviances: Floats, own: Floats
) -> Integers:
    """Sum the rows of a site: int64[SIZE].

    ``deviances``: of each row; ``own``: the term of each label in the deviance of the mean.
    """
    cells = np.zeros((3, CELLS), dtype=np.int64)
    rest = np.zeros(1 + 2 * len(ERRORS), dtype=np.int64)
    factors = tuple(2.0**_ERROR_BITS / largest for largest in units.largest)
    rest[0] = _add_rows(
        labels,
        predictions,
        deviances,
        own,
        (units.label_cap, units.deviance_cap, 1.0 / units.label_unit),
        factors,
        cells,
        rest[1:].reshape(-1, 2),
    )
    return np.concatenate((cells.ravel(), rest))


def read_sums(units: CountUnits, sums: Integers) -> CountSums:
    """Read summed vectors back into real numbers; each is rounded once, from an exact integer."""
    rows, labels, predictions = sums[: 3 * CELLS].reshape(3, CELLS)
    clipped, *limbs = (int(value) for value in sums[3 * CELLS :])
    exact = [(high << _LIMB_BITS) + low for high, low in zip(limbs[::2], limbs[1::2], strict=True)]
    return CountSums(
        rows=rows,
        labels=labels * units.label_unit,
        predictions=predictions * units.label_unit,
        label_sum=int(labels.sum()) * units.label_unit,
        prediction_sum=int(predictions.sum()) * units.label_unit,
        clipped=clipped,
        errors={
            name: value * (largest / 2.0**_ERROR_BITS)
            for name, value, largest in zip(ERRORS, exact, units.largest, strict=True)
        },
    )


@njit(nogil=True, cache=True, error_model="numpy")
def prediction_cell(share: float) -> np.int64:
    """Cell of a prediction given as its share of the label cap, in [-1, 1]."""
    key = np.int64(np.float64(abs(share)).view(np.uint64) >> np.uint64(_DROPPED_BITS)) - _FIRST_KEY
    if key < 0:
        return np.int64(_SIDE)
    key = min(key, np.int64(_SIDE - 1))
    return np.int64(_SIDE + 1 + key if share > 0.0 else _SIDE - 1 - key)


@njit(nogil=True, cache=True, error_model="numpy")
def _clip(value: float, cap: float) -> float:
    return max(min(value, cap), -cap)


@njit(nogil=True, cache=True, error_model="numpy")
def _add_error(value: float, cap: float, factor: float, out: Integers) -> None:
    units = np.int64(np.floor(_clip(value, cap) * factor + 0.5))
    out[0] += units >> _LIMB_BITS
    out[1] += units & ((1 << _LIMB_BITS) - 1)


@njit(nogil=True, cache=True, error_model="numpy")
def _add_rows(
    labels: Floats,
    predictions: Floats,
    deviances: Floats,
    own: Floats,
    caps: tuple[float, float, float],
    factors: tuple[float, float, float, float, float],
    cells: Integers,
    errors: Integers,
) -> np.int64:
    """Add rows to ``cells`` and ``errors``; return how many were clipped."""
    label_cap, deviance_cap, units = caps
    clipped = np.int64(0)
    for i in range(np.uint64(labels.size)):
        label = _clip(labels[i], label_cap)
        prediction = _clip(predictions[i], label_cap)
        clipped += (label != labels[i]) | (prediction != predictions[i])
        cell = prediction_cell(prediction / label_cap)
        cells[0, cell] += 1
        cells[1, cell] += np.int64(np.floor(label * units + 0.5))
        cells[2, cell] += np.int64(np.floor(prediction * units + 0.5))
        error = prediction - label
        _add_error(abs(error), np.inf, factors[0], errors[0])
        _add_error(error * error, np.inf, factors[1], errors[1])
        _add_error(deviances[i], deviance_cap, factors[2], errors[2])
        _add_error(own[i], deviance_cap, factors[3], errors[3])
        _add_error(label * label, np.inf, factors[4], errors[4])
    return clipped
