"""Deliver an audience: plan the difference at each brand, then send it, consent first."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fed_audience.activation import (
    Contact,
    Destination,
    Gate,
    Member,
    Plan,
    Sync,
    SyncReport,
    SyncState,
    open_destination,
    read_contacts,
)
from fed_audience.activation.erasure import finish_erasures
from fed_audience.activation.plan import plan as plan_sync
from fed_audience.activation.sync import run as run_sync
from fed_audience.consent.erasures import ErasureGate
from fed_audience.consent.gate import ConsentGate
from fed_audience.consent.purposes import PROFILE
from fed_audience.consent.statement import ConsentRelations
from fed_audience.errors import AuditError, FedAudienceError, ResourceError
from fed_audience.jobs.audit_trail import AuditTrail
from fed_audience.jobs.audit_use import ModelUse
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.sites import site_of
from fed_audience.warehouse.control import control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pydantic import SecretStr

    from fed_audience.activation import SyncEvent
    from fed_audience.jobs.settings import AudienceSettings, FederationSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What a sync would do at one brand and destination."""

    site: str
    destination: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What a sync did at one brand and destination."""

    site: str
    destination: str
    report: SyncReport


@dataclass(frozen=True, slots=True)
class Target:
    """One brand and one destination of an audience, ready to be delivered to."""

    site: Site
    name: str
    destination: Destination


@dataclass(frozen=True, slots=True)
class _Prepared:
    plan: Plan
    state: SyncState
    gate: Gate
    destination: Destination


def plan_audience(
    settings: FederationSettings,
    audience: AudienceSettings,
    *,
    base: Path,
    as_of: datetime,
    secret: SecretStr,
) -> Iterator[SitePlan]:
    """Yield what a sync of ``audience`` would send from each brand; nothing is sent."""
    for target in targets_of(settings, audience, base=base):
        with _prepared(settings, audience, target, as_of, secret) as ready:
            yield SitePlan(target.site.name, target.name, ready.plan)


def sync_audience(
    settings: FederationSettings,
    audience: AudienceSettings,
    *,
    base: Path,
    as_of: datetime,
    secret: SecretStr,
    clock: Callable[[], datetime] | None = None,
    confirm_removals: bool = False,
    on_event: Callable[[str, SyncEvent], None] | None = None,
) -> Iterator[SiteReport]:
    """Send ``audience`` from each of its brands to each of its destinations.

    ``base`` is where relative paths of destinations begin; ``as_of`` the instant of consent at
    planning. Before each batch consent to the channel and to `profile` is asked as of ``clock()``,
    by default ``as_of`` again; a refusal that was recorded since counts as well.
    ``on_event`` gets the site and what happens there. Yields one report a brand and destination
    as it finishes; raises what the engine raises, with everything acknowledged recorded. An audit
    log that cannot be continued is raised last: withdrawals do not wait for it. To a destination
    that the site's contract does not allow go removals alone.
    """
    unlogged: FedAudienceError | None = None
    with AuditTrail(settings) as trail:
        account = ModelUse(trail, settings, audience.model, as_of)
        for target in targets_of(settings, audience, base=base):
            with _prepared(
                settings, audience, target, as_of, secret, confirm_removals=confirm_removals
            ) as ready:
                report = run_sync(
                    ready.plan,
                    ready.destination,
                    ready.state,
                    ready.gate,
                    clock=clock,
                    on_event=_at(target.site.name, on_event),
                )
            with target.site.open() as warehouse:
                finish_erasures(warehouse)
            done = SiteReport(target.site.name, target.name, report)
            try:
                account.delivered(target.site, audience, done)
            except (AuditError, ResourceError) as error:
                unlogged = unlogged or error
            yield done
    if unlogged is not None:
        raise unlogged


def targets_of(
    settings: FederationSettings, audience: AudienceSettings, *, base: Path
) -> tuple[Target, ...]:
    """Resolve every brand and destination of ``audience``; nothing is sent.

    Raises ConfigError or DestinationError for one that cannot be used, so that a mistake at the
    last is met before the first is sent anything.
    """
    return tuple(
        Target(site, name, open_destination(name, _for_site(block, site.name), base=base))
        for site in map(site_of, settings.sites_of(audience.sites))
        for name, block in ((name, settings.destinations[name]) for name in audience.destinations)
    )


def _at(
    site: str, on_event: Callable[[str, SyncEvent], None] | None
) -> Callable[[SyncEvent], None] | None:
    if on_event is None:
        return None
    return lambda event: on_event(site, event)


@contextmanager
def _prepared(
    settings: FederationSettings,
    audience: AudienceSettings,
    target: Target,
    as_of: datetime,
    secret: SecretStr,
    *,
    confirm_removals: bool = False,
) -> Iterator[_Prepared]:
    site, destination = target.site, target.destination
    sync = Sync(
        site=site.name,
        audience=audience.name,
        destination=target.name,
        purpose=audience.purpose,
        min_change={"score": 0.02},
    )
    allowed = Contracts(settings).allows_destination(site.name, target.name)
    with site.open() as warehouse:
        relations = ConsentRelations.of_schema(site.profile.schema_)
        ledger = ConsentGate(
            warehouse,
            relations.ledger,
            relations.rules,
            timedelta(hours=settings.max_consent_age_hours),
            besides=[PROFILE],  # an audience is cut from scores
            heed_later=True,
        )
        gate = ErasureGate(ledger, site.tombstones(warehouse))
        # One transaction: one snapshot to plan from, and the file is opened once.
        with warehouse.transaction():
            state = SyncState(warehouse, sync, secret)
            plan = plan_sync(
                _members(site, warehouse, audience) if allowed else iter(()),
                _contacts(site, warehouse),
                state,
                gate,
                destination.spec,
                as_of,
                confirm_removals=confirm_removals,
            )
        yield _Prepared(plan, state, gate, destination)


def _for_site(block: dict[str, Any], site: str) -> dict[str, Any]:
    """Put the site's name in place of ``{site}`` in every text of a destination's block."""
    return {
        key: value.replace("{site}", site) if isinstance(value, str) else value
        for key, value in block.items()
    }


def _members(site: Site, warehouse: Warehouse, audience: AudienceSettings) -> Iterator[Member]:
    chosen, details = control("audience_members"), site.model("int_contact_details")
    rows = warehouse.query(
        "select m.customer_id, c.email, c.phone, m.score"
        f" from {chosen.sql()} m join {details.sql()} c using (customer_id)"
        " where m.audience = ? order by m.customer_id",
        [audience.name],
    )
    for row in rows.to_pylist():
        yield Member(
            customer_id=row["customer_id"],
            email=row["email"],
            phone=row["phone"],
            attributes={"score": round(row["score"], 6)},
        )


def _contacts(site: Site, warehouse: Warehouse) -> Iterator[Contact]:
    return read_contacts(warehouse, site.model("int_contact_details"))
