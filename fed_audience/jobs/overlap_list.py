"""Whom of a brand's customers an overlap may compare: those who consent, by one identifier."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fed_audience.activation.identifiers import normalise_email, normalise_phone
from fed_audience.consent.gate import ConsentGate
from fed_audience.consent.purposes import PROFILE
from fed_audience.consent.statement import ConsentRelations, usable
from fed_audience.errors import DataError
from fed_audience.warehouse.control import control

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from fed_audience.jobs.overlap_settings import OverlapSettings
    from fed_audience.jobs.settings import AudienceSettings, FederationSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.protocol import Warehouse


def comparable(
    site: Site,
    settings: FederationSettings,
    rules: OverlapSettings,
    as_of: datetime,
    audience: AudienceSettings | None = None,
) -> list[str]:
    """Return the normalised identifiers, each once, of customers who consent at ``as_of`` (UTC).

    With ``audience`` only its members, who consent to `profile` too, for it was cut from their
    scores. Left out are the erased, who has refused since, and who has no usable identifier.
    Raises ConsentError when the ledger is too old to ask, DataError for an audience that was not
    built here, and ConfigError where the erased cannot be recognised.
    """
    relations = ConsentRelations.of_schema(site.profile.schema_)
    purposes = (rules.purpose,) if audience is None else (rules.purpose, PROFILE)
    max_age = timedelta(hours=settings.max_consent_age_hours)
    with site.open() as warehouse, warehouse.transaction():
        gate = ConsentGate(warehouse, relations.ledger, relations.rules, max_age)
        gate.allowed([], rules.purpose, as_of)
        allowed = usable(warehouse, relations, purposes, as_of)
        rows = warehouse.query(
            f"select customer_id, {rules.identifier} as identifier"
            f" from {site.model('int_contact_details').sql()}"
        )
        if audience is not None:
            members = _members(site, warehouse, audience)
            rows = rows.filter(pc.is_in(rows["customer_id"], value_set=members))
        rows = site.tombstones(warehouse).without(rows, "customer_id")
    chosen = rows.filter(pc.is_in(rows["customer_id"], value_set=allowed))
    if rules.identifier == "email":
        found = {normalise_email(one) for one in chosen["identifier"].to_pylist()}
    else:
        found = {
            normalise_phone(one, country_code=rules.country_code)
            for one in chosen["identifier"].to_pylist()
        }
    return sorted(one for one in found if one is not None)


def _members(
    site: Site, warehouse: Warehouse, audience: AudienceSettings
) -> pa.Array[pa.StringScalar]:
    rows = warehouse.query(
        f"select customer_id from {control('audience_members').sql()} where audience = ?",
        [audience.name],
    )
    if not rows.num_rows:
        raise DataError(
            f"{site.name} has no members of that audience",
            value=audience.name,
            looked="fed_audience.audience_members",
            fix=f"run `fed-audience audience {audience.name}` first",
        )
    return rows["customer_id"].combine_chunks()
