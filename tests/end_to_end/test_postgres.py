"""From raw tables to delivered files with brands on PostgreSQL, by the one command of the guide."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from fed_audience.demo.loading import load_raw
from fed_audience.demo.settings import AS_OF
from fed_audience.demo.workspace import Workspace, environment, prepare
from fed_audience.warehouse.dbt import package_path, run_dbt
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.postgres.target import PostgresTarget
from fed_audience.warehouse.postgres.warehouse import PostgresWarehouse
from fed_audience.warehouse.protocol import Relation
from tests.arrow_tables import create_table
from tests.postgres_server import PostgresServer
from tests.same_rows import assert_same

pytestmark = [pytest.mark.dbt, pytest.mark.slow, pytest.mark.xdist_group("postgres_end_to_end")]

BRANDS = ("fashion", "travel")
INSTANT = f"{AS_OF:%Y-%m-%d %H:%M:%S}"
COMPARED = ("fct_customer_features", "fed_training_repurchase", "int_consent_current")
FEDERATION = {
    "name": "on_postgres",
    "demonstration": True,
    "minimum_rows": 50,
    "sites": [{"name": brand, "project": f"brands/{brand}"} for brand in BRANDS],
    "models": [{"name": "repurchase", "parameters": {"n_estimators": 20, "max_depth": 4}}],
    "audiences": [
        {
            "name": "likely_to_buy",
            "model": "repurchase",
            "channel": "email",
            "share": 0.2,
            "destinations": ["files"],
        }
    ],
    "destinations": {
        "files": {"type": "file", "folder": "delivered", "identifiers": ["email_sha256"]}
    },
}


@dataclass(frozen=True)
class FinishedRun:
    workspace: Workspace
    targets: dict[str, PostgresTarget]
    said: str

    def table(self, brand: str, statement: str) -> list[dict[str, Any]]:
        target = self.targets[brand].model_copy(update={"search_path": "analytics"})
        warehouse = PostgresWarehouse(target)
        rows: list[dict[str, Any]] = warehouse.query(statement).to_pylist()
        warehouse.close()
        return rows


@pytest.fixture(scope="module")
def finished(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    workspace, data = prepare(
        tmp_path_factory.mktemp("on_postgres"),
        customers=2_500,
        seed=5,
        setting="kindred",
        on_step=lambda _: None,
    )
    targets = {}
    for brand in (one for one in data.brands if one.name in BRANDS):
        targets[brand.name] = target = postgres.new_database()
        fill(target, brand.raw)
        write_profile(workspace.project(brand.name), target)
    workspace.federation.write_text(yaml.safe_dump(FEDERATION))
    passwords = {one.password.get_secret_value() for one in targets.values()}
    assert len(passwords) == 1
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from fed_audience.cli import main; main()", "run"),
            *("--config", str(workspace.federation), "--as-of", f"{AS_OF:%Y-%m-%dT%H:%M}"),
            *("--report", str(workspace.report)),
        ],
        env={**os.environ, **environment(workspace), "TEST_PASSWORD": passwords.pop()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return FinishedRun(workspace, targets, done.stdout)


def fill(target: PostgresTarget, raw: Path) -> None:
    warehouse = PostgresWarehouse(target)
    with warehouse.transaction():
        warehouse.execute("create schema raw")
        for file in sorted(raw.glob("*.parquet")):
            create_table(warehouse, Relation("raw", file.stem), pq.read_table(file))
    warehouse.close()


def write_profile(project: Path, target: PostgresTarget) -> None:
    """Write the profile of the guide, and link the package as `dbt deps` does, but faster."""
    output = {
        "type": "postgres",
        "host": target.host,
        "port": target.port,
        "user": target.user,
        "password": "{{ env_var('TEST_PASSWORD') }}",
        "dbname": target.dbname,
        "schema": "analytics",
        "threads": 2,
    }
    profiles = {"brand": {"target": "demo", "outputs": {"demo": output}}}
    (project / "profiles.yml").write_text(json.dumps(profiles))
    (project / "dbt_packages").mkdir()
    (project / "dbt_packages" / "fed_audience").symlink_to(package_path())


@pytest.mark.parametrize("brand", BRANDS)
def test_every_brand_ends_with_a_model_scores_and_members(
    finished: FinishedRun, brand: str
) -> None:
    (run,) = finished.table(brand, "select * from fed_audience.training_runs")
    assert (run["status"], run["model_name"]) == ("succeeded", "repurchase")
    (model,) = finished.table(brand, "select * from fed_audience.model_registry where is_active")
    scored = finished.table(
        brand,
        "select count(*) as scored, count(distinct score) as kinds, min(score) as low,"
        " max(score) as high, min(model_version) as version from fct_scores",
    )[0]
    features = finished.table(brand, "select count(*) as n from fct_scoring_features")[0]["n"]
    assert scored["scored"] == features > 100
    assert scored["kinds"] > 10
    assert 0 < scored["low"] < scored["high"] < 1
    assert scored["version"] == model["model_version"]
    members = finished.table(brand, "select count(*) as n from fct_audience_members")[0]["n"]
    assert members > 10


@pytest.mark.parametrize("brand", BRANDS)
def test_what_was_delivered_is_the_audience(finished: FinishedRun, brand: str) -> None:
    sent = finished.table(
        brand, "select count(*) as n from fed_audience.sync_state where in_audience"
    )[0]["n"]
    folder = finished.workspace.folder / "delivered" / brand / "likely_to_buy"
    (snapshot,) = folder.glob("snapshot-*.csv")
    people = len(snapshot.read_text(encoding="utf-8").splitlines()) - 1
    assert people == sent > 0


def test_the_report_is_there_and_no_password_in_what_was_said(finished: FinishedRun) -> None:
    assert finished.workspace.report.stat().st_size > 10_000
    secret = finished.targets["fashion"].password.get_secret_value()
    assert secret not in finished.said
    for log in finished.workspace.folder.rglob("dbt.log"):
        assert secret not in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("relation", COMPARED)
def test_the_tables_are_those_of_duckdb(
    finished: FinishedRun, on_duckdb: DuckDbWarehouse, relation: str
) -> None:
    theirs = on_duckdb.query(f"select * from {relation}").to_pylist()
    assert len(theirs) > 100
    assert_same(finished.table("fashion", f"select * from {relation}"), theirs)


@pytest.fixture(scope="module")
def on_duckdb(finished: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> DuckDbWarehouse:
    """The same raw tables of one brand, built by dbt on DuckDB."""
    folder = tmp_path_factory.mktemp("on_duckdb")
    project = finished.workspace.project("fashion")
    path = folder / "fashion.duckdb"
    load_raw(finished.workspace.data / "fashion" / "raw", path)
    output = {"type": "duckdb", "path": str(path), "threads": 2}
    profiles = {"brand": {"target": "demo", "outputs": {"demo": output}}}
    (folder / "profiles.yml").write_text(json.dumps(profiles))
    variables = {"fed_audience__as_of": INSTANT}
    without = ["--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"]
    run_dbt(project, ["build", *without], profiles_dir=folder, vars=variables)
    return DuckDbWarehouse(path)
