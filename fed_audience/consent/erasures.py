"""People who were erased: a keyed tombstone of each keeps them from coming back.

A tombstone holds no identifier. Whoever has one is in no training, no scores and no audience, and
is denied every purpose, whatever the ledger or a later import says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from fed_audience.errors import ConfigError
from fed_audience.warehouse.control import control

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from fed_audience.consent.gate import ConsentGate
    from fed_audience.consent.order import Decision
    from fed_audience.consent.person_keys import PersonKeys
    from fed_audience.warehouse.protocol import Warehouse

ERASED: Final = "erased"
"""The rule under which an erased person is denied."""
_TABLE: Final = control("erasures")


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The erased of one brand: person key -> when. ``keys`` is None where nobody was erased."""

    erased_at: Mapping[str, datetime]
    keys: PersonKeys | None

    def of(self, customer_id: str) -> datetime | None:
        """Return when the customer was erased; None who was not."""
        if self.keys is None or not self.erased_at:
            return None
        return self.erased_at.get(self.keys.of(customer_id))

    def without(self, rows: pa.Table, entity: str) -> pa.Table:
        """Return ``rows`` less those whose column ``entity`` names an erased person."""
        if not self.erased_at:
            return rows
        return rows.filter(pa.array(self.spare(rows[entity])))

    def spare(self, ids: pa.ChunkedArray[Any]) -> NDArray[np.bool_]:
        """Mark those of ``ids`` who are not erased: bool[n]."""
        if not self.erased_at:
            return np.ones(len(ids), dtype=np.bool_)
        spared = (self.of(str(one)) is None for part in ids.chunks for one in part.to_pylist())
        return np.fromiter(spared, dtype=np.bool_, count=len(ids))

    def without_each(self, batches: Iterator[pa.Table], entity: str) -> Iterator[pa.Table]:
        """Yield ``batches``, each less the erased."""
        for batch in batches:
            yield self.without(batch, entity)


class ErasureGate:
    """A consent gate that denies the erased, and asks ``gate`` about everybody else."""

    def __init__(self, gate: ConsentGate, tombstones: Tombstones) -> None:
        self._gate = gate
        self._tombstones = tombstones

    def allowed(
        self, subject_ids: Sequence[str], purpose: str, as_of: datetime
    ) -> Mapping[str, Decision]:
        """Decide as ``ConsentGate.allowed`` does; the erased are denied with rule 'erased'."""
        decisions = self._gate.allowed(subject_ids, purpose, as_of)
        return {
            subject: decision
            if self._tombstones.of(subject) is None
            else replace(decision, allowed=False, rule=ERASED)
            for subject, decision in decisions.items()
        }


def read_tombstones(warehouse: Warehouse, keys: PersonKeys | None) -> Tombstones:
    """Read the tombstones of a brand.

    Raises ConfigError when there are some that ``keys`` cannot read: nobody may be used then.
    """
    if not warehouse.relation_exists(_TABLE):
        return Tombstones({}, None)
    rows = warehouse.query(f"select person_key, key_id, erased_at from {_TABLE.sql()}").to_pylist()
    ids = {row["key_id"] for row in rows}
    if ids - ({keys.id} if keys else set()):
        raise ConfigError(
            "people were erased here, and the state key that recognises them is not at hand",
            value="no state key" if keys is None else f"key {keys.id}",
            limit=f"key {', '.join(sorted(ids))}",
            looked=_TABLE.sql(),
            fix="set the state key that they were erased under (state_key in federation.yml);"
            " without it they could come back, so nobody is used",
        )
    return Tombstones({row["person_key"]: row["erased_at"] for row in rows}, keys)


def write_tombstone(
    warehouse: Warehouse, keys: PersonKeys, customer_id: str, now: datetime
) -> datetime:
    """Write the tombstone of a person; return when the person was erased first."""
    warehouse.execute(
        f"create table if not exists {_TABLE.sql()} (person_key varchar not null primary key,"
        " key_id varchar not null, erased_at timestamp not null)"
    )
    found = read_tombstones(warehouse, keys).of(customer_id)
    if found is None:
        row = {"person_key": keys.of(customer_id), "key_id": keys.id, "erased_at": now}
        warehouse.insert(_TABLE, pa.Table.from_pylist([row]))
    return found or now
