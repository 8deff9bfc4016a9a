"""Who and what takes part in a training in this process: settled before the first round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fed_audience.errors import ConfigError, DataError
from fed_audience.jobs.consent_age import refuse_old_ledger
from fed_audience.jobs.lookalike import lookalike_settings, shared_features
from fed_audience.jobs.participants import (
    Claims,
    Participant,
    agreed_spec,
    check_partners,
    labelled_participant,
    unlabelled_participant,
)
from fed_audience.jobs.rows import agreed_features, require_column, require_features

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fed_audience.audiences.lookalike import CommonFeatures, LookalikeSettings
    from fed_audience.federation.contract.terms import Contract
    from fed_audience.gbdt.bins import Feature
    from fed_audience.jobs.settings import FederationSettings, ModelSettings
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.control import TrainingRequest
    from fed_audience.warehouse.manifest import ModelSpec


@dataclass(frozen=True, slots=True)
class Cohort:
    """Sites, rows and rules of one training, settled before the first round."""

    spec: ModelSpec
    participants: tuple[Participant, ...]
    features: tuple[Feature, ...]
    contract: Contract | None
    lookalike: LookalikeSettings | None
    common: CommonFeatures | None


def assemble(
    settings: FederationSettings,
    model: ModelSettings,
    contract: Contract | None,
    sites: Sequence[Site],
    claims: Claims,
    as_of: datetime,
) -> Cohort:
    """Claim the brands' requests and read the rows that consent allows at ``as_of``.

    Raises ConfigError where the brands do not ask for the same, DataError for rows that cannot
    be used, ConsentError when a brand's ledger is too old to ask.
    """
    for site in sites:
        refuse_old_ledger(settings, site, as_of)
    requests = claims.claim()
    spec = agreed_spec(requests)
    check_partners(sites, requests)
    if spec.task == "multiclass":
        raise ConfigError(
            "task 'multiclass' cannot be trained from dbt: a brand's scores hold one number a "
            "customer, and several classes need one each",
            limit="propensity, lookalike, demand",
            looked=f"meta.fed_audience of model {model.name}",
            fix="train a model with task: propensity for each class; `fed-audience simulate --task "
            "multiclass` tries them as one",
        )
    rules = lookalike_settings(settings, model, spec, [site.name for site in sites])
    if rules is None or rules.mode == "seed_rule":
        participants = tuple(
            labelled_participant(site, requests.get(site.name), model.name, as_of) for site in sites
        )
        by_site = {one.site.name: one.rows for one in participants}
        features = agreed_features(by_site, _aside(spec, model))
        if contract is not None:
            features = contract.model(model.name).manifest_features
        if model.missing_features == "refuse" or model.privacy is not None:
            require_features(by_site, features)
        return Cohort(spec, participants, features, contract, rules, None)
    participants = _around_seed_brand(sites, requests, spec, model.name, as_of)
    features, common = shared_features(participants, spec, rules)
    features = tuple(feature for feature in features if feature.name != model.weight)
    return Cohort(spec, participants, features, contract, rules, common)


def _aside(spec: ModelSpec, model: ModelSettings) -> tuple[str, ...]:
    """Columns that are no features."""
    weight = () if model.weight is None else (model.weight,)
    return (*spec.exclude_features, *weight)


def _around_seed_brand(
    sites: Sequence[Site],
    requests: dict[str, TrainingRequest],
    spec: ModelSpec,
    model: str,
    as_of: datetime,
) -> tuple[Participant, ...]:
    """Read the seed brand's labelled rows, and the targets' features at the same cutoff."""
    seed_site = next(site for site in sites if site.name == spec.seed_brand)
    seed = labelled_participant(seed_site, requests.get(seed_site.name), model, as_of)
    if seed.request is not None:
        require_column(seed_site.name, seed.request.relation, seed.rows.table, spec.cutoff)
    cutoff = pc.max(seed.rows.table[spec.cutoff]).as_py()
    if cutoff is None:
        raise DataError(
            f"{seed_site.name} has no consented row with a cutoff, so there are no seeds",
            value=f"{seed.rows.withdrawn:,} rows without consent now",
            looked=f"{spec.cutoff} of its training table",
            fix="build the training table again, and check --as-of",
        )
    return tuple(
        seed if site is seed_site else unlabelled_participant(site, spec, cutoff, as_of)
        for site in sites
    )
