"""Who was in the training set of a model that the brand still holds, by key alone.

The table stands in the brand's own warehouse and is read there alone: it answers which models hold
an influence of a person who has withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from fed_audience.warehouse.control import control

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from fed_audience.consent.person_keys import PersonKeys
    from fed_audience.warehouse.protocol import Warehouse

_TABLE: Final = control("training_people")


@dataclass(frozen=True, slots=True)
class HeldModel:
    """A version that the brand holds. ``contains``: whether one person was in its training set.

    None where nobody wrote down who was, or under another secret.
    """

    model_name: str
    model_version: str
    is_active: bool
    run_id: str | None
    trained_at: datetime
    contains: bool | None = None


def record_training_people(
    warehouse: Warehouse,
    run_id: str,
    model_name: str,
    customer_ids: Iterable[object],
    keys: PersonKeys,
) -> None:
    """Write down who is in the training set of ``run_id``; runs whose models are gone are dropped.

    To be called in the transaction that registers the run's model, after that.
    """
    warehouse.execute(
        f"create table if not exists {_TABLE.sql()} (run_id varchar not null,"
        " model_name varchar not null, key_id varchar not null, person_key varchar not null)"
    )
    people = keys.of_all(customer_ids)
    warehouse.execute(
        f"delete from {_TABLE.sql()} where model_name = ? and run_id not in"
        f" (select run_id from {control('model_registry').sql()} where run_id is not null)",
        [model_name],
    )
    rows = {
        "run_id": pa.repeat(run_id, len(people)),
        "model_name": pa.repeat(model_name, len(people)),
        "key_id": pa.repeat(keys.id, len(people)),
        "person_key": pa.array(people, pa.string()),
    }
    warehouse.insert(_TABLE, pa.table(rows))


def held_models(
    warehouse: Warehouse, keys: PersonKeys, customer_id: str | None = None
) -> tuple[HeldModel, ...]:
    """Return every version in the registry, by name and age; with whether it has ``customer_id``.

    ``contains`` of all of them is None without a customer.
    """
    rows = warehouse.query(
        "select model_name, model_version, is_active, run_id, created_at as trained_at"
        f" from {control('model_registry').sql()} order by model_name, created_at, model_version"
    ).to_pylist()
    if customer_id is None or not warehouse.relation_exists(_TABLE):
        return tuple(HeldModel(**row) for row in rows)
    known = {
        row["run_id"]: row["theirs"] > 0
        for row in warehouse.query(
            "select run_id, count(case when person_key = ? then 1 end) as theirs"
            f" from {_TABLE.sql()} where key_id = ? group by run_id",
            [keys.of(customer_id), keys.id],
        ).to_pylist()
    }
    return tuple(HeldModel(**row, contains=known.get(row["run_id"])) for row in rows)


def people_of(warehouse: Warehouse, run_id: str, keys: PersonKeys) -> frozenset[str] | None:
    """Return the keys of those in the training set of ``run_id``; None where nobody knows."""
    if not warehouse.relation_exists(_TABLE):
        return None
    rows = warehouse.query(
        f"select person_key from {_TABLE.sql()} where run_id = ? and key_id = ?", [run_id, keys.id]
    )
    return frozenset(map(str, rows["person_key"].to_pylist())) or None
