"""Retells a verified log for other systems: an in-toto statement about the model."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from fed_audience.audit import entries as e
from fed_audience.errors import AuditError

if TYPE_CHECKING:
    from fed_audience.audit.verification import Verification

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:fed-audience:federated-training:v1"


def in_toto_statement(log: Verification) -> dict[str, Any]:
    """Return an in-toto statement (v1) about the model, with SLSA provenance as its predicate.

    Its materials are the configuration, the run manifest, the features, the roster and the root
    of the log; its by-products prove, without the log, that the entry of the model is in it.
    Raises AuditError for a log without a finished training.
    """
    started, trained = training_of(log)
    ended = next(entry for entry in log.entries if isinstance(entry, e.RunEnded))
    opened = log.opened
    proof = log.tree.inclusion_proof(trained.sequence)
    return {
        "_type": STATEMENT,
        "subject": [
            {
                "name": f"{trained.model}-{trained.version}.txt",
                "digest": {"sha256": trained.model_sha256},
            }
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "federation": opened.federation,
                    "model": started.model,
                    "task": started.task,
                    "sites": list(started.sites),
                    "label_sites": list(started.label_sites),
                },
                "resolvedDependencies": [
                    _material("configuration", started.configuration_sha256),
                    _material("run manifest", started.manifest_sha256),
                    _material("feature schema", started.features_sha256),
                    _material("installed packages", opened.packages_sha256),
                    {"name": "roster", "annotations": {"keys": _keys(opened)}},
                    _material(f"audit log of {len(log.entries)} entries", log.root),
                ],
            },
            "runDetails": {
                "builder": {"id": opened.origin, "version": {"software": opened.software}},
                "metadata": {
                    "invocationId": started.run,
                    "startedOn": started.at,
                    "finishedOn": ended.at,
                },
                "byproducts": [
                    {
                        "name": "checkpoint",
                        "mediaType": "text/plain",
                        "content": base64.b64encode(log.note.encode()).decode(),
                    },
                    {
                        "name": "entry of the model",
                        "mediaType": "application/json",
                        "content": base64.b64encode(e.encode_entry(trained)).decode(),
                        "annotations": {
                            "leaf_index": trained.sequence,
                            "inclusion_proof": [base64.b64encode(one).decode() for one in proof],
                        },
                    },
                ],
            },
        },
    }


def training_of(log: Verification) -> tuple[e.RunStarted, e.ModelTrained]:
    """Return what a training of ``log`` began with and came to. Raises AuditError without one."""
    started = [entry for entry in log.entries if isinstance(entry, e.RunStarted)]
    trained = [entry for entry in log.entries if isinstance(entry, e.ModelTrained)]
    if not started or not trained:
        raise AuditError(
            "the log holds no training that came to a model",
            looked=str(log.path),
            fix="export the log of a run that succeeded",
        )
    return started[0], trained[0]


def _material(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _keys(opened: e.LogOpened) -> list[str]:
    return [opened.coordinator_key, *opened.site_keys]
