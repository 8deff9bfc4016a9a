"""What any audience must beat: chance, and recency-frequency-money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.audiences.tie_breaking import id_texts, tie_hash
from fed_audience.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.audiences.tie_breaking import StringColumn

QUINTILES: Final = 5


def random_scores(customer_ids: StringColumn, *, seed: int) -> NDArray[np.float64]:
    """Return a score in [0, 1) per customer that depends on id and ``seed`` only, not on order."""
    key = seed.to_bytes(8, "little", signed=True)
    names = id_texts(customer_ids)
    drawn = [int.from_bytes(tie_hash(name, key)[:8], "little") for name in names]
    # 53 bits are what a double holds; more could round up to 1.
    return (np.array(drawn, dtype=np.uint64) >> np.uint64(11)).astype(np.float64) / 2.0**53


def rfm_scores(
    recency_days: NDArray[np.float64],
    frequency: NDArray[np.float64],
    monetary: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the recency-frequency-money score of each customer: 3 (worst) to 15 (best).

    Each part is a quintile, 1 to 5, added up with equal weight (A. M. Hughes, "Strategic
    Database Marketing", 1994); fewer days since the last order are better. A missing value,
    as of someone who never bought, is the worst quintile. All three are float64[n].
    """
    if not recency_days.shape == frequency.shape == monetary.shape:
        raise DataError(
            "recency, frequency and money must describe the same customers",
            value=f"{recency_days.size}, {frequency.size} and {monetary.size} values",
        )
    return quintiles(-recency_days) + quintiles(frequency) + quintiles(monetary)


def quintiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 (lowest fifth) to 5 (highest fifth) per value; equal values share a fifth, NaN is 1.

    A run of equal values falls where its middle falls.
    """
    known = ~np.isnan(values)
    fifth = np.ones(values.shape, dtype=np.float64)
    distinct, position, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    if distinct.size:
        middle = np.cumsum(counts) - counts / 2.0
        fifth[known] = np.floor(QUINTILES * middle / counts.sum())[position] + 1.0
    return fifth
