"""Whether a brand's consent ledger was fed lately enough for its people to be used."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fed_audience.consent.gate import ConsentGate
from fed_audience.consent.purposes import PROFILE
from fed_audience.consent.statement import ConsentRelations
from fed_audience.errors import FedAudienceError

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.jobs.settings import FederationSettings
    from fed_audience.jobs.sites import Site


def refuse_old_ledger(settings: FederationSettings, site: Site, as_of: datetime) -> None:
    """Raise ConsentError naming ``site`` when its ledger is older than max_consent_age_hours.

    Nobody may be used then: a withdrawal may be waiting outside.
    """
    relations = ConsentRelations.of_schema(site.profile.schema_)
    max_age = timedelta(hours=settings.max_consent_age_hours)
    try:
        with site.open() as warehouse:
            warehouse.query("select 1")  # out of reach it is the warehouse's fault, not consent's
            gate = ConsentGate(warehouse, relations.ledger, relations.rules, max_age)
            gate.allowed([], PROFILE, as_of)
    except FedAudienceError as error:
        error.looked = f"{site.name}, {error.looked or 'its warehouse'}"
        raise
