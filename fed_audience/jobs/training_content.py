"""What a training at one brand comes out of, as hashes: as long as they stay, so does the model."""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.audit.fields import canonical
from fed_audience.gbdt.growing.sampling import keyed, row_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation import Manifest
    from fed_audience.federation.contract.terms import Contract
    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.warehouse.manifest import ModelSpec

BOOKKEEPING: Final = "_fed_"
"""Columns that say which build made a row, and when; they are no content."""
OWN_AFFAIR: Final = frozenset({"partners", "cadence_days", "features_as_of", "allow_leaky"})
"""Parts of a spec that change who may train, how often and what is checked, not what comes out."""
_NULL: Final = np.float64(np.nan).view(np.uint64)
_WORDS: Final = {
    "content": "rows, features or consent",
    "spec": "meta.fed_audience of the training model",
    "settings": "the model's settings",
    "contract": "the contract",
    "sites": "who takes part",
}


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """Hashes of all that a brand's part in a training depends on; kept in its model registry.

    ``content``: of its consented rows; ``sites``: who took part, sorted. ``columns``: names of what
    the brand trained with, sorted, by which scoring notices one that is gone; part of the content.
    """

    content: str
    spec: str
    settings: str
    contract: str | None
    sites: tuple[str, ...]
    columns: tuple[str, ...] = field(default=(), compare=False)

    def changes(self, earlier: Self) -> tuple[str, ...]:
        """Say in words what is not as in ``earlier``."""
        return tuple(
            words for part, words in _WORDS.items() if getattr(self, part) != getattr(earlier, part)
        )

    def to_json(self) -> str:
        """Return the form in which the registry keeps it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> TrainedOn | None:
        """Read ``to_json`` back; None for what another version wrote, or nobody."""
        try:
            found = json.loads(text or "")
            sites, columns = tuple(found["sites"]), tuple(found.get("columns", ()))
            return cls(**{**found, "sites": sites, "columns": columns})
        except (ValueError, TypeError, KeyError):
            return None


def trained_on(
    table: pa.Table,
    spec: ModelSpec,
    settings: FederationSettings,
    model: ModelSettings,
    contract: Contract | None,
    sites: Sequence[str],
    category_key: bytes,
) -> TrainedOn:
    """Hash what one brand brings to a training. ``table``: its consented rows, as dbt built them.

    The contract stands for itself where there is one; what only says why a rule was set aside is
    no part of the settings.
    """
    said = model.model_dump(
        mode="json",
        exclude={"override_brand_difference", "override_small_change", "override_by", "bisect"},
    )
    public = settings.public_values if model.privacy is not None else {}
    meant = {
        "model": said,
        "public_values": {name: one.model_dump(mode="json") for name, one in public.items()},
        "category_key": _key_id(category_key),
    }
    return _hashed(table, spec, meant, contract, sites)


def trained_in(
    table: pa.Table,
    spec: ModelSpec,
    manifest: Manifest,
    contract: Contract,
    category_key: bytes,
    *,
    continuation: bool,
) -> TrainedOn:
    """Hash what a site brings to a run that its coordinator proposes, as ``trained_on`` does.

    The settings are those of ``manifest``, whatever the run is called, and ``continuation``:
    whether the site adds trees of its own.
    """
    proposed = {**json.loads(manifest.to_json()), "run_id": None}
    meant = {
        "manifest": proposed,
        "continuation": continuation,
        "category_key": _key_id(category_key),
    }
    return _hashed(table, spec, meant, contract, manifest.sites)


def _hashed(
    table: pa.Table,
    spec: ModelSpec,
    meant: Mapping[str, object],
    contract: Contract | None,
    sites: Sequence[str],
) -> TrainedOn:
    return TrainedOn(
        content=content_sha256(table, spec.entity),
        spec=_sha256(spec.model_dump(mode="json", exclude=set(OWN_AFFAIR))),
        settings=_sha256(meant),
        contract=None if contract is None else contract.sha256,
        sites=tuple(sorted(sites)),
        columns=tuple(
            sorted(name for name in table.column_names if not name.startswith(BOOKKEEPING))
        ),
    )


def _key_id(category_key: bytes) -> str:
    """Name the key: under another one categories hash to other codes."""
    return hmac.digest(category_key, b"key id", "sha256").hex()[:16]


def content_sha256(table: pa.Table, entity: str) -> str:
    """Hash the rows of ``table``, whatever the order of rows and columns.

    Each row becomes 64 bits, and the sorted rows one SHA-256. Numbers count as the learner reads
    them (float64; -0 is 0, NaN is NULL), keys and words as text, times in microseconds. Two tables
    that differ in one value hash alike with chance 2^-64.
    """
    names = sorted(name for name in table.column_names if not name.startswith(BOOKKEEPING))
    rows = np.zeros(table.num_rows, dtype=np.uint64)
    for name in names:
        values = _bits(table[name], as_text=name == entity)
        rows += keyed(values, seed=0, use=f"content of {name}")
    ordered = np.sort(keyed(rows, seed=0, use="content of a row"))
    whole = sha256(json.dumps(names).encode())
    whole.update(ordered.astype("<u8").tobytes())
    return whole.hexdigest()


def _bits(column: pa.ChunkedArray[Any], *, as_text: bool) -> NDArray[np.uint64]:
    """Return uint64[n], equal where values are equal."""
    kind = column.type
    missing = column.is_null().to_numpy()
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    bits: NDArray[np.uint64]
    if (pa.types.is_date(kind) or pa.types.is_timestamp(kind)) and not as_text:
        times = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        bits = _filled(times, 0).to_numpy().view(np.uint64)
    elif not as_text and (pa.types.is_decimal(kind) or _is_number(column.type)):
        numbers = _filled(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
        missing = np.isnan(numbers)
        bits = (numbers + 0.0).view(np.uint64)  # -0 becomes 0
    else:
        bits = row_hashes(_filled(_text(column), ""))
    return np.where(missing, _NULL, bits)


def _filled(column: pa.ChunkedArray[Any], value: Any) -> pa.ChunkedArray[Any]:
    return pc.fill_null(column, value)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _text(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    try:
        return column.cast(pa.large_string())
    except pa.ArrowNotImplementedError:  # lists and records, which are never features
        return pa.chunked_array([pa.array(map(str, column.to_pylist()), pa.large_string())])


def _sha256(document: object) -> str:
    return sha256(canonical(document)).hexdigest()
