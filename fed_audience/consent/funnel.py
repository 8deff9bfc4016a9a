"""How many people consent to what, and which rule took the others out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.consent.events import naive_utc
from fed_audience.consent.order import NO_EVENT
from fed_audience.consent.purposes import PROFILE, PURPOSES, SHARE_MODEL, TRAIN, activation
from fed_audience.consent.statement import ConsentRelations, decisions_sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from fed_audience.warehouse.protocol import Warehouse

_STAGES: Final = (PROFILE, TRAIN, SHARE_MODEL)


@dataclass(frozen=True, slots=True)
class PurposeCount:
    """One purpose: customers who consent by the rule that allowed, and the others by the rule
    that denied; together all customers of the brand.
    """  # noqa: D205 - one sentence

    purpose: str
    allowed: Mapping[str, int]
    lost: Mapping[str, int]

    @property
    def people(self) -> int:
        """Number of customers who consent."""
        return sum(self.allowed.values())


@dataclass(frozen=True, slots=True)
class Stage:
    """Customers who consent to this purpose and to all before it."""

    name: str
    people: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """A brand at one instant.

    ``stages`` lead from all customers to those whose rows may train in the federation;
    ``eligible`` counts, for each channel, those who allow profiling and that channel.
    """

    as_of: datetime
    customers: int
    purposes: tuple[PurposeCount, ...]
    stages: tuple[Stage, ...]
    eligible: Mapping[str, int]


def funnel(
    warehouse: Warehouse,
    as_of: datetime,
    *,
    relations: ConsentRelations | None = None,
    channels: Sequence[str] = ("email", "ads"),
) -> Funnel:
    """Count the customers of a brand at ``as_of``; ``relations`` default to schema `main`.

    Subjects that are no customers of the brand are not counted.
    """
    relations = relations or ConsentRelations.of_schema()
    as_of = naive_utc(as_of)
    purposes = [*PURPOSES, *(activation(channel) for channel in channels)]
    decisions = decisions_sql(warehouse, relations, as_of)
    columns = ", ".join(
        f"coalesce(max(case when d.purpose = '{purpose}' then d.rule end), '{NO_EVENT}') as r{i},"
        f" coalesce(bool_or(d.is_consented and d.purpose = '{purpose}'), false) as a{i}"
        for i, purpose in enumerate(purposes)
    )
    keys = ", ".join(f"r{i}, a{i}" for i in range(len(purposes)))
    # One row a combination of outcomes: a few hundred, whatever the number of customers.
    rows = warehouse.query(
        f"select {keys}, count(*) as people from (select c.customer_id, {columns}"
        f" from {relations.customers.sql()} c left join ({decisions}) d"
        f" on d.subject_id = c.customer_id group by c.customer_id) as outcomes group by {keys}"
    ).to_pylist()
    allows = {purpose: f"a{i}" for i, purpose in enumerate(purposes)}

    def people(*wanted: str) -> int:
        return sum(row["people"] for row in rows if all(row[allows[purpose]] for purpose in wanted))

    stages = [Stage("customers", people())]
    stages += [Stage(name, people(*_STAGES[: i + 1])) for i, name in enumerate(_STAGES)]
    return Funnel(
        as_of=as_of,
        customers=people(),
        purposes=tuple(_counted(rows, purpose, i) for i, purpose in enumerate(purposes)),
        stages=tuple(stages),
        eligible={channel: people(PROFILE, activation(channel)) for channel in channels},
    )


def _counted(rows: list[dict[str, object]], purpose: str, index: int) -> PurposeCount:
    counts: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for row in rows:
        side = counts[bool(row[f"a{index}"])]
        rule = str(row[f"r{index}"])
        side[rule] = side.get(rule, 0) + int(str(row["people"]))
    return PurposeCount(purpose, _largest_first(counts[True]), _largest_first(counts[False]))


def _largest_first(counts: Mapping[str, int]) -> Mapping[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
