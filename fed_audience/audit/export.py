"""Retells a verified log for other systems: a statement about the model, a record of processing."""

from __future__ import annotations

import base64
from collections import Counter
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
    started, trained = _training(log)
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


def processing_record(log: Verification) -> dict[str, Any]:
    """Return the record of processing (GDPR Art. 30) of one run, counts of people as bands.

    Raises AuditError for a log without a finished training.
    """
    started, trained = _training(log)
    declared = started.record.model_dump(mode="json") if started.record else None
    rounds = Counter(type(entry) for entry in log.entries)
    return {
        "run": started.run,
        "federation": log.opened.federation,
        "started": started.at,
        "ended": next(entry.at for entry in log.entries if isinstance(entry, e.RunEnded)),
        "declared": declared,
        "sites": [row.model_dump(mode="json") for row in started.rows],
        "model": {
            "name": trained.model,
            "task": started.task,
            "sha256": trained.model_sha256,
            "held_by": [one.site for one in log.entries if isinstance(one, e.ModelRegistered)],
        },
        "rounds": rounds[e.RoundSummed],
        "scored": [
            {"site": one.site, "at": one.at, "customers": one.customers}
            for one in log.entries
            if isinstance(one, e.Scored)
        ],
        "delivered": [
            {
                "audience": one.audience,
                "site": one.site,
                "destination": one.destination,
                "purpose": one.purpose,
                "at": one.at,
                "added": one.added,
                "removed": one.removed,
                "withdrawn": one.withdrawn,
            }
            for one in log.entries
            if isinstance(one, e.AudienceDelivered)
        ],
        "overrides": [
            {"rule": one.rule, "subject": one.subject, "reason": one.reason, "person": one.person}
            for one in log.entries
            if isinstance(one, e.Overridden)
        ],
        "log": {"origin": log.opened.origin, "entries": len(log.entries), "root": log.root},
    }


def processing_markdown(log: Verification) -> str:
    """Return ``processing_record`` as a page of Markdown."""
    record = processing_record(log)
    model = record["model"]
    source = (
        f"Federation {record['federation']}, from {record['started']} to {record['ended']}. "
        f"Taken from the audit log `{record['log']['origin']}`, {record['log']['entries']} "
        f"entries, root `{record['log']['root']}`."
    )
    made = (
        f"{model['name']}, {model['task']}, sha256 `{model['sha256']}`, from "
        f"{record['rounds']} rounds; held by {', '.join(model['held_by'])}."
    )
    parts = [
        f"# Record of processing: {record['run']}",
        source,
        "## Declared (GDPR Art. 30)",
        _declared(record["declared"]),
        "## Model",
        made,
        _table("## Rows by site", ("site", "used", "withdrawn"), record["sites"]),
        _table("## Scored", ("site", "at", "customers"), record["scored"]),
        _table(
            "## Delivered",
            ("audience", "site", "destination", "purpose", "at", "added", "removed", "withdrawn"),
            record["delivered"],
        ),
        _table("## Overrides", ("rule", "subject", "reason", "person"), record["overrides"]),
    ]
    return "\n\n".join(parts) + "\n"


def _training(log: Verification) -> tuple[e.RunStarted, e.ModelTrained]:
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


def _declared(declared: dict[str, Any] | None) -> str:
    if declared is None:
        return "Nothing was declared: fill in `audit.record` in federation.yml."
    lines = []
    for name, value in declared.items():
        said = "; ".join(value) if isinstance(value, list) else value
        lines.append(f"- **{name.replace('_', ' ')}**: {said or 'none'}")
    return "\n".join(lines)


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    if not rows:
        return f"{title}\n\nNone."
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    cells = ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join([title, "", *head, *cells])


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")
