"""Which rows and features do what, decided by a stable hash of key or name, never by position.

A row's part is the same at whichever site, and in whichever order, the row is stored; a feature's
whatever its place among the others.
"""

from __future__ import annotations

from fractions import Fraction
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.bins.arrow_columns import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]


@njit(nogil=True, cache=True)
def _hash_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64], out: Hashes) -> None:
    """64-bit FNV-1a of each text, finished by the mixer of MurmurHash3 (both public domain)."""
    for i in range(out.size):
        h = np.uint64(0xCBF29CE484222325)
        for k in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(data[k])) * np.uint64(0x100000001B3)
        out[i] = _mix(h)


@njit(nogil=True, cache=True)
def _mix(h: np.uint64) -> np.uint64:
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))


@njit(nogil=True, cache=True)
def _mix_all(hashes: Hashes, salt: np.uint64, out: Hashes) -> None:
    for i in range(out.size):
        out[i] = _mix(hashes[i] ^ salt)


def row_hashes(keys: pa.Array[Any] | pa.ChunkedArray[Any]) -> NDArray[np.uint64]:
    """Return uint64[n]: one hash per key. Keys are compared as text, so 5 and '5' are equal.

    Raises DataError when a key is null.
    """
    if keys.null_count:
        raise DataError(
            "a row has no key",
            value=f"{keys.null_count} null keys",
            fix="give every row a key, for example the customer id",
        )
    keys[:0].cast(pa.large_string())  # a type that has no text is refused without rows too
    out = np.empty(len(keys), dtype=np.uint64)
    done = 0
    for block in blocks(keys):
        texts = block.cast(pa.large_string())
        _, offset_buffer, data_buffer = texts.buffers()
        offsets = np.frombuffer(offset_buffer, dtype=np.int64)
        offsets = offsets[texts.offset : texts.offset + len(texts) + 1]
        data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer else np.empty(0, np.uint8)
        _hash_texts(data, offsets, out[done : done + len(texts)])
        done += len(texts)
    return out


def keyed(hashes: NDArray[np.uint64], *, seed: int, use: str, tree: int = 0) -> NDArray[np.uint64]:
    """Mix row ``hashes`` with (run ``seed``, ``tree``, ``use``); uint64[n], uniform."""
    salt = np.uint64(_digest(seed, tree, use))
    out = np.empty_like(hashes)
    _mix_all(hashes, salt, out)
    return out


def chosen(keyed_hashes: NDArray[np.uint64], fraction: float) -> NDArray[np.bool_]:
    """Bernoulli draw of each row at probability ``fraction`` in [0, 1]: hash below a border."""
    border = int(Fraction(fraction) * 2**64)
    if border >= 2**64:
        return np.ones(len(keyed_hashes), dtype=bool)
    return keyed_hashes < np.uint64(border)


def validation_rows(hashes: NDArray[np.uint64], *, seed: int, fraction: float) -> NDArray[np.bool_]:
    """Return bool[n]: rows kept out of training for early stopping and evaluation.

    ``hashes`` are those of the row key, or of the group key where one is declared, so that a
    group never stands on both sides.
    """
    return chosen(keyed(hashes, seed=seed, use="validation"), fraction)


def bagged_rows(
    hashes: NDArray[np.uint64], seed: int, tree: int, fraction: float
) -> NDArray[np.bool_]:
    """Return bool[n]: rows that iteration ``tree`` learns from, each with chance ``fraction``."""
    return chosen(keyed(hashes, seed=seed, use="bagging", tree=tree), fraction)


def drawn_features(
    names: Sequence[str], fraction: float, seed: int, tree: int
) -> NDArray[np.bool_]:
    """Return bool[F]: the features that iteration ``tree`` may split on.

    ``fraction`` of them, rounded to the nearest number (halves up) and at least one: those whose
    names hash lowest. LightGBM draws at least two.
    """
    count = max(1, int(fraction * len(names) + 0.5))
    ranked = sorted(names, key=lambda name: (_digest(seed, tree, "feature", name), name))
    lowest = set(ranked[:count])
    return np.array([name in lowest for name in names], dtype=np.bool_)


def _digest(*context: object) -> int:
    """Hash ``context`` to 64 bits."""
    text = "|".join(map(str, context)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
