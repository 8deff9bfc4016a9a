"""Score a brand's own consented customers with the model it holds, into its own warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fed_audience.gbdt.encoding import Encoder
from fed_audience.jobs.audit_trail import AuditTrail
from fed_audience.jobs.audit_use import ModelUse
from fed_audience.jobs.retraining_due import refuse_overdue
from fed_audience.jobs.sites import site_of
from fed_audience.warehouse.registry import active_model
from fed_audience.warehouse.scores import ScoreStamp, write_scores
from fed_audience.warehouse.scoring import score

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from fed_audience.jobs.settings import FederationSettings, ModelSettings
from fed_audience.jobs.sites import Site


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

    Only customers in `fct_scoring_features` are scored: those who allow `profile`. Raises
    ConsentError for a model whose retraining is overdue, where the settings want that.
    """
    # All are resolved before the first is touched.
    sites = [site_of(site) for site in settings.sites_of(model.sites)]
    refuse_overdue(settings, sites, as_of, model.name)
    with AuditTrail(settings) as trail:
        account = ModelUse(trail, settings, model.name, as_of)
        for site in sites:
            yield _score_at(site, model, account, as_of, category_key)


def _score_at(
    site: Site, model: ModelSettings, account: ModelUse, as_of: datetime, category_key: bytes
) -> SiteScores:
    with site.open() as warehouse:
        held = active_model(warehouse, model.name)
        scores = score(
            warehouse,
            site.model("fct_scoring_features"),
            held.model_text,
            Encoder.from_json(held.encoder),
            key=category_key,
            accept_missing=model.missing_features == "accept",
        )
        stamp = ScoreStamp(held.model_name, held.model_version, held.is_rank, as_of)
        scores = site.tombstones(warehouse).without_each(scores, "customer_id")
        customers = write_scores(warehouse, scores, stamp)
    account.scored(site.name, held, customers)
    return SiteScores(site.name, held.model_version, customers)
