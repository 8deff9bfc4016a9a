"""The queue between dbt and the agent: requests that dbt writes, runs that the agent records.

dbt's package creates the tables; times are passed in, naive and UTC.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from fed_audience.errors import DataError, FedAudienceError, WarehouseError
from fed_audience.warehouse.manifest import ModelSpec, parse_spec
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fed_audience.warehouse.protocol import Warehouse

SCHEMA: Final = "fed_audience"
LEASE: Final = timedelta(hours=1)
"""How long a claim holds without being renewed; then the request may be claimed again."""


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """One row of `training_requests`: dbt built ``relation`` and asks for its training."""

    request_id: str
    model_name: str
    relation: Relation
    spec: ModelSpec
    row_count: int
    build_id: str
    as_of: datetime
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One row of `training_runs`: a training at this brand, while it runs and when it ended.

    ``rows_withdrawn`` were requested, but lost consent before the first round; ``bytes_up``
    left the brand.
    """

    run_id: str
    model_name: str
    status: Literal["running", "succeeded", "failed", "interrupted"]
    started_at: datetime
    finished_at: datetime | None = None
    request_id: str | None = None
    partners: Sequence[str] = ()
    rows_requested: int | None = None
    rows_used: int | None = None
    rows_withdrawn: int | None = None
    rounds: int | None = None
    bytes_up: int | None = None
    metrics: Mapping[str, object] | None = None
    message: str | None = None


def control(table: str, schema: str = SCHEMA) -> Relation:
    """Return a control table."""
    return Relation(schema, table)


def claim_request(
    warehouse: Warehouse,
    *,
    claimed_by: str,
    now: datetime,
    model_name: str | None = None,
    lease: timedelta = LEASE,
    schema: str = SCHEMA,
) -> TrainingRequest | None:
    """Claim the oldest request (of ``model_name``) that nobody else holds, or return None.

    A request is claimed exactly once, however many agents ask at the same time. A claim that
    was not renewed for ``lease`` counts as abandoned. A spec that cannot be read makes the
    request 'failed' and raises ConfigError.
    """
    table = control("training_requests", schema).sql()
    candidates = warehouse.query(
        f"select * from {table} where (status = 'pending' or (status = 'claimed'"
        " and claimed_at <= ?)) and model_name = coalesce(?, model_name)"
        " order by requested_at, request_id",
        [now - lease, model_name],
    ).to_pylist()
    for row in candidates:
        # Whoever changes the row first wins: the others find it other than they read it.
        won = warehouse.execute(
            f"update {table} set status = 'claimed', claimed_by = ?, claimed_at = ?"
            " where request_id = ? and status = ? and build_id = ?"
            " and claimed_at is not distinct from ?",
            [
                claimed_by,
                now,
                row["request_id"],
                row["status"],
                row["build_id"],
                row["claimed_at"],
            ],
        )
        if won:
            return _request(warehouse, row, now, schema)
    return None


def waiting_request(
    warehouse: Warehouse,
    model_name: str,
    *,
    now: datetime,
    lease: timedelta = LEASE,
    schema: str = SCHEMA,
) -> TrainingRequest | None:
    """Return the request of ``model_name`` that ``claim_request`` would claim; nothing is changed.

    Raises ConfigError for a spec that cannot be read.
    """
    rows = warehouse.query(
        f"select * from {control('training_requests', schema).sql()} where model_name = ?"
        " and (status = 'pending' or (status = 'claimed' and claimed_at <= ?))"
        " order by requested_at, request_id limit 1",
        [model_name, now - lease],
    ).to_pylist()
    return _read_request(rows[0]) if rows else None


def request_status(warehouse: Warehouse, request_id: str, *, schema: str = SCHEMA) -> str | None:
    """Return the status of a request, None where there is none of that id."""
    table = control("training_requests", schema).sql()
    found = warehouse.query(f"select status from {table} where request_id = ?", [request_id])
    return str(found["status"][0].as_py()) if len(found) else None


def renew_claim(
    warehouse: Warehouse,
    request: TrainingRequest,
    *,
    claimed_by: str,
    now: datetime,
    progress: str | None = None,
    schema: str = SCHEMA,
) -> None:
    """Prolong the claim, and say how far its training is, for whoever waits for it.

    Raises WarehouseError when somebody else holds the request by now.
    """
    held = warehouse.execute(
        f"update {control('training_requests', schema).sql()}"
        " set claimed_at = ?, detail = coalesce(?, detail)"
        " where request_id = ? and status = 'claimed' and claimed_by = ?",
        [now, progress, request.request_id, claimed_by],
    )
    if not held:
        raise WarehouseError(
            "this training request is no longer ours",
            value=request.request_id,
            looked=control("training_requests", schema).sql(),
            fix="stop this run; another agent took it over, or it was cancelled",
        )


def verify_build(
    warehouse: Warehouse, request: TrainingRequest, *, now: datetime, schema: str = SCHEMA
) -> None:
    """Make sure that the table is still the one that dbt counted.

    Anything else makes the request 'stale' and raises DataError: another build, `--empty`, a
    dropped table, or rows that came or went.
    """
    found = _found_build(warehouse, request)
    if found is None:
        return
    finish_request(
        warehouse, request.request_id, status="stale", now=now, detail=found, schema=schema
    )
    raise DataError(
        f"training table of '{request.model_name}' is not the one that was requested: {found}",
        limit=f"{request.row_count} rows of build {request.build_id}",
        looked=request.relation.sql(),
        fix="build it again with dbt, which queues a new request",
    )


def finish_request(
    warehouse: Warehouse,
    request_id: str,
    *,
    status: Literal["succeeded", "unchanged", "failed", "stale", "cancelled"],
    now: datetime,
    detail: str | None = None,
    schema: str = SCHEMA,
) -> None:
    """End a request that is not ended yet; raises WarehouseError when there is none.

    'unchanged': nothing was trained, as nothing would come out differently; unlike 'succeeded' it
    does not keep dbt from queueing the next request.
    """
    ended = warehouse.execute(
        f"update {control('training_requests', schema).sql()}"
        " set status = ?, finished_at = ?, detail = ?"
        " where request_id = ? and status in ('pending', 'claimed')",
        [status, now, detail, request_id],
    )
    if not ended:
        raise WarehouseError(
            "no open training request of that id",
            value=request_id,
            looked=control("training_requests", schema).sql(),
            fix="look at its status there; it may have ended already",
        )


def release_request(
    warehouse: Warehouse, request: TrainingRequest, *, claimed_by: str, schema: str = SCHEMA
) -> None:
    """Give a claimed request back unharmed; one that is no longer ours stays as it is."""
    warehouse.execute(
        f"update {control('training_requests', schema).sql()}"
        " set status = 'pending', claimed_by = null, claimed_at = null, detail = null"
        " where request_id = ? and status = 'claimed' and claimed_by = ?",
        [request.request_id, claimed_by],
    )


def record_run(warehouse: Warehouse, run: TrainingRun, *, schema: str = SCHEMA) -> None:
    """Write the row of ``run``, in place of what was recorded of it before."""
    table = control("training_runs", schema)
    row = asdict(run)
    row["partners"] = json.dumps(sorted(run.partners))
    row["metrics"] = None if run.metrics is None else json.dumps(run.metrics, sort_keys=True)
    with warehouse.transaction():
        warehouse.execute(f"delete from {table.sql()} where run_id = ?", [run.run_id])
        warehouse.insert(table, pa.table({name: [value] for name, value in row.items()}))


def _request(
    warehouse: Warehouse, row: Mapping[str, object], now: datetime, schema: str
) -> TrainingRequest:
    try:
        return _read_request(row)
    except FedAudienceError as error:
        request_id, detail = str(row["request_id"]), str(error)
        finish_request(
            warehouse, request_id, status="failed", now=now, detail=detail, schema=schema
        )
        raise


def _read_request(row: Mapping[str, object]) -> TrainingRequest:
    request_id = str(row["request_id"])
    return TrainingRequest(
        request_id=request_id,
        model_name=str(row["model_name"]),
        relation=Relation.parse(str(row["relation"])),
        spec=parse_spec(str(row["spec"]), source=f"training request {request_id}"),
        row_count=int(str(row["row_count"])),
        build_id=str(row["build_id"]),
        as_of=_instant(row["as_of"]),
        requested_at=_instant(row["requested_at"]),
    )


def _instant(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise DataError("a training request has no time", fix="build the training table again")
    return value


def _found_build(warehouse: Warehouse, request: TrainingRequest) -> str | None:
    """Say how the table differs from what was requested; None when it does not."""
    with warehouse.transaction():
        if not warehouse.relation_exists(request.relation):
            return "it does not exist"
        if "_fed_build_id" not in warehouse.columns(request.relation):
            return "it has no column _fed_build_id"
        rows = warehouse.query(
            "select count(*) as total, count(case when _fed_build_id = ? then 1 end) as ours"
            f" from {request.relation.sql()}",
            [request.build_id],
        ).to_pylist()[0]
    if rows["ours"] != rows["total"]:
        return f"{rows['total'] - rows['ours']} of its {rows['total']} rows are of another build"
    if rows["total"] != request.row_count:
        return f"it has {rows['total']} rows"
    return None
