"""Models that still hold an influence of people who withdrew, and until when they may."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fed_audience.consent.events import LEDGER_COLUMNS, events_of
from fed_audience.consent.purposes import TRAINING
from fed_audience.consent.rules import read_rules
from fed_audience.consent.statement import ConsentRelations, consenting
from fed_audience.consent.training_people import held_models, people_of
from fed_audience.consent.withdrawal import lost_purposes
from fed_audience.errors import ConsentError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from fed_audience.consent.events import ConsentEvent
    from fed_audience.consent.person_keys import PersonKeys
    from fed_audience.consent.training_people import HeldModel
    from fed_audience.jobs.settings import FederationSettings, WithdrawalSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class RetrainingDue:
    """An active model of ``site`` whose training set has ``people`` who do not allow it any more.

    ``since``: when the first of them was lost, naive UTC. ``retrain_by``: when it must be trained
    without them.
    """

    site: str
    model: str
    version: str
    people: int
    since: datetime
    retrain_by: datetime

    def overdue(self, now: datetime) -> bool:
        """Whether it should have been trained again by ``now``."""
        return now >= self.retrain_by

    def sentence(self, now: datetime) -> str:
        """Say what is due, and when."""
        late = "OVERDUE" if self.overdue(now) else "due"
        return (
            f"{self.model} at {self.site} (version {self.version}): {self.people:,} of those it was"
            f" trained on withdrew, the first {self.since:%Y-%m-%d}; retraining is {late}"
            f" {self.retrain_by:%Y-%m-%d}"
        )


def retraining_due(
    settings: FederationSettings, sites: Iterable[Site], now: datetime, model: str | None = None
) -> tuple[RetrainingDue, ...]:
    """Return what is due at ``sites`` (of ``model``), consent as of ``now``.

    A model whose training set is not on record is not among them: the certificate says so.
    """
    found = []
    for site in sites:
        keys = site.person_keys
        if keys is None:
            continue
        with site.open() as warehouse, warehouse.transaction():
            active = [
                one
                for one in held_models(warehouse, keys)
                if one.is_active and model in {None, one.model_name}
            ]
            for one in active:
                due = _due(settings.withdrawal, site, warehouse, keys, one, now)
                if due is not None:
                    found.append(due)
    return tuple(found)


def refuse_overdue(
    settings: FederationSettings, sites: Iterable[Site], now: datetime, model: str
) -> None:
    """Raise ConsentError where ``model`` is overdue and `withdrawal.overdue` says 'refuse'."""
    if settings.withdrawal.overdue != "refuse":
        return
    late = [one for one in retraining_due(settings, sites, now, model) if one.overdue(now)]
    if late:
        raise ConsentError(
            f"nobody is scored: {late[0].sentence(now)}",
            limit=f"{settings.withdrawal.retrain_within_days} days after a withdrawal",
            looked="withdrawal in federation.yml",
            fix=f"`dbt build`, then `fed-audience train {model}`; it leaves them out by itself",
        )


def retrain_by(settings: WithdrawalSettings, since: datetime) -> datetime:
    """Return until when a model may go on that holds somebody who withdrew at ``since``."""
    return since + timedelta(days=settings.retrain_within_days)


def _due(
    policy: WithdrawalSettings,
    site: Site,
    warehouse: Warehouse,
    keys: PersonKeys,
    held: HeldModel,
    now: datetime,
) -> RetrainingDue | None:
    trained = None if held.run_id is None else people_of(warehouse, held.run_id, keys)
    if trained is None:
        return None
    relations = ConsentRelations.of_schema(site.profile.schema_)
    erased = site.tombstones(warehouse).erased_at
    allowed = keys.of_all(consenting(warehouse, relations, TRAINING, now).to_pylist())
    gone = trained - (set(allowed) - set(erased))
    if not gone:
        return None
    lost = _lost_at(warehouse, relations, keys, gone, now)
    # Of somebody whom the ledger does not know any more, nobody can tell when: at once, then.
    since = min(erased.get(one) or lost.get(one) or held.trained_at for one in gone)
    return RetrainingDue(
        site.name,
        held.model_name,
        held.model_version,
        len(gone),
        since,
        retrain_by(policy, since),
    )


def _lost_at(
    warehouse: Warehouse,
    relations: ConsentRelations,
    keys: PersonKeys,
    gone: frozenset[str],
    now: datetime,
) -> dict[str, datetime]:
    """Return when each of ``gone`` lost a purpose of training, as far as the ledger knows them."""
    ledger = relations.ledger.sql()
    subjects = warehouse.query(f"select distinct subject_id from {ledger}")["subject_id"]
    wanted = [one for one in subjects.to_pylist() if one is not None and keys.of(one) in gone]
    rules = read_rules(warehouse, relations.rules)
    rows = warehouse.query(
        f"select {LEDGER_COLUMNS} from {ledger} where subject_id in (select unnest(?::varchar[]))",
        [wanted],
    )
    theirs: dict[str, list[ConsentEvent]] = {}
    for event in events_of(rows):
        theirs.setdefault(str(event.subject_id), []).append(event)
    found = {}
    for subject, events in theirs.items():
        lost = lost_purposes(events, TRAINING, now, rules, subject)
        if lost:
            found[keys.of(subject)] = min(one.since for one in lost)
    return found
