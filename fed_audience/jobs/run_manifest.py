"""The manifest of a run, from the contract alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from fed_audience.federation.contract.checks import BRAND_COLUMN, require_signed
from fed_audience.federation.manifest import Manifest, overrides_for
from fed_audience.jobs.private_training import PrivateTraining

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.jobs.settings import FederationSettings
    from fed_audience.privacy.run_keys import Override


def manifest_of(
    contract: Contract,
    terms: ModelTerms,
    sites: tuple[str, ...],
    settings: FederationSettings,
    now: datetime,
) -> Manifest:
    """Return the manifest of a run of ``terms`` over ``sites``, under a fresh run id.

    ``settings`` are the operator's: parameters within the bounds that were signed, and for a
    training with noise its terms and what is public of the features. Raises ContractError where
    the contract does not allow the run, ConfigError for what cannot be private.
    """
    model = settings.model(terms.name)
    private = PrivateTraining.of(
        settings, model, terms.manifest_features, contract, task=terms.task
    )
    parameters = private.parameters if private else model.training_parameters(terms.task)
    branded = bool(terms.site_weights) or terms.brand_base
    overrides: set[Override] = set(overrides_for(sites, sites))
    if "small_change" in contract.privacy.overrides:
        overrides.add("small_change")
    manifest = Manifest(
        run_id=f"{terms.name}-{now:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}",
        model_name=terms.name,
        task=terms.task,
        features=terms.manifest_features,
        label=terms.label.column,
        row_key=terms.entity,
        sites=sites,
        allow_missing_features=terms.missing_features == "accept" and private is None,
        weight=terms.weight,
        max_weight=terms.max_weight,
        brand=BRAND_COLUMN if branded else None,
        brand_weights=tuple(terms.site_weights.items()),
        brand_base=terms.brand_base,
        privacy=None if private is None else private.terms,
        public=() if private is None else private.public,
        secure=contract.privacy.secure,
        overrides=tuple(sorted(overrides)),
        parameters=parameters,
    )
    require_signed(contract, manifest)
    return manifest
