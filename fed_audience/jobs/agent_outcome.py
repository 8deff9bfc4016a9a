"""What an agent does when a run has ended: model, books and scores into its own warehouse."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from typing import TYPE_CHECKING

from fed_audience.consent.training_people import record_training_people
from fed_audience.errors import FederationError, ModelFormatError
from fed_audience.federation import Manifest
from fed_audience.federation.messages.members import LARGEST_MADE, Made
from fed_audience.gbdt.models.reader import read_model
from fed_audience.jobs.agent_copies import own_model
from fed_audience.jobs.agent_run import Station, release
from fed_audience.jobs.consent_age import refuse_old_ledger
from fed_audience.jobs.registration import unrecorded
from fed_audience.jobs.retraining_due import refuse_overdue
from fed_audience.jobs.score import score_at
from fed_audience.warehouse.control import (
    TrainingRun,
    finish_request,
    record_run,
    request_status,
)
from fed_audience.warehouse.registry import RegisteredModel, register_model

if TYPE_CHECKING:
    from fed_audience.federation.messages.members import ModelPart, Outcome
    from fed_audience.jobs.agent_memory import HeldRun
    from fed_audience.jobs.agent_run import AgentRun


class Parts:
    """What has arrived of what a run made."""

    def __init__(self) -> None:
        self._run = ""
        self._held = bytearray()

    def add(self, part: ModelPart) -> int:
        """Take the next part; return how many bytes there are. Raises FederationError."""
        try:
            data = b64decode(part.data, validate=True)
        except ValueError:
            data = b""
        if part.run != self._run or part.offset == 0:
            self._run, self._held = part.run, bytearray()
        if not data or part.offset != len(self._held) or part.offset > LARGEST_MADE:
            raise FederationError(
                "a part of the model does not follow the one before",
                value=part.offset,
                limit=len(self._held),
                fix="the coordinator sends it again",
            )
        self._held += data
        return len(self._held)

    def made(self, outcome: Outcome) -> Made:
        """Read what the run made. Raises FederationError unless all of it is here, unaltered."""
        digest = sha256(self._held).hexdigest()
        if outcome.run != self._run or outcome.made_sha256 != digest:
            raise FederationError(
                "what the run made is not here whole",
                value=f"{len(self._held):,} bytes, {digest[:12]}",
                limit=(outcome.made_sha256 or "nothing")[:12],
                fix="the coordinator sends it again",
            )
        try:
            return Made.model_validate_json(bytes(self._held))
        except ValueError as error:
            raise FederationError(
                f"what the run made cannot be read: {str(error).partition(chr(10))[0]}",
                fix="run the same version of fed-audience at the coordinator and at every site",
            ) from None


def settle(
    station: Station,
    held: HeldRun,
    run: AgentRun | None,
    outcome: Outcome,
    made: Made | None,
) -> str | None:
    """Write the outcome of a run to the warehouse; return the hash of the model, if there is one.

    A model, its run and the end of its request are one transaction; told twice, it is written
    once. Without success the request is pending again, or ends as the run did where the coordinator
    says so. It ends as unchanged only where the site itself said that nothing has changed.
    """
    untrue = outcome.status == "unchanged" and held.unchanged is None
    if (outcome.status != "succeeded" and outcome.again) or untrue:
        release(station, held.request)
        return None
    manifest, keys = Manifest.from_json(held.manifest), station.site.person_keys
    if made is not None:
        _check_model(manifest, made)
    own = None if made is None else own_model(station, manifest, run, made)
    digest = None if own is None else sha256(own.text.encode()).hexdigest()
    with station.site.open() as warehouse, warehouse.transaction():
        if request_status(warehouse, held.request.request_id) in {"pending", "claimed"}:
            if made is not None and own is not None and digest is not None:
                register_model(warehouse, _model(station, held, made, own.text, digest))
                if run is not None and keys is not None:
                    ids = run.rows.participant.rows.table[manifest.row_key].to_pylist()
                    record_training_people(warehouse, outcome.run, manifest.model_name, ids, keys)
            note = "" if own is None else own.note
            if outcome.status != "unchanged":
                record_run(warehouse, _books(station, manifest, held, run, outcome, made, note))
            finish_request(
                warehouse,
                held.request.request_id,
                status=outcome.status,
                now=station.clock(),
                detail=(held.unchanged if outcome.status == "unchanged" else outcome.why) or None,
            )
    return digest


def score_customers(station: Station, model_name: str) -> int:
    """Score the site's consented customers with the active model; return their number."""
    settings, as_of = station.settings, station.clock()
    model = settings.model(model_name)
    refuse_old_ledger(settings, station.site, as_of)
    refuse_overdue(settings, [station.site], as_of, model_name)
    with station.site.open() as warehouse:
        return score_at(
            station.site, warehouse, model, as_of=as_of, category_key=station.category_key
        )[1]


def _check_model(manifest: Manifest, made: Made) -> None:
    """Raise ModelFormatError for a model that is none, or not over the run's features."""
    names = read_model(made.model_text).features
    wanted = tuple(feature.name for feature in manifest.features)
    if names != wanted:
        raise ModelFormatError(
            "the coordinator sent a model over other features than the run's",
            value=f"{len(names)} features",
            limit=f"{len(wanted)}, in the manifest's order",
            fix="ask the operator; nothing was registered",
        )


def _model(station: Station, held: HeldRun, made: Made, text: str, digest: str) -> RegisteredModel:
    return RegisteredModel(
        model_name=held.request.model_name,
        model_version=digest[:12],
        model_text=text,
        encoder=made.encoder,
        created_at=station.clock(),
        run_id=held.run_id,
        metrics=made.metrics,
        trained_on=held.brought,
    )


def _books(
    station: Station,
    manifest: Manifest,
    held: HeldRun,
    run: AgentRun | None,
    outcome: Outcome,
    made: Made | None,
    note: str,
) -> TrainingRun:
    rows = None if run is None else run.rows.participant.rows
    known = station.site.person_keys is not None and run is not None
    words = (
        *(made.warnings if made else ()),
        *filter(None, [outcome.why, note]),
        *(() if known or made is None else (unrecorded(station.site),)),
    )
    return TrainingRun(
        run_id=outcome.run,
        model_name=held.request.model_name,
        status="succeeded" if made is not None else "failed",
        started_at=held.began,
        finished_at=station.clock(),
        request_id=held.request.request_id,
        partners=[site for site in manifest.sites if site != station.name],
        rows_requested=held.request.row_count,
        rows_used=None if rows is None else rows.table.num_rows,
        rows_withdrawn=None if rows is None else rows.withdrawn,
        rounds=made.rounds if made else None,
        bytes_up=outcome.bytes_up,
        metrics=json.loads(made.metrics) if made and made.metrics else None,
        message="; ".join(words) or None,
    )
