"""One order of a brand's customers that no reload, shuffle or second machine can change."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fed_audience.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    StringColumn = pa.Array[pa.Scalar[pa.DataType]] | pa.ChunkedArray[pa.Scalar[pa.DataType]]


def tie_hash(customer_id: str, key: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA256 of ``customer_id`` under ``key``.

    The key keeps who wins a tie from being predictable, or alike in two audiences.
    """
    return hmac.digest(key, customer_id.encode("utf-8"), "sha256")


def top_customers(
    scores: NDArray[np.float64], customer_ids: StringColumn, count: int, key: bytes
) -> NDArray[np.int64]:
    """Return the positions of the ``count`` best customers, best score first.

    Equal scores are ordered by keyed hash, then by id; only customers tied with the last one
    chosen are hashed, so a million customers take milliseconds. Positions of equal scores
    above that one stay in the order given. Raises DataError unless every score is finite,
    there is one id a score, and ``0 <= count <= len(scores)``.
    """
    check_scores(scores, customer_ids)
    if not 0 <= count <= scores.size:
        raise DataError(
            "an audience of that size cannot be cut",
            value=count,
            limit=f"0 to {scores.size} eligible customers",
            fix="lower the reach",
        )
    if count == 0:
        return np.empty(0, dtype=np.int64)
    boundary = np.partition(scores, scores.size - count)[scores.size - count]
    above = np.flatnonzero(scores > boundary)
    tied = np.flatnonzero(scores == boundary)
    if tied.size > count - above.size:
        names = id_texts(customer_ids.take(tied))
        order = sorted(range(tied.size), key=lambda row: (tie_hash(names[row], key), names[row]))
        tied = tied[order[: count - above.size]]
    best_first = above[np.argsort(-scores[above], kind="stable")]
    return np.concatenate([best_first, tied])


def check_scores(scores: NDArray[np.float64], customer_ids: StringColumn | None = None) -> None:
    """Raise DataError when a score is not finite, or ids and scores differ in number."""
    broken = int(np.count_nonzero(~np.isfinite(scores)))
    if broken:
        raise DataError(
            "scores must be finite numbers",
            value=f"{broken} of {scores.size} are not",
            fix="keep customers without a score out with audiences.eligibility first",
        )
    if customer_ids is None:
        return
    if len(customer_ids) != scores.size:
        raise DataError(
            "every score needs one customer id",
            value=f"{scores.size} scores, {len(customer_ids)} ids",
        )
    if customer_ids.null_count:
        raise _null_ids(customer_ids)


def id_texts(customer_ids: StringColumn) -> list[str]:
    """Return customer ids as text; raises DataError when one is null."""
    texts = [text for text in customer_ids.cast(pa.string()).to_pylist() if text is not None]
    if len(texts) != len(customer_ids):
        raise _null_ids(customer_ids)
    return texts


def _null_ids(customer_ids: StringColumn) -> DataError:
    return DataError("customer ids must not be null", value=f"{customer_ids.null_count} are")
