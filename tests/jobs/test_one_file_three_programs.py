"""One DuckDB file in the hands of dbt, of an agent in a run and of a reader, at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fed_audience.warehouse.dbt import run_dbt
from fed_audience.warehouse.engines import open_warehouse
from tests.federation.grpc.network import until
from tests.jobs.three_organisations import PROFILE, SITES, Organisations

TABLES = 4
MODEL = """{{ config(materialized='table') }}
select number, hash(number + %d) as noise from range(200000) as numbers(number)
"""
SECONDS = 120.0


def test_dbt_an_agent_and_a_reader_alternate_and_nothing_fails(
    organisations: Organisations, tmp_path: Path
) -> None:
    organisations.sign_all()
    for site in SITES:
        organisations.stop(site)
    project = organisations.folder / "ant" / "project"
    patient = PROFILE.replace("brand.duckdb}", "brand.duckdb, retries: {connect_attempts: 6}}")
    assert patient != PROFILE
    (project / "profiles.yml").write_text(patient)
    (project / "models").mkdir()
    for number in range(TABLES):
        (project / "models" / f"built_{number}.sql").write_text(MODEL % number)
    ready, stop, reads = tmp_path / "ready", tmp_path / "stop", 0
    program = "tests.jobs.agents_beside_dbt"
    agents = subprocess.Popen(
        [sys.executable, "-m", program, organisations.folder, ready, stop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        reader = open_warehouse(organisations.site("ant").profile, patience_s=SECONDS)
        until(ready.exists, SECONDS)
        # The agents begin before dbt does, and go on until it has ended.
        with ThreadPoolExecutor(1) as pool:
            building = pool.submit(run_dbt, project, ["run"])
            while not building.done():
                found = reader.query("select status from fed_audience.training_requests")
                assert found["status"][0].as_py() in {"pending", "claimed", "succeeded"}
                reads += 1
                time.sleep(0.1)
            built = building.result()
        stop.touch()
        said, log = agents.communicate(timeout=SECONDS)
    finally:
        agents.kill()
        agents.wait()
    assert agents.returncode == 0, log
    done = json.loads(said)
    assert done["model"], log
    assert [node.status for node in built.nodes] == ["success"] * TABLES
    for number in range(TABLES):
        assert reader.query(f"select count(*) as n from built_{number}")["n"][0].as_py() == 200_000
    assert reads > TABLES
    assert organisations.requests() == dict.fromkeys(SITES, "succeeded")
    assert organisations.models() == dict.fromkeys(SITES, done["model"])
