"""A public bound on labels that have none of their own, from counts that sites may sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.gbdt.bins.canonical import SMALLEST, canonical

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LEAST_EXPONENT: Final = int(np.frexp(SMALLEST)[1])
_MOST_EXPONENT: Final = 64

MAGNITUDES: Final = 1 + _MOST_EXPONENT - _LEAST_EXPONENT + 1
"""Zero, then one magnitude for each power of two from 2^-64 to 2^64."""


def magnitude_counts(labels: ArrayLike) -> NDArray[np.int64]:
    """Count labels by the power of two above them: int64[MAGNITUDES], sites' counts add.

    ``labels``: finite numbers, [n]. Cell 0 counts zeros, cell k those with
    2^(k - 65) <= abs(label) < 2^(k - 64).
    """
    values = canonical(labels).values
    cells = np.where(values != 0.0, np.frexp(values)[1] - _LEAST_EXPONENT + 1, 0)
    return np.bincount(cells, minlength=MAGNITUDES).astype(np.int64)


def label_cap(counts: NDArray[np.int64]) -> float:
    """Return the least power of two above the magnitude of every label; 1 when all are zero.

    ``counts``: summed ``magnitude_counts``.
    """
    used = np.flatnonzero(counts[1:])
    return float(np.ldexp(1.0, int(used[-1]) + _LEAST_EXPONENT)) if used.size else 1.0
