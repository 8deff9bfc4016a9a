"""Which purposes a person does not allow any more, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fed_audience.consent.events import GRANTED
from fed_audience.consent.order import NO_EVENT, decide, known_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from fed_audience.consent.events import ConsentEvent
    from fed_audience.consent.rules import Rules


@dataclass(frozen=True, slots=True)
class Lost:
    """A purpose that is denied, the rule that denies it, and since when the brand knew (UTC)."""

    purpose: str
    rule: str
    since: datetime


def lost_purposes(
    events: Sequence[ConsentEvent],
    purposes: Iterable[str],
    as_of: datetime,
    rules: Rules,
    subject_id: str,
) -> tuple[Lost, ...]:
    """Return those of ``purposes`` that the person spoke on and does not allow at ``as_of``."""
    found = []
    for purpose in purposes:
        decision = decide(events, purpose=purpose, as_of=as_of, rules=rules, subject_id=subject_id)
        if decision.allowed or decision.rule == NO_EVENT:
            continue
        known = known_at(events, as_of)
        regime = rules.regime({event.jurisdiction for event in known}, purpose)
        deciding = next(
            event
            for event in known
            if event.event_id == decision.event_id and event.purpose == purpose
        )
        found.append(Lost(purpose, decision.rule, _since(deciding, regime.ttl_days, as_of)))
    return tuple(found)


def _since(event: ConsentEvent, ttl_days: int | None, as_of: datetime) -> datetime:
    """When a refusal became known, or a grant ended; never after ``as_of``."""
    known = event.recorded_at or as_of
    if event.status != GRANTED:
        return known
    ends = [event.expires_at] if event.expires_at else []
    if ttl_days is not None and event.counts_at is not None:
        ends.append(event.counts_at + timedelta(days=ttl_days))
    ended = [end for end in ends if end <= as_of]
    return min(ended) if ended else known
