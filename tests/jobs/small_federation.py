"""Two small brands that can train, score, choose and deliver, made without dbt."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from fed_audience.consent.statement import ConsentRelations
from fed_audience.jobs.settings import FederationSettings, load_federation
from fed_audience.jobs.sites import Site, site_of
from fed_audience.jobs.train import train_model
from fed_audience.warehouse.control import control
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.postgres.target import PostgresTarget
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Relation, Warehouse
from tests.postgres_server import PostgresServer
from tests.warehouse.conftest import with_control_tables

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
AS_OF = f"{NOW:%Y-%m-%dT%H:%M}"
BRANDS = ("ant", "bee")
CUSTOMERS = 300
SECRETS = {
    "FED_AUDIENCE_CATEGORY_KEY": "a category key that nobody else knows",
    "FED_AUDIENCE_STATE_KEY": "a state key that nobody else knows",
}
FEDERATION = """\
name: small
minimum_rows: 50
minimum_seeds: 20
sites:
  - {name: ant, project: ant}
  - {name: bee, project: bee}
models:
  - name: repurchase
    parameters: {n_estimators: 4, max_depth: 2}
audiences:
  - {name: top, model: repurchase, channel: email, share: 0.2, destinations: [files]}
destinations:
  files:
    type: file
    folder: delivered
"""
KEY = b"k" * 32
"""The category key under which the trained federation was trained."""
PURPOSES = ("profile", "train", "share_model", "activate:email")


@dataclass(frozen=True)
class SmallFederation:
    """A folder with federation.yml and one dbt project a brand; each test has its own copy."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "federation.yml"

    @property
    def settings(self) -> FederationSettings:
        return load_federation(self.config)

    def site(self, brand: str) -> Site:
        return site_of(next(one for one in self.settings.sites if one.name == brand))

    def execute(self, brand: str, sql: str) -> int:
        with self.site(brand).open() as warehouse:
            return warehouse.execute(sql)

    def value(self, brand: str, sql: str) -> object:
        with self.site(brand).open() as warehouse:
            found: object = warehouse.query(sql).column(0)[0].as_py()
            return found

    def requests(self) -> dict[str, object]:
        """Return the status of each brand's training request."""
        sql = "select status from fed_audience.training_requests"
        return {brand: self.value(brand, sql) for brand in BRANDS}

    def withdraw(self, customer: str, *purposes: str, at: datetime = NOW) -> None:
        """Let the person say no, and the brand hear it, at ``at``."""
        event = {
            "member_id": f"crm:{customer}",
            "subject_id": customer,
            "status": "withdrawn",
            "jurisdiction": "EU",
            "effective_at": at,
            "recorded_at": at,
            "time_trust": "server",
            "is_minor": False,
            "legal_basis": "consent",
        }
        rows = [{**event, "consent_event_id": f"w-{one}", "purpose": one} for one in purposes]
        with self.site(customer[:3]).open() as warehouse:
            ledger = Relation("main", "int_consent_ledger")
            warehouse.insert(ledger, pa.Table.from_pylist(rows))

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def small_federation_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    (folder / "federation.yml").write_text(FEDERATION)
    for number, brand in enumerate(BRANDS):
        project = folder / brand
        project.mkdir()
        (project / "dbt_project.yml").write_text("name: brand\nprofile: brand\n")
        (project / "profiles.yml").write_text(
            "brand:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: brand.duckdb}\n"
        )
        profile = Profile(path=project / "brand.duckdb")
        fill(with_control_tables(open_warehouse(profile, create=True)), brand, number)
    return folder


@pytest.fixture
def small_postgres_federation(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SmallFederation:
    """The same federation with both brands on PostgreSQL, each in a database of its own."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "on_postgres"
    folder.mkdir()
    (folder / "federation.yml").write_text(FEDERATION)
    databases = (postgres.emptied_database(), postgres.new_database())
    for number, (brand, database) in enumerate(zip(BRANDS, databases, strict=True)):
        monkeypatch.setenv("TEST_POSTGRES_PASSWORD", database.password.get_secret_value())
        project = folder / brand
        project.mkdir()
        (project / "dbt_project.yml").write_text("name: brand\nprofile: brand\n")
        (project / "profiles.yml").write_text(profiles_of(database))
        profile = Profile(type="postgres", postgres=database, schema="main")
        warehouse = open_warehouse(profile)
        warehouse.execute("create schema main")
        warehouse.execute("set search_path to main")
        fill(with_control_tables(warehouse), brand, number)
        warehouse.close()
    return SmallFederation(folder)


def profiles_of(database: PostgresTarget) -> str:
    """Return a profiles.yml that leads to ``database``, its password in the environment."""
    output = {
        "type": "postgres",
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": "{{ env_var('TEST_POSTGRES_PASSWORD') }}",
        "dbname": database.dbname,
        "schema": "main",
        "threads": 2,
    }
    return yaml.safe_dump({"brand": {"target": "dev", "outputs": {"dev": output}}})


@pytest.fixture
def small_federation(
    small_federation_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SmallFederation:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "federation"
    shutil.copytree(small_federation_template, folder)
    return SmallFederation(folder)


@pytest.fixture(scope="session")
def trained_template(
    small_federation_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small federation after a training, and after dbt built the same rows again."""
    folder = tmp_path_factory.mktemp("trained") / "federation"
    shutil.copytree(small_federation_template, folder)
    federation = SmallFederation(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        trained = train_model(
            federation.settings, federation.settings.models[0], as_of=NOW, category_key=KEY
        )
    assert trained.why == ("no training on record at ant",)
    for brand in BRANDS:
        federation.execute(brand, "update fed_training_repurchase set _fed_build_id = 'build2'")
        federation.execute(
            brand,
            "update fed_audience.training_requests set status = 'pending', build_id = 'build2',"
            " claimed_by = null, claimed_at = null",
        )
    return folder


@pytest.fixture
def trained(
    trained_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SmallFederation:
    """A copy of the trained federation, whose training is queued again."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "federation"
    shutil.copytree(trained_template, folder)
    return SmallFederation(folder)


def fill(warehouse: Warehouse, brand: str, number: int) -> None:
    """Create what the dbt package would: features, consent, contacts, a queued request."""
    ids = [f"{brand}{at:03}" for at in range(CUSTOMERS)]
    relations = ConsentRelations.of_schema()
    with warehouse.transaction():
        warehouse.execute("create table stg_cdp__customers (customer_id varchar)")
        warehouse.insert(relations.customers, pa.table({"customer_id": ids}))
        warehouse.execute(
            "create table jurisdiction_rules as select * from (values "
            + ", ".join(f"('EU', '{purpose}', 'opt_in', 730, false)" for purpose in PURPOSES)
            + ") as rules (jurisdiction, purpose, default_mode, ttl_days, minor_unknown_is_minor)"
        )
        create(warehouse, "int_consent_ledger", granted(ids))
        create(warehouse, "fed_training_repurchase", training_rows(ids, number))
        create(
            warehouse,
            "int_contact_details",
            pa.table(
                {
                    "customer_id": ids,
                    "email": [f"{customer}@example.org" for customer in ids],
                    "phone": pa.nulls(len(ids), pa.string()),
                    "is_suppressed": [False] * len(ids),
                    "in_holdout": [False] * len(ids),
                }
            ),
        )
        warehouse.execute(
            "create view fct_scoring_features as select customer_id, cutoff_at, f_spend, f_visits,"
            " f_channel from fed_training_repurchase"
        )
        warehouse.execute("create view fct_scores as select * from fed_audience.scores")
        spec = {"model": "repurchase", "task": "propensity", "partners": list(BRANDS)}
        request = {
            "request_id": f"r-{brand}",
            "model_name": "repurchase",
            "relation": "main.fed_training_repurchase",
            "spec": json.dumps(spec),
            "row_count": CUSTOMERS,
            "build_id": "build1",
            "as_of": NOW,
            "requested_at": NOW,
            "status": "pending",
        }
        warehouse.insert(
            control("training_requests"), pa.table({key: [value] for key, value in request.items()})
        )


def create(warehouse: Warehouse, name: str, rows: pa.Table) -> None:
    relation = control(name, "main")
    types = {
        "string": "varchar",
        "double": "double precision",
        "bool": "boolean",
        "int64": "bigint",
    }
    columns = ", ".join(
        f"{field.name} {types.get(str(field.type), 'timestamp')}" for field in rows.schema
    )
    warehouse.execute(f"create table {relation.sql()} ({columns})")
    warehouse.insert(relation, rows)


def granted(ids: list[str]) -> pa.Table:
    """Everyone grants every purpose two hours before NOW; the last five never grant `train`."""
    at = NOW - timedelta(hours=2)
    rows = [
        (customer, purpose)
        for position, customer in enumerate(ids)
        for purpose in PURPOSES
        if purpose != "train" or position < len(ids) - 5
    ]
    people, purposes = (list(part) for part in zip(*rows, strict=True))
    return pa.table(
        {
            "consent_event_id": [f"e{number}" for number in range(len(rows))],
            "member_id": [f"crm:{person}" for person in people],
            "subject_id": people,
            "purpose": purposes,
            "status": ["granted"] * len(rows),
            "jurisdiction": ["EU"] * len(rows),
            "effective_at": pa.array([at] * len(rows), pa.timestamp("us")),
            "recorded_at": pa.array([at] * len(rows), pa.timestamp("us")),
            "expires_at": pa.nulls(len(rows), pa.timestamp("us")),
            "time_trust": ["server"] * len(rows),
            "is_minor": [False] * len(rows),
            "legal_basis": ["consent"] * len(rows),
        }
    )


def training_rows(ids: list[str], seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    spend = random.gamma(2.0, 30.0, len(ids))
    bought = random.random(len(ids)) < 1 / (1 + np.exp(-(spend - 60) / 20))
    return pa.table(
        {
            "customer_id": ids,
            "cutoff_at": pa.array([NOW] * len(ids), pa.timestamp("us")),
            "f_spend": pa.array(spend),
            "f_visits": pa.array(random.poisson(4, len(ids)).astype(float)),
            "f_channel": pa.array(random.choice(["email", "paid"], len(ids)).tolist()),
            "label": pa.array(bought.astype(np.int64)),
            "_fed_build_id": ["build1"] * len(ids),
        }
    )
