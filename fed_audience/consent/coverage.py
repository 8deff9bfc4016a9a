"""Where a brand's consent comes from: people by purpose and source, and flags without meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.consent.events import naive_utc
from fed_audience.consent.purposes import PURPOSES, validated
from fed_audience.consent.statement import decisions_sql
from fed_audience.errors import ConsentError
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.consent.statement import ConsentRelations
    from fed_audience.warehouse.protocol import Warehouse

LEGAL_BASES: Final = ("consent", "legitimate_interest", "contract")
_SEED: Final = "consent_mapping"
_UNMAPPED: Final = "int_consent_unmapped"


@dataclass(frozen=True, slots=True)
class SourceCount:
    """People who consent to ``purpose`` by an event of ``source``; ``legal_basis`` as it stated."""

    purpose: str
    source: str
    legal_basis: str
    people: int


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Grants by a flag that no approved row of the mapping speaks of."""

    source: str
    flag: str
    policy_version: str
    events: int


def consent_by_source(
    warehouse: Warehouse, relations: ConsentRelations, as_of: datetime
) -> tuple[SourceCount, ...]:
    """Count who consents at ``as_of``, by purpose and by the source of the deciding event."""
    decisions = decisions_sql(warehouse, relations, naive_utc(as_of))
    rows = warehouse.query(
        "select d.purpose, coalesce(l.source_system, '') as source,"
        " coalesce(l.legal_basis, '') as legal_basis, count(*) as people"
        f" from ({decisions}) as d inner join {relations.customers.sql()} as c"
        " on c.customer_id = d.subject_id"
        f" inner join {relations.ledger.sql()} as l on l.consent_event_id = d.consent_event_id"
        " and l.subject_id = d.subject_id and l.purpose = d.purpose where d.is_consented"
        " group by d.purpose, coalesce(l.source_system, ''), coalesce(l.legal_basis, '')"
    )
    found = [SourceCount(**row) for row in rows.to_pylist()]
    order = {purpose: place for place, purpose in enumerate(PURPOSES)}
    return tuple(
        sorted(found, key=lambda one: (order.get(one.purpose, len(order)), one.purpose, one.source))
    )


def unmapped_flags(warehouse: Warehouse, relations: ConsentRelations) -> tuple[Unmapped, ...]:
    """Return what consents to nothing for want of a mapping, the most events first."""
    relation = Relation(relations.ledger.schema, _UNMAPPED)
    rows = warehouse.query(
        "select coalesce(source_system, '') as source, coalesce(source_flag, '') as flag,"
        " coalesce(policy_version, '') as policy_version, events"
        f" from {relation.sql()}"
    )
    found = [Unmapped(**row) for row in rows.to_pylist()]
    return tuple(sorted(found, key=lambda one: (-one.events, one.source, one.flag)))


def check_mapping(warehouse: Warehouse, relations: ConsentRelations) -> int:
    """Raise ConsentError for the first flag without meaning or row without approval.

    Returns how many rows the mapping has. Rows are judged by the seed that stands in the target's
    schema; purposes must be known, the legal basis one of ``LEGAL_BASES``.
    """
    seed = Relation(relations.ledger.schema, _SEED)
    rows = warehouse.query(f"select * from {seed.sql()}").to_pylist()
    for row in rows:
        _check_row(row, seed)
    missing = unmapped_flags(warehouse, relations)
    if missing:
        first = missing[0]
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ConsentError(
            f"a flag of {first.source or 'an unnamed source'} has no approved mapping{more}",
            value=f"{first.flag or 'no flag'}, policy version {first.policy_version or 'unknown'}"
            f": {first.events:,} grants consent to nothing",
            looked=seed.sql(),
            fix="add a row for it to the brand's seed consent_mapping, with approver and date;"
            " without a purpose where it is meant to grant nothing",
        )
    return len(rows)


def _check_row(row: dict[str, object], seed: Relation) -> None:
    flag = f"{row['source_system']}, {row['source_flag']}"
    lacking = [
        name
        for name in ("source_system", "source_flag", "policy_version", "approver", "approved_on")
        if row[name] is None
    ]
    if lacking:
        raise ConsentError(
            f"a row of the consent mapping lacks {', '.join(lacking)}",
            value=flag,
            looked=seed.sql(),
            fix="fill it in; until then the row grants nothing",
        )
    if row["purpose"] is None:
        return
    try:
        validated(str(row["purpose"]))
    except ConsentError as error:
        error.looked = f"{seed.sql()}, {flag}"
        raise
    if row["legal_basis"] not in LEGAL_BASES:
        raise ConsentError(
            "a row of the consent mapping names no legal basis that we know",
            value=f"{flag}: {row['legal_basis']}",
            limit=", ".join(LEGAL_BASES),
            looked=seed.sql(),
            fix="correct it in the brand's seed consent_mapping",
        )
