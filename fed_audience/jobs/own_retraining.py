"""What a site adds to the federation's status from its warehouse: models to be trained again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.errors import FedAudienceError
from fed_audience.jobs.federation_status import FederationStatus, RetrainingStatus
from fed_audience.jobs.retraining_due import retraining_due
from fed_audience.jobs.sites import site_of

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.jobs.settings import FederationSettings


def with_retraining(
    status: FederationStatus, settings: FederationSettings, now: datetime
) -> FederationStatus:
    """Return ``status`` with what is due at the sites of ``settings``, consent as of ``now``.

    A warehouse that cannot be asked, or a state key that is not at hand, is told in words.
    """
    try:
        sites = [site_of(one) for one in settings.sites]
        strangers = [one for one in sites if one.person_keys is None]
        due = retraining_due(settings, sites, now)
    except FedAudienceError as error:
        return status.model_copy(update={"retraining_unknown": str(error)})
    unknown = (
        f"unknown without {strangers[0].settings.state_key}, under which the site knows its people"
        if strangers
        else ""
    )
    found = tuple(
        RetrainingStatus(
            site=one.site,
            model=one.model,
            version=one.version,
            people=one.people,
            since=one.since,
            retrain_by=one.retrain_by,
            overdue=one.overdue(now),
        )
        for one in due
    )
    return status.model_copy(update={"retraining": found, "retraining_unknown": unknown})
