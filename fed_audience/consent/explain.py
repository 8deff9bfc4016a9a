"""Why a person may or may not be used: every event, the rule that decided, and plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.consent.events import GRANTED, LEDGER_COLUMNS, events_of, naive_utc
from fed_audience.consent.order import (
    NO_EVENT,
    Decision,
    decide,
    in_order,
    is_minor,
    known_at,
    member_rule,
)
from fed_audience.consent.purposes import PURPOSES, permits
from fed_audience.consent.rules import read_rules
from fed_audience.consent.statement import ConsentRelations
from fed_audience.errors import DataError

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.consent.events import ConsentEvent
    from fed_audience.consent.rules import Regime, Rules
    from fed_audience.warehouse.protocol import Warehouse

DECIDES: Final = "decides"
OVERRULED: Final = "overruled"
OTHER_IDENTITY: Final = "agrees"
NOT_YET: Final = "does not count yet"
NOT_KNOWN: Final = "not known yet"


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """One event and its part: decides, overruled (by a stronger one of the same identity),
    agrees (strongest of its identity, but another decides), does not count yet, not known yet.
    """  # noqa: D205 - one sentence

    event: ConsentEvent
    part: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One purpose: the decision, in plain words, and its events, strongest first."""

    purpose: str
    permits: str
    decision: Decision
    sentence: str
    events: tuple[ExplainedEvent, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that the ledger holds on one person at ``as_of``.

    ``is_minor`` is None when no identity ever stated an age; ``places`` are the jurisdictions
    whose strictest mix the person lives under.
    """

    subject_id: str
    as_of: datetime
    is_minor: bool | None
    places: tuple[str, ...]
    identities: tuple[str, ...]
    outcomes: tuple[Outcome, ...]


def explain(
    warehouse: Warehouse,
    subject_id: str,
    as_of: datetime,
    *,
    relations: ConsentRelations | None = None,
) -> Explanation:
    """Explain every purpose that exists or that the person ever spoke on.

    ``relations`` default to those of schema `main`. Raises DataError when the brand has neither
    such a customer nor such a subject.
    """
    relations = relations or ConsentRelations.of_schema()
    as_of = naive_utc(as_of)
    with warehouse.transaction():
        rules = read_rules(warehouse, relations.rules)
        rows = warehouse.query(
            f"select {LEDGER_COLUMNS} from {relations.ledger.sql()} where subject_id = ?",
            [subject_id],
        )
        is_customer = warehouse.query(
            f"select 1 from {relations.customers.sql()} where customer_id = ? limit 1",
            [subject_id],
        ).num_rows
    events = list(events_of(rows))
    if not events and not is_customer:
        raise DataError(
            "no such customer at this brand",
            looked=f"{relations.customers.sql()} and {relations.ledger.sql()}",
            fix="give the customer_id as the brand's warehouse has it",
        )
    known = known_at(events, as_of)
    purposes = dict.fromkeys([*PURPOSES, *rules.purposes])
    purposes |= dict.fromkeys(sorted({event.purpose for event in events if event.purpose}))
    return Explanation(
        subject_id=subject_id,
        as_of=as_of,
        is_minor=is_minor(known),
        places=tuple(sorted({event.jurisdiction or "unknown" for event in known})),
        identities=tuple(sorted({event.member_id for event in events if event.member_id})),
        outcomes=tuple(_outcome(subject_id, events, name, as_of, rules) for name in purposes),
    )


def _outcome(
    subject_id: str, events: list[ConsentEvent], purpose: str, as_of: datetime, rules: Rules
) -> Outcome:
    decision = decide(events, purpose=purpose, as_of=as_of, rules=rules, subject_id=subject_id)
    known = known_at(events, as_of)
    regime = rules.regime({event.jurisdiction for event in known}, purpose)
    counting = in_order(events, purpose, as_of, rules)
    parts = _parts(counting, decision)
    waiting = [event for event in events if event.purpose == purpose and event not in counting]
    waiting.sort(key=lambda event: (str(event.recorded_at), event.event_id or ""))
    parts += [ExplainedEvent(e, NOT_YET if e in known else NOT_KNOWN) for e in waiting]
    deciding = next((entry.event for entry in parts if entry.part == DECIDES), None)
    sentence = (
        _sentence(decision, deciding, regime, is_minor(known))
        if deciding is not None
        else _silence(waiting)
    )
    return Outcome(purpose, permits(purpose), decision, sentence, tuple(parts))


def _parts(counting: list[ConsentEvent], decision: Decision) -> list[ExplainedEvent]:
    parts: list[ExplainedEvent] = []
    identities: set[str | None] = set()
    for event in counting:
        is_strongest = event.member_id not in identities
        identities.add(event.member_id)
        if is_strongest and event.event_id == decision.event_id:
            part = DECIDES
        else:
            part = OTHER_IDENTITY if is_strongest else OVERRULED
        parts.append(ExplainedEvent(event, part))
    return parts


def _silence(waiting: list[ConsentEvent]) -> str:
    if waiting:
        return "no: what was said on this purpose does not count yet"
    return "no: nothing was ever said on this purpose"


def _sentence(
    decision: Decision,
    event: ConsentEvent,
    regime: Regime,
    minor: bool | None,  # noqa: FBT001 - three-valued
) -> str:
    rule = decision.rule
    if rule == "identity_merge":
        own = member_rule(event, regime, minor, decision.as_of)
        return f"no: another identity consents, but {event.member_id} does not ({own})"
    said = f"{event.counts_at:%Y-%m-%d %H:%M} UTC by {event.member_id}"
    ends = f"until {event.expires_at:%Y-%m-%d %H:%M} UTC" if event.expires_at else "without end"
    if event.status == GRANTED and not event.expires_at and regime.ttl_days is not None:
        ends = f"for {regime.ttl_days} days"
    sentences = {
        "granted": f"yes: granted {said}, {ends}",
        "opt_out_default": "yes: nobody refused, and the rules of the place permit it until then",
        "denied": f"no: refused {said}",
        "withdrawn": f"no: withdrawn {said}",
        "expired": f"no: the grant of {said} ended"
        if event.status == GRANTED
        else f"no: declared expired {said}",
        "ttl_expired": f"no: the grant of {said} is older than {regime.ttl_days} days",
        "unknown": f"no: what was said {said} is neither yes nor no",
        "minor": "no: the person is a minor, for whom nobody consents",
        "minor_unknown": "no: the age is unknown, which the rules of the place take for a minor",
        NO_EVENT: "no: nothing counts yet",
    }
    return sentences[rule]
