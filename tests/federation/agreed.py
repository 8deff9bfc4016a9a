"""A contract of three sites, and a run that is what they signed."""

from __future__ import annotations

from typing import Any

from fed_audience.federation.contract.terms import Contract, all_parameters
from fed_audience.federation.manifest import Manifest
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.privacy.identity import SiteIdentity

SITES = ("ant", "bee", "cat")
PARAMETERS = TrainingParameters(n_estimators=20, max_depth=3, num_leaves=8)


def identities() -> dict[str, SiteIdentity]:
    return {site: SiteIdentity.generate(site) for site in SITES}


def contract(keys: dict[str, SiteIdentity] | None = None, **changes: Any) -> Contract:
    members = keys or identities()
    terms: dict[str, Any] = {
        "name": "repurchase",
        "sites": SITES,
        "label": {"definition": "buys again", "horizon_days": 90},
        "features": [
            {"name": "f_channel", "definition": "first channel", "type": "category"},
            {
                "name": "f_spend",
                "definition": "spend of 90 days",
                "unit": "cents",
                "currency": "EUR",
            },
        ],
        "parameters": all_parameters(PARAMETERS),
        "bounds": {"n_estimators": (5, 50)},
    }
    terms.update(changes.pop("model", {}))
    document = {
        "federation": "three",
        "roster": {site: one.public_key.hex() for site, one in members.items()},
        "minimum_rows": 10,
        "models": [terms],
        **changes,
    }
    return Contract.parse(document, source="a test")


def manifest(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "run_id": "r1",
        "model_name": "repurchase",
        "task": "propensity",
        "features": (Feature("f_channel", categorical=True), Feature("f_spend")),
        "label": "label",
        "row_key": "customer_id",
        "sites": SITES,
        "allow_missing_features": True,
        "parameters": PARAMETERS,
    }
    return Manifest(**{**fields, **changes})
