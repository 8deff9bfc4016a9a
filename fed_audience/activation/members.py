"""The people a sync reads: who is in the audience, and who is known to the brand at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fed_audience.warehouse.protocol import Relation, Warehouse

Plain = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer of the brand, in the audience or not; read to find whom a removal is about.

    ``suppressed`` customers asked not to be contacted: they are removed like a withdrawal.
    """

    customer_id: str
    email: str | None = None
    phone: str | None = None
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A customer whom the audience holds, with what the destination is to be told of them."""

    customer_id: str
    email: str | None = None
    phone: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


def read_contacts(warehouse: Warehouse, relation: Relation) -> Iterator[Contact]:
    """Stream all customers of the brand, and who is suppressed, from ``int_contact_details``."""
    sql = f"SELECT customer_id, email, phone, is_suppressed FROM {relation.sql()}"
    for batch in warehouse.stream(sql):
        for customer, email, phone, suppressed in zip(*batch.to_pydict().values(), strict=True):
            yield Contact(str(customer), email, phone, suppressed=bool(suppressed))


def plain_attributes(attributes: Mapping[str, object]) -> dict[str, Plain]:
    """Return the attributes as JSON knows them, sorted by name.

    Missing values (None, NaN) are left out, so that a gap never overwrites what the
    destination holds. Raises DataError for an infinite number or a type without a plain form.
    """
    found: dict[str, Plain] = {}
    for name in sorted(attributes):
        value = attributes[name]
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Decimal):
            value = float(value)
        if isinstance(value, datetime | date):
            value = value.isoformat()
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        if isinstance(value, float) and math.isinf(value):
            raise DataError(
                f"attribute '{name}' is infinite",
                fix="correct the model that computes it; nothing was sent",
            )
        if not isinstance(value, str | int | float | bool):
            raise DataError(
                f"attribute '{name}' has no plain form",
                value=type(value).__name__,
                limit="text, number, boolean, date or time",
                fix="cast it in the audience's query",
            )
        found[name] = value
    return found
