"""Manifests as dbt writes them, of a project with one training model and its uses."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

TRAINING = "model.brand.fed_training_repurchase"
SCORES = "model.fed_audience.fct_scores"
EXPOSURE = "exposure.brand.crm"
_MODEL: dict[str, Any] = {
    "resource_type": "model",
    "schema": "main",
    "database": None,
    "columns": {},
    "config": {},
}
_DOCUMENT: dict[str, Any] = {
    "nodes": {
        TRAINING: {
            **_MODEL,
            "name": "fed_training_repurchase",
            "original_file_path": "models/fed_training_repurchase.sql",
            "patch_path": "brand://models/_training.yml",
            "description": "Who buys | again.",
            "columns": {
                "f_spend": {"description": "Money spent."},
                "f_visits": {"description": "Visits."},
                "_fed_build_id": {"description": "The build."},
            },
            "config": {
                "meta": {
                    "fed_audience": {
                        "model": "repurchase",
                        "task": "propensity",
                        "purpose": "train",
                        "partners": ["ant", "bee"],
                    }
                }
            },
        },
        SCORES: {
            **_MODEL,
            "name": "fct_scores",
            "original_file_path": "models/marts/fct_scores.sql",
        },
        "model.brand.best_customers": {
            **_MODEL,
            "name": "best_customers",
            "original_file_path": "models/best_customers.sql",
        },
        "test.brand.unique": {"resource_type": "test", "name": "unique"},
    },
    "exposures": {
        EXPOSURE: {
            "name": "crm",
            "description": "Mail to\n  the likeliest.",
            "owner": {"name": "CRM team", "email": "crm@example.com"},
            "depends_on": {"nodes": ["model.brand.best_customers"]},
            "config": {
                "meta": {
                    "fed_audience": {
                        "model": "repurchase",
                        "purpose": "activate:email",
                        "legal_basis": "consent",
                        "destination": "files",
                    }
                }
            },
        }
    },
    "child_map": {
        SCORES: ["model.brand.best_customers", "test.brand.unique"],
        "model.brand.best_customers": [EXPOSURE],
    },
}


def manifest() -> dict[str, Any]:
    """Return a document of its own to change."""
    return copy.deepcopy(_DOCUMENT)


def write_manifest(project: Path, document: dict[str, Any]) -> None:
    target = project / "target"
    target.mkdir(parents=True, exist_ok=True)
    (target / "manifest.json").write_text(json.dumps(document))
