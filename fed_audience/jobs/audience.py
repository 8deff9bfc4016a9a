"""Cut an audience from a model's scores: first who may be reached at all, then how far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.audiences.eligibility import Eligibility, decide
from fed_audience.audiences.federation_cut import (
    bounds_of_shares,
    cut_brand,
    federation_cut,
    reach_vector,
)
from fed_audience.audiences.reach import (
    Cut,
    ReachCurve,
    ScoreKind,
    count_of_share,
    cut_by_share,
    reach_curve,
)
from fed_audience.consent.gate import ConsentGate
from fed_audience.consent.purposes import PROFILE
from fed_audience.consent.statement import ConsentRelations, consenting
from fed_audience.errors import ConfigError, DataError
from fed_audience.federation.manifest import OBJECTIVES
from fed_audience.gbdt.models.reader import read_model
from fed_audience.jobs.audit_trail import AuditTrail
from fed_audience.jobs.audit_use import ModelUse
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.sites import site_of
from fed_audience.warehouse.control import control
from fed_audience.warehouse.registry import text_of
from fed_audience.warehouse.scores import erase_scores, write_audience

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from fed_audience.jobs.settings import AudienceSettings, FederationSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.protocol import Warehouse

_CONSENT = "consent_now"


@dataclass(frozen=True, slots=True)
class SiteAudience:
    """One brand's part of an audience, and the curve from which any other reach is read."""

    site: str
    eligibility: Eligibility
    curve: ReachCurve
    cut: Cut

    @property
    def no_identifier(self) -> int:
        """People who allow it and cannot be recognised by any identifier."""
        return self.eligibility.lost_at("usable identifier")


@dataclass(frozen=True, slots=True)
class _Candidates:
    site: Site
    version: str
    kind: ScoreKind
    eligibility: Eligibility
    ids: pa.Array[pa.StringScalar]
    scores: NDArray[np.float64]


def build_audience(
    settings: FederationSettings,
    audience: AudienceSettings,
    *,
    as_of: datetime,
    key: bytes,
    share: float | None = None,
) -> tuple[SiteAudience, ...]:
    """Choose the members of ``audience`` at each of its sites and write them there.

    ``share`` overrides the reach of the settings; nothing is trained or scored again. Scores of
    people who do not allow `profile` any more are erased on the way. ``key`` breaks ties by a
    keyed hash of the customer id. Raises DataError when a site has no scores, or younger ones
    than ``as_of``, ConsentError when its ledger is too old for ``as_of``, and ContractError when a
    site signed another use; nobody's scores are erased then.
    """
    reach = audience.share if share is None else share
    max_age = timedelta(hours=settings.max_consent_age_hours)
    sites = [site_of(site) for site in settings.sites_of(audience.sites)]
    contracts = Contracts(settings)
    for site in sites:
        contracts.check_use(site.name, audience.purpose, audience.destinations)
        _refuse_instant(site, audience, as_of, max_age)
    found = [_candidates(site, audience, as_of) for site in sites]
    cuts = _cut(found, audience, reach, key)
    built = []
    for one, cut in zip(found, cuts, strict=True):
        members = pa.table(
            {
                "customer_id": one.ids.take(pa.array(cut.chosen, pa.int64())),
                "score": pa.array(one.scores[cut.chosen]),
            }
        )
        with one.site.open() as warehouse:
            write_audience(
                warehouse,
                members,
                audience=audience.name,
                channel=audience.channel,
                model_name=audience.model,
                model_version=one.version,
                selected_at=as_of,
            )
        curve = reach_curve(one.scores, one.kind)
        built.append(SiteAudience(one.site.name, one.eligibility, curve, cut))
    with AuditTrail(settings) as trail:
        account = ModelUse(trail, settings, audience.model, as_of)
        for one, made in zip(found, built, strict=True):
            account.built(one.site, audience, made)
    return tuple(built)


def _refuse_instant(
    site: Site, audience: AudienceSettings, as_of: datetime, max_age: timedelta
) -> None:
    """Raise when the ledger cannot speak of ``as_of``: consent then is no ground to erase on."""
    relations = ConsentRelations.of_schema(site.profile.schema_)
    table = control("scores")
    with site.open() as warehouse, warehouse.transaction():
        gate = ConsentGate(warehouse, relations.ledger, relations.rules, max_age)
        gate.allowed([], audience.purpose, as_of)
        rows = warehouse.query(f"select max(scored_at) as newest from {table.sql()}")
    newest = rows["newest"][0].as_py()
    if newest is not None and newest > as_of:
        raise DataError(
            f"{site.name} has scores that are younger than the instant asked for",
            value=f"{as_of:%Y-%m-%d %H:%M} UTC",
            limit=f"{newest:%Y-%m-%d %H:%M} UTC or later",
            looked=table.sql(),
            fix="leave --as-of out, or give the instant of the scores or a later one",
        )


def _candidates(site: Site, audience: AudienceSettings, as_of: datetime) -> _Candidates:
    relations = ConsentRelations.of_schema(site.profile.schema_)
    with site.open() as warehouse, warehouse.transaction():
        erase_scores(warehouse, consenting(warehouse, relations, (PROFILE,), as_of))
        rows = _scored_contacts(site, warehouse, audience.model)
        allowed = consenting(warehouse, relations, (PROFILE, audience.purpose), as_of)
        version = next(iter(rows["model_version"].drop_null().to_pylist()), None)
        ranks = bool(pc.any(rows["is_rank"]).as_py())
        kind: ScoreKind = "rank" if ranks else _kind_of(warehouse, audience.model, version)
    if version is None:
        raise DataError(
            f"{site.name} has no scores of that model",
            value=audience.model,
            looked="fct_scores",
            fix=f"run `fed-audience score {audience.model}` first",
        )
    consent = pc.is_in(rows["customer_id"], value_set=allowed)
    rows = rows.append_column(_CONSENT, consent)
    eligibility = decide(rows, consent_column=_CONSENT, identifiers=audience.identifiers)
    chosen = rows.filter(pa.array(eligibility.eligible))
    return _Candidates(
        site=site,
        version=version,
        kind=kind,
        eligibility=eligibility,
        ids=chosen["customer_id"].combine_chunks(),
        scores=np.asarray(chosen["score"].to_numpy(), dtype=np.float64),
    )


def _kind_of(warehouse: Warehouse, model: str, version: str | None) -> ScoreKind:
    """Say what the scores of a model with labels are, by the objective of its version."""
    text = None if version is None else text_of(warehouse, model, version)
    objective = "binary" if text is None else read_model(text).objective.split()[0]
    return "amount" if objective in OBJECTIVES["demand"] else "probability"


def _scored_contacts(site: Site, warehouse: Warehouse, model: str) -> pa.Table:
    return warehouse.query(
        "select c.customer_id, c.email, c.phone, c.is_suppressed, c.in_holdout,"
        " s.score, s.model_version, s.is_rank"
        f" from {site.model('int_contact_details').sql()} c"
        f" left join {site.model('fct_scores').sql()} s"
        " on s.customer_id = c.customer_id and s.model_name = ?"
        " order by c.customer_id",
        [model],
    )


def _cut(
    found: list[_Candidates], audience: AudienceSettings, share: float, key: bytes
) -> list[Cut]:
    if audience.cut == "per_brand":
        return [cut_by_share(one.scores, one.ids, share, key=key) for one in found]
    if amounts := [one.site.name for one in found if one.kind == "amount"]:
        raise ConfigError(
            f"audience {audience.name} asks for one cut through all brands, which needs "
            "probabilities, and its model expects amounts",
            value=f"cut: {audience.cut} over {', '.join(amounts)}",
            limit="cut: per_brand",
            looked="audiences in federation.yml",
            fix="cut each brand by its share",
        )
    bounds = [
        bounds_of_shares(
            one.scores.size, floor_share=audience.floor_share, cap_share=audience.cap_share
        )
        for one in found
    ]
    vectors = [reach_vector(one.scores, limit) for one, limit in zip(found, bounds, strict=True)]
    requested = count_of_share(share, sum(one.scores.size for one in found))
    common = federation_cut(vectors, requested)
    return [
        cut_brand(one.scores, one.ids, common, bounds=limit, key=key)
        for one, limit in zip(found, bounds, strict=True)
    ]
