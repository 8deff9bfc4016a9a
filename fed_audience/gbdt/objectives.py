"""Binary log loss: the base score, and gradients in fixed point.

Rows become integers here, once, and every later sum is exact; that is why the model does not
depend on how the rows are spread over sites.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import log, sigmoid
from fed_audience.gbdt.histogram import HESSIAN_BITS

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

LEAST_SCALE_BITS: Final = 12
MOST_SCALE_BITS: Final = 16
_PACKED_BITS: Final = 62


def gradient_scale(row_cap: int) -> int:
    """Fixed-point units of a gradient of 1: a power of two from 2^12 to 2^16.

    With ``row_cap`` rows a gradient sum needs ``bits(cap) + s + 1`` bits and a hessian sum
    ``bits(cap) + s - 2``. Up to 2^19 rows the scale is the finest at which both fit one 64-bit
    ring element; beyond, where no scale of at least 2^12 would fit, it is 2^16 in two elements,
    and 2^34 rows still sum below 2^51: exact as an int64 and as a float.
    """
    cap_bits = max(row_cap - 1, 1).bit_length()
    packed = (_PACKED_BITS - 2 * cap_bits) // 2
    if packed < LEAST_SCALE_BITS:
        return 2**MOST_SCALE_BITS
    return int(2 ** min(packed, MOST_SCALE_BITS))


def base_score(rows: int, positives: int) -> float:
    """Log-odds of the rate over all training rows, from two integers.

    Raises DataError when only one class is present: there is nothing to tell apart.
    """
    if not 0 < positives < rows:
        raise DataError(
            "the training rows of all sites hold one class only",
            value=f"{positives} positives of {rows} rows",
            fix="check the label column and the positive value, or widen the label window",
        )
    return float(log(positives / (rows - positives)))


@njit(nogil=True, cache=True)
def _gradient_pairs(
    scores: NDArray[np.float64], labels: NDArray[np.float64], scale: float, pairs: NDArray[np.int64]
) -> None:
    for i in range(np.uint64(scores.size)):
        p = sigmoid(scores[i])
        gradient = np.int64(np.floor((p - labels[i]) * scale + 0.5))
        hessian = max(np.int64(np.floor(p * (1.0 - p) * scale + 0.5)), np.int64(1))
        pairs[i] = (gradient << HESSIAN_BITS) + hessian


def gradient_pairs(
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    scale: int,
    pairs: NDArray[np.int64],
    *,
    pool: ThreadPoolExecutor | None = None,
    threads: int = 1,
) -> None:
    """Fill ``pairs`` (int64[n]) with ``gradient << 32 | hessian`` of each row's log loss.

    ``scores``: float64[n] log-odds; ``labels``: float64[n], 0 or 1. The gradient p - y lies within
    +-``scale``, the hessian p (1 - p) between 1 unit and ``scale / 4``.
    """

    def job(part: int) -> None:
        begin, end = len(scores) * part // threads, len(scores) * (part + 1) // threads
        _gradient_pairs(scores[begin:end], labels[begin:end], float(scale), pairs[begin:end])

    list(pool.map(job, range(threads)) if pool else map(job, range(threads)))
