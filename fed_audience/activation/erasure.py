"""What destinations know of one person, and how that is forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from fed_audience.activation.keys import StateKeys
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import SecretStr

    from fed_audience.warehouse.protocol import Warehouse

_STATE: Final = Relation("fed_audience", "sync_state")
_REJECTS: Final = Relation("fed_audience", "sync_reject")
_PENDING: Final = Relation("fed_audience", "erasure_pending")


@dataclass(frozen=True, slots=True)
class PersonDelivery:
    """One sync that ever sent the person. ``held``: the destination holds the person, or may."""

    sync_id: str
    record_key: str
    held: bool
    last_sent_at: datetime

    @property
    def audience(self) -> str:
        """The audience that was sent."""
        return self.sync_id.partition("/")[2].partition("@")[0]

    @property
    def destination(self) -> str:
        """Where it was sent."""
        return self.sync_id.partition("@")[2]


def deliveries_of(
    warehouse: Warehouse, site: str, customer_id: str, secret: SecretStr
) -> tuple[PersonDelivery, ...]:
    """Return every sync of ``site`` that ever sent the person, by its id."""
    if not warehouse.relation_exists(_STATE):
        return ()
    syncs = warehouse.query(f"select distinct sync_id from {_STATE.sql()} order by 1")["sync_id"]
    found = []
    for sync in map(str, syncs.to_pylist()):
        owner, _, rest = sync.partition("/")
        if owner != site:
            continue
        keys = StateKeys(secret, f"{site}@{rest.partition('@')[2]}")
        rows = warehouse.query(
            "select sync_id, record_key, in_audience or in_doubt as held, last_sent_at"
            f" from {_STATE.sql()} where sync_id = ? and record_key = ?",
            [sync, keys.record_key(customer_id)],
        )
        found += [PersonDelivery(**row) for row in rows.to_pylist()]
    return tuple(found)


def erase_deliveries(
    warehouse: Warehouse, site: str, customer_id: str, secret: SecretStr
) -> tuple[PersonDelivery, ...]:
    """Forget what was sent of a person; return where a removal is still to be sent.

    That state is kept until the destination has acknowledged the removal, or nobody could tell it
    whom to remove; ``finish_erasures`` forgets it then. In the caller's transaction.
    """
    found = deliveries_of(warehouse, site, customer_id, secret)
    for one in found:
        if not one.held:
            _forget(warehouse, one.sync_id, one.record_key)
    held = tuple(one for one in found if one.held)
    if held:
        warehouse.execute(
            f"create table if not exists {_PENDING.sql()} (sync_id varchar, record_key varchar)"
        )
        for one in held:
            condition = "sync_id = ? and record_key = ?"
            name = [one.sync_id, one.record_key]
            warehouse.execute(f"delete from {_PENDING.sql()} where {condition}", name)
            row = {"sync_id": [one.sync_id], "record_key": [one.record_key]}
            warehouse.insert(_PENDING, pa.table(row))
    return held


def finish_erasures(warehouse: Warehouse) -> int:
    """Forget the erased whose removal is acknowledged by now; return how many records."""
    if not warehouse.relation_exists(_PENDING):
        return 0
    rows = warehouse.query(
        f"select p.sync_id, p.record_key from {_PENDING.sql()} p left join {_STATE.sql()} s"
        " on s.sync_id = p.sync_id and s.record_key = p.record_key"
        " where not coalesce(s.in_audience or s.in_doubt, false)"
    ).to_pylist()
    with warehouse.transaction():
        for row in rows:
            _forget(warehouse, row["sync_id"], row["record_key"])
            warehouse.execute(
                f"delete from {_PENDING.sql()} where sync_id = ? and record_key = ?",
                [row["sync_id"], row["record_key"]],
            )
    return len(rows)


def _forget(warehouse: Warehouse, sync_id: str, record_key: str) -> None:
    for table in (_STATE, _REJECTS):
        warehouse.execute(
            f"delete from {table.sql()} where sync_id = ? and record_key = ?",
            [sync_id, record_key],
        )
