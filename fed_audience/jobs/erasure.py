"""Forget one person at one brand: scores, memberships, what destinations were sent; for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience.activation.erasure import PersonDelivery, erase_deliveries
from fed_audience.consent.erasures import write_tombstone
from fed_audience.consent.person_keys import PersonKeys
from fed_audience.consent.statement import ConsentRelations
from fed_audience.errors import DataError
from fed_audience.warehouse.control import control

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import SecretStr

    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was forgotten of one person, who goes by ``person_key`` from here on.

    ``to_remove``: destinations that still hold the person; the next sync tells them.
    """

    person_key: str
    erased_at: datetime
    scores: int
    memberships: int
    to_remove: tuple[PersonDelivery, ...]


def erase_person(
    site: Site, customer_id: str, *, secret: SecretStr, now: datetime, even_if_absent: bool = False
) -> Erasure:
    """Erase a person and write the tombstone that keeps them from coming back; one transaction.

    ``secret`` is the site's state key, ``now`` naive UTC. The brand's own tables and its ledger
    are the brand's to delete from. Raises DataError for a customer whom the brand does not know,
    unless ``even_if_absent``. May be called again.
    """
    keys = PersonKeys(secret, site.name)
    with site.open() as warehouse, warehouse.transaction():
        if not even_if_absent:
            _require_known(site, warehouse, customer_id)
        erased_at = write_tombstone(warehouse, keys, customer_id, now)
        scores, memberships = forget_uses(warehouse, customer_id)
        to_remove = erase_deliveries(warehouse, site.name, customer_id, secret)
    return Erasure(keys.of(customer_id), erased_at, scores, memberships, to_remove)


def forget_uses(
    warehouse: Warehouse,
    customer_id: str,
    *,
    scores: bool = True,
    channels: tuple[str, ...] | None = None,
) -> tuple[int, int]:
    """Delete a person's scores, and memberships of ``channels`` (all without); return how many."""
    mine = "customer_id = ?"
    gone = 0
    if scores:
        table = control("scores").sql()
        gone = warehouse.execute(f"delete from {table} where {mine}", [customer_id])
    table, left = control("audience_members").sql(), 0
    if channels is None:
        left = warehouse.execute(f"delete from {table} where {mine}", [customer_id])
    for channel in channels or ():
        left += warehouse.execute(
            f"delete from {table} where {mine} and channel = ?", [customer_id, channel]
        )
    return gone, left


def _require_known(site: Site, warehouse: Warehouse, customer_id: str) -> None:
    relations = ConsentRelations.of_schema(site.profile.schema_)
    places = (
        (relations.customers, "customer_id"),
        (relations.ledger, "subject_id"),
        (control("scores"), "customer_id"),
    )
    for relation, column in places:
        sql = f"select 1 from {relation.sql()} where {column} = ? limit 1"
        if warehouse.query(sql, [customer_id]).num_rows:
            return
    raise DataError(
        "no such customer at this brand, so nobody was erased",
        looked=", ".join(relation.sql() for relation, _ in places),
        fix="give the customer_id as the warehouse has it; for somebody who is deleted there"
        " already, and must not come back, add --even-if-absent",
    )
