"""The difference between an audience and what its destination holds; a dry run stops here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING

from fed_audience.activation.destination import Change, DestinationSpec
from fed_audience.activation.difference import Difference, PlannedRecord
from fed_audience.activation.gate import Gate, ask
from fed_audience.activation.identifiers import masked
from fed_audience.activation.state import StateRow, SyncState
from fed_audience.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from fed_audience.activation.definition import Sync
    from fed_audience.activation.members import Contact, Member, Plain

_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One planned change as a person may see it: no id, no identifier, only its outline."""

    record: str
    change: str
    reason: str
    identifiers: Mapping[str, str]
    attributes: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would send, in the order in which it would send it.

    ``withdrawals`` leave because consent is gone, and wait for nothing. ``removals`` leave for
    any other reason, and wait while ``blocked`` says why they need a confirmation.
    ``suppressed`` and ``withdrawn_by_rule`` count people by the consent rule that denied them.
    ``no_identifier`` people cannot be recognised at the destination; ``refused_before`` were
    refused by it and have not changed since. ``in_doubt`` were sent without an answer to a
    destination where sending twice does harm, and wait until somebody looks.
    """

    sync: Sync
    as_of: datetime
    source_rows: int
    held: int
    withdrawals: tuple[PlannedRecord, ...]
    removals: tuple[PlannedRecord, ...]
    upserts: tuple[PlannedRecord, ...]
    unchanged: int
    no_identifier: int
    refused_before: int
    in_doubt: int
    suppressed: Mapping[str, int]
    withdrawn_by_rule: Mapping[str, int]
    blocked: str | None

    @property
    def added(self) -> int:
        """People who enter."""
        return sum(one.record.change is Change.ENTERED for one in self.upserts)

    @property
    def updated(self) -> int:
        """People who stay, with something new to tell of them."""
        return len(self.upserts) - self.added

    def counts(self) -> dict[str, object]:
        """Return every count by name, for the screen and for the run's row."""
        return {
            "source_rows": self.source_rows,
            "held": self.held,
            "withdraw": len(self.withdrawals),
            "remove": len(self.removals),
            "add": self.added,
            "update": self.updated,
            "unchanged": self.unchanged,
            "no_identifier": self.no_identifier,
            "refused_before": self.refused_before,
            "in_doubt": self.in_doubt,
            "suppressed": dict(self.suppressed),
            "withdrawn_by_rule": dict(self.withdrawn_by_rule),
            "blocked": self.blocked,
        }

    def examples(self, limit: int = _EXAMPLES) -> tuple[Example, ...]:
        """Return masked examples, taken in turn from withdrawals, removals and upserts."""
        in_turn = chain.from_iterable(zip_longest(self.withdrawals, self.removals, self.upserts))
        return tuple(
            Example(
                record=f"{one.record.key[:8]}…",
                change=one.record.change.value,
                reason=one.record.reason.value if one.record.reason else "",
                identifiers=masked(one.record.identifiers),
                attributes={
                    name: value
                    for name, value in one.record.attributes.items()
                    if not isinstance(value, str)
                },
            )
            for one in islice((one for one in in_turn if one is not None), limit)
        )


def plan(
    members: Iterable[Member],
    contacts: Iterable[Contact],
    state: SyncState,
    gate: Gate,
    spec: DestinationSpec,
    as_of: datetime,
    *,
    confirm_removals: bool = False,
    retry_refused: bool = False,
) -> Plan:
    """Compare the audience with the destination's acknowledged state, asking consent first.

    ``members`` are the audience, one row per customer. ``contacts`` are all customers of the
    brand: whoever the destination holds and no audience mentions is looked up there, so that a
    withdrawal is told from an ordinary leave. ``as_of`` is the instant of consent (naive UTC).
    ``confirm_removals`` lets removals pass that a guard would hold back; ``retry_refused`` sends
    again what the destination refused, as after its configuration was corrected.

    Raises DataError when a customer appears twice or has no id, ConfigError when the
    destination may not serve the sync's purpose, and whatever the gate raises.
    """
    sync = state.sync
    if not spec.serves(sync.purpose):
        raise ConfigError(
            f"destination type '{spec.name}' does not serve this purpose",
            value=sync.purpose,
            limit=", ".join(spec.purposes),
            looked=sync.id,
            fix="send the audience to a destination of its channel, or change the channel",
        )
    rows = state.load()
    wanted = _by_key(members, state)
    held = {key: row for key, row in rows.items() if row.held}
    known, suppressed_keys = _known_contacts(contacts, state, wanted, held)
    consent = ask(
        gate,
        [
            *(member.customer_id for member in wanted.values()),
            *(contact.customer_id for contact in known.values()),
        ],
        sync.purpose,
        as_of,
    )
    refused = {} if retry_refused else state.refused_fingerprints()
    draft = Difference(state, spec, consent, suppressed_keys, refused)
    for key in sorted(wanted):
        draft.compare(key, wanted[key], rows.get(key) or StateRow(key))
    for key in sorted(held.keys() - wanted.keys()):
        draft.leave(key, known.get(key), held[key])
    blocked = None if confirm_removals else _guard(draft, len(held), len(wanted), sync.max_fall)
    return Plan(
        sync=sync,
        as_of=as_of,
        source_rows=len(wanted),
        held=len(held),
        withdrawals=tuple(draft.withdrawals),
        removals=tuple(draft.removals),
        upserts=tuple(draft.upserts),
        unchanged=draft.unchanged,
        no_identifier=draft.no_identifier,
        refused_before=draft.refused_before,
        in_doubt=draft.in_doubt,
        suppressed=draft.suppressed,
        withdrawn_by_rule=draft.withdrawn_by_rule,
        blocked=blocked,
    )


def _by_key(members: Iterable[Member], state: SyncState) -> dict[str, Member]:
    wanted: dict[str, Member] = {}
    count = 0
    for member in members:
        if not member.customer_id:
            raise DataError(
                "a row of the audience has no customer id",
                looked=state.sync.id,
                fix="correct the audience's query; nothing was sent",
            )
        count += 1
        wanted[state.keys.record_key(member.customer_id)] = member
    if count != len(wanted):
        raise DataError(
            "a customer appears more than once in the audience",
            value=f"{count:,} rows, {len(wanted):,} customers",
            limit="one row per customer",
            looked=state.sync.id,
            fix="make the audience's query unique by customer_id; nothing was sent",
        )
    return wanted


def _known_contacts(
    contacts: Iterable[Contact],
    state: SyncState,
    wanted: Mapping[str, Member],
    held: Mapping[str, StateRow],
) -> tuple[dict[str, Contact], set[str]]:
    known: dict[str, Contact] = {}
    suppressed: set[str] = set()
    for contact in contacts:
        key = state.keys.record_key(contact.customer_id)
        if contact.suppressed:
            suppressed.add(key)
        if key in held and key not in wanted:
            known[key] = contact
    return known, suppressed


def _guard(draft: Difference, held: int, source_rows: int, max_fall: float) -> str | None:
    leaving = len(draft.removals)
    if not leaving:
        return None
    if source_rows == 0:
        return f"the audience is empty, and {leaving:,} people would be removed"
    # Withdrawals pass every guard, so they are no part of the fall either.
    base = held - len(draft.withdrawals)
    if leaving == base:
        return f"none of the {base:,} people at the destination would stay"
    entering = sum(not one.previous.held for one in draft.upserts)
    fall = (leaving - entering) / base
    if fall > max_fall:
        return f"the audience would fall by {fall:.1%}, above {max_fall:.0%}"
    return None
