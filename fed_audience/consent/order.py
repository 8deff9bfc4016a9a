"""Which event decides: the same semantics as the dbt macro `consent_as_of`, in plain Python.

Written apart from the SQL on purpose. The SQL decides whole tables at build time, this decides
again at the moment of sending, and a test compares the two on random ledgers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from fed_audience.consent.events import GRANTED, REFUSALS, ConsentEvent, naive_utc
from fed_audience.errors import ConsentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fed_audience.consent.rules import Regime, Rules

_BEGINNING: Final = datetime.min  # noqa: DTZ901 - every time here is naive and UTC

NO_EVENT: Final = "no_event"
"""Rule of a decision without a deciding event: nothing known counts yet, so the answer is no."""

RULES: Final = {
    "granted": True,
    "opt_out_default": True,
    "denied": False,
    "withdrawn": False,
    "expired": False,
    "ttl_expired": False,
    "unknown": False,
    "minor": False,
    "minor_unknown": False,
    "identity_merge": False,
    NO_EVENT: False,
}
"""Every rule that can decide, and whether it allows."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one person may be used for one purpose, and which rule and event said so."""

    subject_id: str
    purpose: str
    allowed: bool
    rule: str
    event_id: str | None
    as_of: datetime


def decide(
    events: Iterable[ConsentEvent],
    *,
    purpose: str,
    as_of: datetime,
    rules: Rules,
    subject_id: str | None = None,
) -> Decision:
    """Decide for one person from all their events, of every purpose and in any order.

    Events of other purposes matter for age and place only. ``subject_id`` is needed when there
    may be no events; events of somebody else raise ConsentError.
    """
    as_of = naive_utc(as_of)
    known = known_at(events, as_of)
    subject_id = _only_subject(known, subject_id)
    regime = _regime(known, purpose, rules)
    weakest_first = reversed(_strongest_first(known, purpose, as_of, regime))
    standing = {event.member_id: event for event in weakest_first}
    if not standing:
        return Decision(
            subject_id, purpose, allowed=False, rule=NO_EVENT, event_id=None, as_of=as_of
        )
    minor = is_minor(known)
    ruled = [(member_rule(event, regime, minor, as_of), event) for event in standing.values()]
    refused = [(rule, event) for rule, event in ruled if not RULES[rule]]
    rule, event = min(refused or ruled, key=lambda pair: _order(pair[1]))
    if refused and len(refused) < len(ruled):
        rule = "identity_merge"
    return Decision(subject_id, purpose, RULES[rule], rule, event.event_id, as_of)


def known_at(events: Iterable[ConsentEvent], as_of: datetime) -> list[ConsentEvent]:
    """Return the events of known people that the ledger had recorded by ``as_of``."""
    return [
        event
        for event in events
        if event.subject_id is not None
        and event.recorded_at is not None
        and event.recorded_at <= as_of
    ]


def in_order(
    events: Sequence[ConsentEvent], purpose: str, as_of: datetime, rules: Rules
) -> list[ConsentEvent]:
    """Return what one person said on ``purpose`` and counts at ``as_of``, strongest first.

    The later event, then the refusal, then the smaller id. Where silence consents, an event
    that says nothing comes after all that say something. A grant that is dated after
    ``as_of`` does not count yet.
    """
    known = known_at(events, as_of)
    return _strongest_first(known, purpose, as_of, _regime(known, purpose, rules))


def member_rule(event: ConsentEvent, regime: Regime, minor: bool | None, as_of: datetime) -> str:  # noqa: FBT001 - three-valued: None is unknown
    """Return the rule that decides for one identity whose strongest event is ``event``."""
    if minor:
        return "minor"
    if minor is None and regime.is_minor_unless_said:
        return "minor_unknown"
    if event.status in REFUSALS:
        return str(event.status)
    if event.status == GRANTED:
        return _term(event, regime, as_of)
    return "opt_out_default" if regime.is_opt_out else "unknown"


def is_minor(events: Iterable[ConsentEvent]) -> bool | None:
    """Tell whether any identity's newest statement of age says minor; None when nobody said.

    Of two statements recorded at the same instant, the one that says minor holds.
    """
    newest: dict[str | None, tuple[datetime, bool]] = {}
    for event in events:
        if event.is_minor is not None and event.recorded_at is not None:
            said = (event.recorded_at, event.is_minor)
            newest[event.member_id] = max(said, newest.get(event.member_id, said))
    return any(minor for _, minor in newest.values()) if newest else None


def _strongest_first(
    known: Iterable[ConsentEvent], purpose: str, as_of: datetime, regime: Regime
) -> list[ConsentEvent]:
    def strength(event: ConsentEvent) -> tuple[bool, timedelta, bool, bool, str]:
        is_silent = event.status != GRANTED and event.status not in REFUSALS
        return regime.is_opt_out and is_silent, *_order(event)

    counting = [event for event in known if event.purpose == purpose and _counts(event, as_of)]
    return sorted(counting, key=strength)


def _term(event: ConsentEvent, regime: Regime, as_of: datetime) -> str:
    if event.expires_at is not None:
        return "granted" if event.expires_at > as_of else "expired"
    if regime.ttl_days is None:
        return "granted"
    began = event.counts_at
    lasts = began is not None and as_of - began < timedelta(days=regime.ttl_days)
    return "granted" if lasts else "ttl_expired"


def _counts(event: ConsentEvent, as_of: datetime) -> bool:
    return event.status != GRANTED or (event.counts_at is not None and event.counts_at <= as_of)


def _order(event: ConsentEvent) -> tuple[timedelta, bool, bool, str]:
    """Sort key: the later event, then the refusal, then the smaller id."""
    age = _BEGINNING - (event.counts_at or _BEGINNING)
    return age, event.status == GRANTED, event.event_id is None, event.event_id or ""


def _regime(known: Iterable[ConsentEvent], purpose: str, rules: Rules) -> Regime:
    return rules.regime({event.jurisdiction for event in known}, purpose)


def _only_subject(known: Sequence[ConsentEvent], subject_id: str | None) -> str:
    subjects = {event.subject_id for event in known if event.subject_id is not None}
    if subject_id is not None:
        subjects.add(subject_id)
    if len(subjects) != 1:
        raise ConsentError(
            "a decision is about one person",
            value=f"{len(subjects)} people",
            fix="pass the events of one person, and their subject_id when there may be none",
        )
    return subjects.pop()
