"""Gives every brand the trained model, and a record of the run."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

from fed_audience.consent.training_people import record_training_people
from fed_audience.jobs.training_result import metrics_document
from fed_audience.warehouse.control import TrainingRun, record_run
from fed_audience.warehouse.registry import RegisteredModel, register_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from fed_audience.jobs.audit_training import TrainingAccount
    from fed_audience.jobs.sites import Site
    from fed_audience.jobs.train import TrainedModel
    from fed_audience.jobs.training_content import TrainedOn


def register(
    trained: TrainedModel,
    run_id: str,
    as_of: datetime,
    account: TrainingAccount,
    inputs: Mapping[str, TrainedOn],
) -> None:
    """Give every brand the model, a record of the run and, of ``inputs``, what was its own."""
    result, rules = trained.result, trained.lookalike
    metrics = metrics_document(result) or None
    for one in trained.participants:
        name, keys = one.site.name, one.site.person_keys
        unknown = () if keys else (unrecorded(one.site),)
        text = trained.text_for(name)
        model = RegisteredModel(
            model_name=trained.name,
            model_version=sha256(text.encode()).hexdigest()[:12],
            model_text=text,
            encoder=result.encoder.to_json(),
            created_at=as_of,
            run_id=run_id,
            metrics=json.dumps(metrics, sort_keys=True) if metrics else None,
            trained_on=inputs[name].to_json(),
            is_rank=rules is not None and rules.is_rank(name),
        )
        run = TrainingRun(
            run_id=run_id,
            model_name=trained.name,
            status="succeeded",
            started_at=as_of,
            finished_at=as_of,
            request_id=one.request.request_id if one.request else None,
            partners=[site for site in trained.manifest.sites if site != name],
            rows_requested=one.request.row_count if one.request else None,
            rows_used=one.rows.table.num_rows,
            rows_withdrawn=one.rows.withdrawn,
            rounds=result.rounds,
            bytes_up=result.bytes_up.get(name),
            metrics=metrics,
            message="; ".join((*trained.warnings, *trained.notes, *unknown)) or None,
        )
        with one.site.open() as warehouse, warehouse.transaction():
            register_model(warehouse, model)
            record_run(warehouse, run)
            if keys is not None:
                people = one.rows.table[trained.spec.entity].to_pylist()
                record_training_people(warehouse, run_id, trained.name, people, keys)
        account.registered(name, model.sha256)


def unrecorded(site: Site) -> str:
    """Say that nobody can tell later whom a model was trained on."""
    return f"who trained it at {site.name} is not on record: {site.settings.state_key} is not set"
