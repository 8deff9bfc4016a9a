"""Some people change their mind; one of them is followed through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from fed_audience.activation import Sync
from fed_audience.activation.keys import StateKeys
from fed_audience.consent.explain import explain
from fed_audience.consent.statement import ConsentRelations
from fed_audience.demo.loading import withdraw
from fed_audience.jobs.sites import site_of
from fed_audience.report import data as r

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fed_audience.demo.workspace import Workspace
    from fed_audience.jobs.pipeline import PipelineOutcome, Secrets
    from fed_audience.jobs.settings import AudienceSettings, FederationSettings

PEOPLE_PER_BRAND: Final = 12
AFTER: Final = timedelta(hours=1)
"""How long after the first delivery they withdraw; the next sync is as long after that."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Customer ids of who withdrew, by brand; the first of the first brand is followed."""

    at: datetime
    people: dict[str, tuple[str, ...]]

    @property
    def count(self) -> int:
        """People who withdrew."""
        return sum(len(people) for people in self.people.values())


def withdraw_some(
    workspace: Workspace, outcome: PipelineOutcome, audience: AudienceSettings
) -> Withdrawal:
    """Let some delivered members of ``audience`` withdraw its purpose at every brand."""
    at = outcome.as_of + AFTER
    people = {}
    for settings in outcome.settings.sites_of(audience.sites):
        site = site_of(settings)
        with site.open() as warehouse:
            rows = warehouse.query(
                f"select m.customer_id from {site.model('fct_audience_members').sql()} m"
                f" join {site.model('int_contact_details').sql()} c using (customer_id)"
                " where m.audience = ? and c.email is not null"
                " order by md5(m.customer_id) limit ?",
                [audience.name, PEOPLE_PER_BRAND],
            )
        chosen = tuple(str(one) for one in rows["customer_id"].to_pylist())
        withdraw(workspace.warehouse(site.name), chosen, [audience.purpose], at)
        people[site.name] = chosen
    return Withdrawal(at, people)


def story_of(
    settings: FederationSettings,
    audience: AudienceSettings,
    withdrawal: Withdrawal,
    secrets: Secrets,
    before: Sequence[bytes],
    after: Sequence[bytes],
) -> r.WithdrawalStory:
    """Follow one person: what consent says, what was sent, and what was never sent again.

    ``before`` and ``after`` are the bodies that the receiver got before and since the person
    withdrew.
    """
    brand, people = next(iter(withdrawal.people.items()))
    customer = people[0]
    sync = Sync(brand, audience.name, audience.destinations[0], audience.purpose)
    key = StateKeys(secrets.state_key, sync.scope).record_key(customer)
    site = site_of(settings.sites_of((brand,))[0])
    with site.open() as warehouse:
        relations = ConsentRelations.of_schema(site.profile.schema_)
        later = explain(warehouse, customer, withdrawal.at + AFTER, relations=relations)
    decided = next(one.decision for one in later.outcomes if one.purpose == audience.purpose)
    answer = "yes" if decided.allowed else "no"
    events = [event for body in after for event in json.loads(body)["events"] if event["id"] == key]
    removals = [event for event in events if event["type"] == "audience.exited"]
    deliveries = sum(key.encode() in body for body in before)
    first = removals[0] if removals else {}
    shown = {name: first[name] for name in ("type", "reason") if name in first}
    return r.WithdrawalStory(
        customer_id=customer,
        brand=brand,
        steps=(
            r.StoryStep(
                "Delivered",
                f"as {key[:8]}… of audience '{audience.name}', in {deliveries} payload",
                withdrawal.at - AFTER,
            ),
            r.StoryStep(
                "Withdrew",
                f"consent explain says {answer} to {audience.purpose}, by rule '{decided.rule}'",
                withdrawal.at,
            ),
            r.StoryStep(
                "Removed",
                f"the next sync sent {json.dumps(shown)} for {key[:8]}…",
                withdrawal.at + AFTER,
            ),
            r.StoryStep(
                "Gone",
                f"in none of the {len(after)} later payloads except that removal"
                if len(events) == len(removals) == 1
                else f"sent {len(events)} times afterwards, {len(removals)} of them removals",
                withdrawal.at + 2 * AFTER,
            ),
        ),
    )
