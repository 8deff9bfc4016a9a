"""What is done with a model, told to the log of the run that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.audit import entries as e
from fed_audience.audit.fields import TIME_FORMAT, band
from fed_audience.warehouse.registry import active_run

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.audit.log import AuditLog
    from fed_audience.jobs.audience import SiteAudience
    from fed_audience.jobs.audit_trail import AuditTrail
    from fed_audience.jobs.settings import AudienceSettings, FederationSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.jobs.sync import SiteReport
    from fed_audience.warehouse.registry import RegisteredModel


class ModelUse:
    """Tells what each brand did with the model ``name`` as of ``as_of`` (naive UTC).

    A model that was trained before there were logs gets one with its first use.
    """

    def __init__(
        self, trail: AuditTrail, settings: FederationSettings, name: str, as_of: datetime
    ) -> None:
        self._trail = trail
        self._name = name
        self._sites = [site.name for site in settings.sites_of(settings.model(name).sites)]
        self._as_of = as_of.strftime(TIME_FORMAT)

    def scored(self, site: str, held: RegisteredModel, customers: int) -> None:
        """Tell that a brand scored so many of its customers, as a band."""
        self._log(held.run_id).append(
            e.Scored,
            model=self._name,
            model_sha256=held.sha256,
            site=site,
            as_of=self._as_of,
            customers=band(customers),
        )

    def built(self, site: Site, audience: AudienceSettings, made: SiteAudience) -> None:
        """Tell that a brand cut an audience from its scores."""
        self._log_at(site).append(
            e.AudienceBuilt,
            audience=audience.name,
            model=self._name,
            site=site.name,
            purpose=audience.purpose,
            as_of=self._as_of,
            eligible=band(made.eligibility.count),
            chosen=band(made.cut.count),
        )

    def delivered(self, site: Site, audience: AudienceSettings, done: SiteReport) -> None:
        """Tell what a brand brought to a destination."""
        report = done.report
        self._log_at(site).append(
            e.AudienceDelivered,
            audience=audience.name,
            site=site.name,
            destination=done.destination,
            purpose=audience.purpose,
            as_of=self._as_of,
            status=report.status,
            withdrawn=band(report.withdrawn),
            removed=band(report.removed),
            added=band(report.added),
            updated=band(report.updated),
            rejected=band(report.rejected),
            held_back=band(report.held_back),
        )

    def _log_at(self, site: Site) -> AuditLog:
        with site.open() as warehouse:
            return self._log(active_run(warehouse, self._name))

    def _log(self, run: str | None) -> AuditLog:
        return self._trail.of_run(run or self._name, self._sites)
