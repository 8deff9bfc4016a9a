"""Sorts people into what happens to them at the destination: enter, update, leave, or nothing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fed_audience.activation.destination import Change, DestinationSpec, Reason, Record
from fed_audience.activation.identifiers import identify
from fed_audience.activation.members import Contact, Member, plain_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.activation.gate import Consent
    from fed_audience.activation.state import StateRow, SyncState

SUPPRESSED = "suppressed"
"""The rule under which a customer who asked not to be contacted is denied."""


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """A record to send, whom it is about, and what state will say once it is acknowledged."""

    record: Record
    previous: StateRow
    customer_id: str | None = None
    fingerprint: str | None = None
    compared: Mapping[str, float] = field(default_factory=dict)


class Difference:
    """What is found while people are compared, one by one, with what the destination holds."""

    def __init__(
        self,
        state: SyncState,
        spec: DestinationSpec,
        consent: Consent,
        suppressed_keys: set[str],
        refused: Mapping[str, str],
    ) -> None:
        self._state = state
        self._spec = spec
        self._consent = consent
        self._suppressed_keys = suppressed_keys
        self._refused = refused
        self.withdrawals: list[PlannedRecord] = []
        self.removals: list[PlannedRecord] = []
        self.upserts: list[PlannedRecord] = []
        self.suppressed: Counter[str] = Counter()
        self.withdrawn_by_rule: Counter[str] = Counter()
        self.unchanged = self.no_identifier = self.refused_before = self.in_doubt = 0

    def compare(self, key: str, member: Member, previous: StateRow) -> None:
        """Place someone whom the audience holds."""
        rule = self._denying_rule(key, member.customer_id)
        if rule is not None:
            if previous.held:
                self._withdraw(member, previous, rule)
            else:
                self.suppressed[rule] += 1
            return
        identifiers = identify(member, self._spec.identifiers)
        if self._spec.identifiers and not identifiers:
            self.no_identifier += 1
            if previous.held:
                self.removals.append(self._exit(member, previous, Reason.NO_IDENTIFIER))
            return
        attributes = plain_attributes(member.attributes)
        tolerances = self._state.sync.min_change
        compared = {
            name: float(value)
            for name, value in attributes.items()
            if name in tolerances and isinstance(value, int | float)
        }
        exact = {name: value for name, value in attributes.items() if name not in compared}
        told = json.dumps([identifiers, exact], sort_keys=True, ensure_ascii=False)
        fingerprint = self._state.keys.digest("fingerprint", (told,))
        if (
            previous.in_audience
            and not previous.in_doubt
            and previous.fingerprint == fingerprint
            and _within(compared, previous.compared, tolerances)
        ):
            self.unchanged += 1
        elif self._refused.get(key) == fingerprint:
            self.refused_before += 1
        elif previous.in_doubt and not self._spec.idempotent:
            self.in_doubt += 1
        else:
            record = Record(
                key=key,
                change=Change.UPDATED if previous.in_audience else Change.ENTERED,
                identifiers=identifiers,
                attributes=attributes,
                remote_id=previous.remote_id,
            )
            self.upserts.append(
                PlannedRecord(
                    _named(record, previous, self._state),
                    previous,
                    member.customer_id,
                    fingerprint,
                    compared,
                )
            )

    def leave(self, key: str, contact: Contact | None, previous: StateRow) -> None:
        """Place someone whom the destination holds and the audience does not."""
        if contact is None:
            self.removals.append(self._exit(None, previous, Reason.UNKNOWN_PERSON))
            return
        rule = self._denying_rule(key, contact.customer_id)
        if rule is not None:
            self._withdraw(contact, previous, rule)
        else:
            self.removals.append(self._exit(contact, previous, Reason.LEFT))

    def _denying_rule(self, key: str, customer_id: str) -> str | None:
        denied = self._consent.denied.get(customer_id)
        return SUPPRESSED if denied is None and key in self._suppressed_keys else denied

    def _withdraw(self, who: Contact | Member, previous: StateRow, rule: str) -> None:
        self.withdrawn_by_rule[rule] += 1
        self.withdrawals.append(self._exit(who, previous, Reason.CONSENT))

    def _exit(
        self, who: Contact | Member | None, previous: StateRow, reason: Reason
    ) -> PlannedRecord:
        named = who is not None and self._spec.removes_by_identifier
        identifiers = identify(who, self._spec.identifiers) if who and named else {}
        record = exit_record(previous, reason, self._state, identifiers)
        return PlannedRecord(record, previous, who.customer_id if who else None)


def exit_record(
    previous: StateRow, reason: Reason, state: SyncState, identifiers: Mapping[str, str]
) -> Record:
    """Return the removal of one person, by ids alone unless ``identifiers`` are given."""
    record = Record(
        key=previous.record_key,
        change=Change.EXITED,
        identifiers=identifiers,
        reason=reason,
        remote_id=previous.remote_id,
    )
    return _named(record, previous, state)


def _named(record: Record, previous: StateRow, state: SyncState) -> Record:
    """Give the record the id of its event: the version makes a later, equal change another one."""
    parts = (state.sync.id, str(previous.version), record.content())
    return replace(record, event_id=state.keys.digest("event", parts))


def _within(
    one: Mapping[str, float], other: Mapping[str, float], tolerances: Mapping[str, float]
) -> bool:
    return one.keys() == other.keys() and all(
        abs(one[name] - other[name]) < tolerances[name] or one[name] == other[name] for name in one
    )
