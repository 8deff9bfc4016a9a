"""The manifest of a run, from the contract alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from fed_audience.errors import ContractError
from fed_audience.federation.contract.checks import BRAND_COLUMN, require_signed
from fed_audience.federation.manifest import Manifest, overrides_for

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.gbdt.parameters import TrainingParameters
    from fed_audience.privacy.run_keys import Override


def manifest_of(
    contract: Contract,
    terms: ModelTerms,
    sites: tuple[str, ...],
    parameters: TrainingParameters,
    now: datetime,
) -> Manifest:
    """Return the manifest of a run of ``terms`` over ``sites``, under a fresh run id.

    ``parameters`` are the operator's, within the bounds that were signed. Raises ContractError
    where the contract does not allow the run, or it needs all sites in one process.
    """
    if terms.brand_base or contract.privacy.epsilon is not None:
        raise ContractError(
            "this kind of training needs all sites in one process",
            value="brand_base" if terms.brand_base else "privacy.epsilon",
            fix="`fed-audience train`, or take it out of the contract",
        )
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
        allow_missing_features=terms.missing_features == "accept",
        weight=terms.weight,
        max_weight=terms.max_weight,
        brand=BRAND_COLUMN if terms.site_weights else None,
        brand_weights=tuple(terms.site_weights.items()),
        secure=contract.privacy.secure,
        overrides=tuple(sorted(overrides)),
        parameters=parameters,
    )
    require_signed(contract, manifest)
    return manifest
