"""A request is claimed once, trained only if its table is still the one that dbt counted."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest

from fed_audience.errors import ConfigError, DataError, WarehouseError
from fed_audience.warehouse.control import (
    LEASE,
    TrainingRequest,
    TrainingRun,
    claim_request,
    control,
    finish_request,
    record_run,
    release_request,
    renew_claim,
    verify_build,
)
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.manifest import ModelSpec
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation, Warehouse

NOW = datetime(2026, 6, 1, 12)  # noqa: DTZ001 - naive and UTC, as everywhere
SPEC = {"model": "repurchase", "task": "propensity", "partners": ["grocery"], "cadence_days": 7}


def queue(warehouse: Warehouse, number: int = 1, **changes: object) -> str:
    row = {
        "request_id": f"r{number}",
        "model_name": "repurchase",
        "relation": '"main"."fed_training_repurchase"',
        "spec": json.dumps(SPEC),
        "row_count": 3,
        "build_id": f"build{number}",
        "as_of": NOW - timedelta(hours=1),
        "requested_at": NOW + timedelta(minutes=number),
        "status": "pending",
    } | changes
    table = pa.table({name: [value] for name, value in row.items()})
    warehouse.insert(control("training_requests"), table)
    return str(row["request_id"])


def build(warehouse: Warehouse, *build_ids: str) -> None:
    values = ", ".join(f"('{build_id}')" for build_id in build_ids)
    warehouse.execute(
        "create table main.fed_training_repurchase as"
        f" select * from (values {values}) as rows (_fed_build_id)"
    )


def claim(warehouse: Warehouse, by: str = "agent", now: datetime = NOW) -> TrainingRequest | None:
    return claim_request(warehouse, claimed_by=by, now=now)


def claimed(warehouse: Warehouse) -> TrainingRequest:
    request = claim(warehouse)
    assert request is not None
    return request


def state(warehouse: Warehouse, request_id: str = "r1") -> dict[str, object]:
    rows = warehouse.query(
        "select * from fed_audience.training_requests where request_id = ?", [request_id]
    ).to_pylist()
    return dict(rows[0])


def test_a_claim_returns_what_dbt_asked_for(brand: Warehouse) -> None:
    queue(brand)
    assert claim(brand) == TrainingRequest(
        request_id="r1",
        model_name="repurchase",
        relation=Relation("main", "fed_training_repurchase"),
        spec=ModelSpec(
            model="repurchase", task="propensity", partners=("grocery",), cadence_days=7
        ),
        row_count=3,
        build_id="build1",
        as_of=NOW - timedelta(hours=1),
        requested_at=NOW + timedelta(minutes=1),
    )
    row = state(brand)
    assert (row["status"], row["claimed_by"], row["claimed_at"]) == ("claimed", "agent", NOW)


def test_the_oldest_request_comes_first_and_each_only_once(brand: Warehouse) -> None:
    queue(brand, 2)
    queue(brand, 1)
    got = [claim(brand), claim(brand), claim(brand)]
    assert [request.request_id if request else None for request in got] == ["r1", "r2", None]


def test_a_model_can_be_asked_for_by_name(brand: Warehouse) -> None:
    queue(brand, 1)
    queue(brand, 2, model_name="high_value")
    request = claim_request(brand, claimed_by="agent", now=NOW, model_name="high_value")
    assert request is not None
    assert request.request_id == "r2"


@pytest.mark.parametrize("status", ["succeeded", "failed", "stale", "cancelled"])
def test_an_ended_request_is_not_claimed(brand: Warehouse, status: str) -> None:
    queue(brand, status=status)
    assert claim(brand) is None


def test_an_abandoned_claim_is_taken_over_when_its_lease_is_over(brand: Warehouse) -> None:
    queue(brand)
    claim(brand, "first")
    assert claim(brand, "second", NOW + LEASE - timedelta(seconds=1)) is None
    assert claim(brand, "second", NOW + LEASE) is not None
    assert state(brand)["claimed_by"] == "second"


def test_a_renewed_claim_is_kept(brand: Warehouse) -> None:
    queue(brand)
    request = claimed(brand)
    renew_claim(brand, request, claimed_by="agent", now=NOW + LEASE / 2)
    assert claim(brand, "other", NOW + LEASE) is None


def test_a_lost_claim_cannot_be_renewed(brand: Warehouse) -> None:
    queue(brand)
    request = claimed(brand)
    claim(brand, "other", NOW + LEASE)
    with pytest.raises(WarehouseError, match="no longer ours"):
        renew_claim(brand, request, claimed_by="agent", now=NOW + LEASE)


def test_racing_agents_share_the_requests_without_overlap(brand_file: Path) -> None:
    warehouse = open_warehouse(Profile(path=brand_file))
    with warehouse.transaction():
        for number in range(12):
            queue(warehouse, number)
    got: list[str] = []

    def agent(name: str) -> None:
        own = open_warehouse(Profile(path=brand_file), patience_s=60)
        while (request := claim(own, name)) is not None:
            got.append(request.request_id)

    agents = [Thread(target=agent, args=(f"agent{number}",)) for number in range(4)]
    for thread in agents:
        thread.start()
    for thread in agents:
        thread.join()
    assert sorted(got) == sorted(f"r{number}" for number in range(12))


def test_a_released_request_can_be_claimed_again_at_once(brand: Warehouse) -> None:
    queue(brand)
    request = claimed(brand)
    release_request(brand, request, claimed_by="somebody else")
    assert state(brand)["status"] == "claimed"
    release_request(brand, request, claimed_by="agent")
    assert claim(brand, "other") == request


def test_a_spec_that_cannot_be_read_ends_the_request(brand: Warehouse) -> None:
    queue(brand, spec=json.dumps({**SPEC, "partnres": []}))
    with pytest.raises(ConfigError, match=r"'partnres'.*did you mean 'partners'.*request r1"):
        claim(brand)
    assert state(brand)["status"] == "failed"
    assert "partnres" in str(state(brand)["detail"])


def test_a_relation_that_is_no_name_never_reaches_a_statement(brand: Warehouse) -> None:
    queue(brand, relation="main.t; drop table customers")
    with pytest.raises(WarehouseError, match="not the name of a relation"):
        claim(brand)
    assert state(brand)["status"] == "failed"


def test_the_build_that_was_counted_is_accepted(brand: Warehouse) -> None:
    queue(brand)
    build(brand, "build1", "build1", "build1")
    verify_build(brand, claimed(brand), now=NOW)
    assert state(brand)["status"] == "claimed"


@pytest.mark.parametrize(
    ("builds", "says"),
    [
        (["build2", "build2", "build2"], "3 of its 3 rows are of another build"),
        (["build1", "build1", "build2"], "1 of its 3 rows"),
        (["build1", "build1"], "it has 2 rows"),
        (["build1"] * 4, "it has 4 rows"),
        ([], "does not exist"),
    ],
)
def test_any_other_build_is_stale(brand: Warehouse, builds: list[str], says: str) -> None:
    queue(brand)
    if builds:
        build(brand, *builds)
    with pytest.raises(DataError, match=f"{says}.*3 rows of build build1"):
        verify_build(brand, claimed(brand), now=NOW)
    row = state(brand)
    assert (row["status"], row["finished_at"]) == ("stale", NOW)
    assert says in str(row["detail"])


def test_an_emptied_table_is_stale(brand: Warehouse) -> None:
    queue(brand)
    build(brand, "build1")
    brand.execute("delete from main.fed_training_repurchase")
    with pytest.raises(DataError, match="it has 0 rows"):
        verify_build(brand, claimed(brand), now=NOW)


def test_a_table_without_build_is_stale(brand: Warehouse) -> None:
    queue(brand)
    brand.execute("create table main.fed_training_repurchase as select 1 as label")
    with pytest.raises(DataError, match="no column _fed_build_id"):
        verify_build(brand, claimed(brand), now=NOW)


def test_a_request_ends_once(brand: Warehouse) -> None:
    queue(brand)
    claim(brand)
    finish_request(brand, "r1", status="succeeded", now=NOW, detail="AUC 0.81")
    assert (state(brand)["status"], state(brand)["detail"]) == ("succeeded", "AUC 0.81")
    with pytest.raises(WarehouseError, match="no open training request"):
        finish_request(brand, "r1", status="failed", now=NOW)
    assert state(brand)["status"] == "succeeded"


def test_a_run_is_one_row_from_start_to_end(brand: Warehouse) -> None:
    started = TrainingRun("run1", "repurchase", "running", NOW, partners=("travel", "grocery"))
    record_run(brand, started)
    ended = TrainingRun(
        "run1",
        "repurchase",
        "succeeded",
        NOW,
        finished_at=NOW + timedelta(minutes=1),
        partners=("travel", "grocery"),
        rows_used=900,
        rows_withdrawn=3,
        bytes_up=1 << 40,
        metrics={"auc": 0.8},
    )
    record_run(brand, ended)
    rows = brand.query("select * from fed_audience.training_runs").to_pylist()
    assert len(rows) == 1
    assert rows[0]["status"] == "succeeded"
    assert rows[0]["partners"] == '["grocery", "travel"]'
    assert rows[0]["bytes_up"] == 1 << 40
    assert json.loads(rows[0]["metrics"]) == {"auc": 0.8}
