"""The rows that a run began with, known again after a restart by their keys and by their codes."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.site.row_roles import key_hashes, plain_column
from fed_audience.federation.site.spooled_table import filtered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.site.source import RowSource

    Identities = NDArray[np.uint64]


def identities(table: pa.Table, manifest: Manifest) -> Identities:
    """Return uint64[n], one hash a row: of its key, and its brand where brands share keys."""
    found = key_hashes(plain_column(table, manifest.row_key), manifest.row_key)
    if manifest.brand is not None and manifest.brand in table.column_names:
        brands = key_hashes(plain_column(table, manifest.brand), manifest.brand)
        found ^= (brands << np.uint64(1)) | (brands >> np.uint64(63))
    return found


def only_frozen(
    table: pa.Table, manifest: Manifest, frozen: Identities, *, share: bool = False
) -> pa.Table:
    """Return the rows of ``table`` that the run began with; others came since and are left out.

    ``frozen``: ``identities`` of then, in any order. Raises Refusal (withdrawn) when one is gone;
    not of a ``share``, which never had them all.
    """
    found = identities(table, manifest)
    if not share:
        _require(frozen, found)
    return filtered(table, np.isin(found, frozen))


def check_frozen(source: RowSource, manifest: Manifest, frozen: Identities) -> None:
    """Read ``source`` again; raise Refusal (withdrawn) when a row that the run uses is gone."""
    batches = (pa.Table.from_batches([batch]) for batch in source.batches())
    _require(frozen, np.concatenate([identities(rows, manifest) for rows in batches]))


def _require(frozen: Identities, found: Identities) -> None:
    gone = int(np.count_nonzero(~np.isin(frozen, found)))
    if gone:
        raise Refusal("withdrawn", detail=f"{gone} of {len(frozen)} rows")


def digest_of_rows(
    known: Identities, arrays: Iterable[NDArray[Any] | None], codes: NDArray[np.uint8]
) -> bytes:
    """Hash of what the learner sees of each row, 16 bytes, whatever the order they are read in.

    ``known``: uint64[n], identities in the order of ``arrays`` [n] and ``codes`` uint8[F, n].
    """
    order = np.argsort(known, kind="stable")
    digest = blake2b(known[order].data, digest_size=16)
    for array in (*arrays, *codes):
        if array is not None and len(array):
            digest.update(np.ascontiguousarray(array[order]).data)
    return digest.digest()
