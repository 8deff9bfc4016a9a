"""Score a brand's own consented customers with the model it holds, into its own warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience.consent.purposes import PROFILE
from fed_audience.consent.statement import ConsentRelations, usable_sql
from fed_audience.errors import DataError
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.jobs.audit_trail import AuditTrail
from fed_audience.jobs.audit_use import ModelUse
from fed_audience.jobs.consent_age import refuse_old_ledger
from fed_audience.jobs.retraining_due import refuse_overdue
from fed_audience.jobs.sites import Site, site_of
from fed_audience.jobs.training_content import TrainedOn
from fed_audience.warehouse.registry import active_model
from fed_audience.warehouse.scores import ScoreStamp, write_scores
from fed_audience.warehouse.scoring import score
from fed_audience.warehouse.sql_scoring.run import score_in_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.warehouse.protocol import Warehouse
    from fed_audience.warehouse.registry import RegisteredModel


@dataclass(frozen=True, slots=True)
class SiteScores:
    """How many customers one brand scored, and with which version."""

    site: str
    version: str
    customers: int


def score_model(
    settings: FederationSettings, model: ModelSettings, *, as_of: datetime, category_key: bytes
) -> Iterator[SiteScores]:
    """Replace the scores of ``model`` at each of its brands; yields each brand as it finishes.

    Only those are scored who allow `profile`. Raises ConsentError when a brand's ledger is too old
    to ask, and for a model whose retraining is overdue, where the settings want that.
    """
    # All are resolved before the first is touched.
    sites = [site_of(site) for site in settings.sites_of(model.sites)]
    for site in sites:
        refuse_old_ledger(settings, site, as_of)
    refuse_overdue(settings, sites, as_of, model.name)
    with AuditTrail(settings) as trail:
        account = ModelUse(trail, settings, model.name, as_of)
        for site in sites:
            yield _score_at(site, model, account, as_of, category_key)


def _score_at(
    site: Site, model: ModelSettings, account: ModelUse, as_of: datetime, category_key: bytes
) -> SiteScores:
    with site.open() as warehouse:
        held, customers = score_at(site, warehouse, model, as_of=as_of, category_key=category_key)
    account.scored(site.name, held, customers)
    return SiteScores(site.name, held.model_version, customers)


def score_at(
    site: Site, warehouse: Warehouse, model: ModelSettings, *, as_of: datetime, category_key: bytes
) -> tuple[RegisteredModel, int]:
    """Replace the scores of ``model`` in one brand's warehouse; return version and customers.

    Whatever the scored table holds, only those are scored who allow `profile` at ``as_of`` and have
    not refused it since; the erased are not. Raises DataError when a feature that the brand trained
    with is not there any more.
    """
    held = active_model(warehouse, model.name)
    how = site.settings.scoring_of(model.name)
    relations = ConsentRelations.of_schema(site.profile.schema_)
    among = usable_sql(warehouse, relations, [PROFILE], as_of)
    stamp = ScoreStamp(held.model_name, held.model_version, held.is_rank, as_of)
    _refuse_drift(site, warehouse, held, how.table)
    accept_missing = model.missing_features == "accept"
    tombstones = site.tombstones(warehouse)
    if how.in_warehouse:
        done = score_in_warehouse(
            warehouse,
            site.model(how.table),
            held,
            stamp,
            key=category_key,
            entity=how.entity,
            accept_missing=accept_missing,
            among=among,
            without=tombstones.without if tombstones.erased_at else None,
        )
        return held, done.customers
    scores = score(
        warehouse,
        site.model(how.table),
        held.model_text,
        Encoder.from_json(held.encoder),
        key=category_key,
        entity=how.entity,
        accept_missing=accept_missing,
        among=among,
    )
    scores = tombstones.without_each(scores, "customer_id")
    return held, write_scores(warehouse, scores, stamp)


def _refuse_drift(site: Site, warehouse: Warehouse, held: RegisteredModel, table: str) -> None:
    """Raise DataError for a feature that the brand trained with and ``table`` lacks.

    What it lacked in the training already is missing here as it was there.
    """
    brought = TrainedOn.from_json(held.trained_on)
    if brought is None:
        return
    there = warehouse.columns(site.model(table))
    features = {feature.name for feature in Encoder.from_json(held.encoder).features}
    gone = sorted(features.intersection(brought.columns).difference(there))
    if gone:
        raise DataError(
            f"{site.name}: features that the model was trained with here are not there any more",
            value=", ".join(gone),
            looked=site.model(table).sql(),
            fix="put them back, or train again without them",
        )
