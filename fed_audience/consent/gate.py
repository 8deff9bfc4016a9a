"""The last question before a person is used, asked of the live ledger: in doubt, no."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from fed_audience.consent.events import LEDGER_COLUMNS, REFUSALS, events_of, naive_utc
from fed_audience.consent.order import Decision, decide
from fed_audience.consent.purposes import validated
from fed_audience.consent.rules import read_rules
from fed_audience.errors import ConsentError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from fed_audience.consent.events import ConsentEvent
    from fed_audience.consent.rules import Rules
    from fed_audience.warehouse.protocol import Relation, Warehouse

MAX_AGE: Final = timedelta(hours=24)
"""How long ago the ledger may last have learned something."""


class ConsentGate:
    """Decides for batches of people from the ledger as it is at that moment.

    ``ledger`` is `int_consent_ledger`, ``rules`` the seed `jurisdiction_rules`. A ledger whose
    newest event was recorded more than ``max_age`` before the asking is refused: a withdrawal
    may be waiting outside. ``besides``: purposes that each person must allow as well.
    ``heed_later``: a refusal that the ledger has recorded since the instant asked for counts too,
    so that no mistaken instant brings anybody back.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        ledger: Relation,
        rules: Relation,
        max_age: timedelta = MAX_AGE,
        *,
        besides: Sequence[str] = (),
        heed_later: bool = False,
    ) -> None:
        self._warehouse = warehouse
        self._ledger = ledger
        self._rules = rules
        self._max_age = max_age
        self._besides = tuple(map(validated, besides))
        self._heed_later = heed_later

    def allowed(
        self, subject_ids: Sequence[str], purpose: str, as_of: datetime
    ) -> Mapping[str, Decision]:
        """Decide for each of ``subject_ids`` at ``as_of`` (UTC), in one reading of the ledger.

        Whoever the ledger does not know is denied with rule 'no_event'; of several refusals the
        one of ``purpose`` is told. Raises ConsentError for an unknown purpose, and when the ledger
        is missing, unreadable, empty or too old: nobody may be used then.
        """
        purposes = (validated(purpose), *self._besides)
        as_of = naive_utc(as_of)
        asked = sorted(set(subject_ids))
        try:
            with self._warehouse.transaction():
                rules = read_rules(self._warehouse, self._rules)
                rows = self._known(asked, purposes, as_of)
        except WarehouseError as error:
            raise ConsentError(
                f"consent cannot be read, so nobody may be used: {error.what}",
                looked=error.looked,
                fix=error.fix,
            ) from error
        self._refuse_stale(rows, as_of)
        theirs: dict[str, list[ConsentEvent]] = defaultdict(list)
        for event in events_of(rows.filter(rows["subject_id"].is_valid())):
            theirs[str(event.subject_id)].append(event)
        return {
            subject: self._decided(subject, theirs.get(subject, []), purposes, as_of, rules)
            for subject in asked
        }

    def _decided(
        self,
        subject: str,
        events: Sequence[ConsentEvent],
        purposes: Sequence[str],
        as_of: datetime,
        rules: Rules,
    ) -> Decision:
        """Return the first refusal among ``purposes``, or that the first of them is allowed."""
        decided = [
            decide(events, purpose=purpose, as_of=as_of, rules=rules, subject_id=subject)
            for purpose in purposes
        ]
        refused = next((one for one in decided if not one.allowed), None)
        if refused is None and self._heed_later:
            later = next((one for one in events if _refuses_later(one, purposes, as_of)), None)
            if later is not None:
                rule = "minor" if later.is_minor else str(later.status)
                return replace(decided[0], allowed=False, rule=rule, event_id=later.event_id)
        return refused or decided[0]

    def _known(self, asked: Sequence[str], purposes: Sequence[str], as_of: datetime) -> pa.Table:
        """Return what is known of ``asked``, each row beside the newest record of the ledger.

        That is every event of ``purposes``; of all others only who said where and how old, which
        is all that they bear on. What was recorded after ``as_of`` is there, and apart. There is
        always a row, so that the newest record is known even when nobody is.
        """
        named = list(purposes)
        return self._warehouse.query(
            f"with ledger as (select {LEDGER_COLUMNS} from {self._ledger.sql()}),"
            " asked as materialized (select * from ledger"
            " where subject_id in (select unnest(?::varchar[]))),"
            " theirs as (select * from asked"
            " where purpose in (select unnest(?::varchar[])) union all"
            " select null, member_id, subject_id, null, null, jurisdiction, null,"
            " max(recorded_at), null, null, is_minor, null from asked"
            " where purpose is null or purpose not in (select unnest(?::varchar[]))"
            " group by member_id, subject_id, jurisdiction, is_minor, recorded_at <= ?)"
            " select newest.recorded_at as newest_at, theirs.*"
            " from (select max(recorded_at) as recorded_at from ledger"
            " where recorded_at <= ?) as newest left join theirs on true",
            [list(asked), named, named, as_of, as_of],
        )

    def _refuse_stale(self, rows: pa.Table, as_of: datetime) -> None:
        newest = rows["newest_at"][0].as_py()
        if newest is not None and as_of - newest <= self._max_age:
            return
        hours = f"{self._max_age.total_seconds() / 3600:g} h"
        raise ConsentError(
            "the consent ledger is too old, so nobody may be used: a withdrawal may be waiting",
            value=f"last event recorded {newest} UTC" if newest else "no event at all",
            limit=f"{hours} before {as_of} UTC (max_consent_age_hours)",
            looked=self._ledger.sql(),
            fix="load the consent source again, or widen max_consent_age_hours on purpose",
        )


def _refuses_later(event: ConsentEvent, purposes: Sequence[str], as_of: datetime) -> bool:
    """Whether ``event`` was recorded after ``as_of`` and says no to one of ``purposes``."""
    if event.recorded_at is None or event.recorded_at <= as_of:
        return False
    return event.is_minor is True or (event.purpose in purposes and event.status in REFUSALS)


def count_rules(decisions: Iterable[Decision]) -> Counter[str]:
    """Count people by the rule that decided for them."""
    return Counter(decision.rule for decision in decisions)
