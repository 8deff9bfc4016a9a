"""A team with tables of its own follows the page, and only the page, on each engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile, load_profile
from fed_audience.warehouse.protocol import Relation, Warehouse
from tests.arrow_tables import create_table
from tests.docs.markdown import files, program, scripts

pytestmark = [pytest.mark.slow, pytest.mark.dbt]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "your-first-model.md"
CUSTOMERS = 2_000
NOW = datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@dataclass(frozen=True)
class Followed:
    """The folder in which a reader has followed the page, and what the commands said."""

    folder: Path
    said: str
    environment: dict[str, str]

    def rows(self, statement: str) -> list[dict[str, Any]]:
        warehouse = open_warehouse(load_profile(self.folder))
        found: list[dict[str, Any]] = warehouse.query(statement).to_pylist()
        warehouse.close()
        return found

    def run(self, script: str) -> str:
        done = subprocess.run(
            [program("bash"), "-euc", script],
            cwd=self.folder,
            env={
                **os.environ,
                **self.environment,
                "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("duckdb", marks=pytest.mark.xdist_group("first_model_duckdb")),
        pytest.param("postgres", marks=pytest.mark.xdist_group("first_model_postgres")),
    ],
)
def followed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Followed]:
    text, engine = PAGE.read_text(encoding="utf-8"), str(request.param)
    folder = tmp_path_factory.mktemp(engine)
    for path, content in files(text, engine).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    profile, environment = Profile(path=folder / "my_brand.duckdb"), {}
    if engine == "postgres":
        target = request.getfixturevalue("postgres").new_database()
        profile = Profile(type="postgres", postgres=target, schema="analytics")
        environment = {
            "MY_BRAND_HOST": target.host,
            "MY_BRAND_PORT": str(target.port),
            "MY_BRAND_USER": target.user,
            "MY_BRAND_PASSWORD": target.password.get_secret_value(),
            "MY_BRAND_DATABASE": target.dbname,
        }
    warehouse = open_warehouse(profile, create=True)
    fill(warehouse)
    warehouse.close()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        reader = Followed(folder, "", environment)
        yield Followed(folder, reader.run("\n".join(scripts(text))), environment)


def fill(warehouse: Warehouse) -> None:
    """Load the raw tables that the page begins with."""
    random = np.random.default_rng(4)
    ids = [f"c{number:04}" for number in range(CUSTOMERS)]
    keen = random.gamma(1.0, 1.0, CUSTOMERS)
    counts = random.poisson(3 * keen)
    buyers = np.repeat(np.arange(CUSTOMERS), counts)
    ages = random.random(len(buyers)) * 300 * 86_400
    orders = pa.table(
        {
            "order_id": [f"o{number}" for number in range(len(buyers))],
            "customer_id": [ids[buyer] for buyer in buyers],
            "ordered_at": pa.array(
                [NOW - timedelta(seconds=int(age)) for age in ages], pa.timestamp("us")
            ),
            "gross": pa.array(np.round(random.lognormal(3, 0.5, len(buyers)), 2)),
        }
    )
    countries = random.choice(["DE", "FR"], CUSTOMERS).tolist()
    customers = pa.table({"customer_id": ids, "country": countries})
    with warehouse.transaction():
        warehouse.execute("create schema raw")
        create_table(warehouse, Relation("raw", "customers"), customers)
        create_table(warehouse, Relation("raw", "orders"), orders)
        create_table(warehouse, Relation("raw", "consent_events"), consents(ids))


def consents(ids: list[str]) -> pa.Table:
    """Every tenth refuses to be profiled, every twentieth to improve models."""
    rows = [
        (f"{flag}-{customer}", customer, flag, "denied" if at % every == 0 else "granted")
        for flag, every in (("personalisation", 10), ("improve_models", 20))
        for at, customer in enumerate(ids)
    ]
    events, people, flags, statuses = (list(column) for column in zip(*rows, strict=True))
    times = pa.array([NOW - timedelta(hours=2)] * len(rows), pa.timestamp("us"))
    return pa.table(
        {
            "consent_event_id": events,
            "source_system": ["shop"] * len(rows),
            "source_id": people,
            "source_flag": flags,
            "status": statuses,
            "jurisdiction": ["EU"] * len(rows),
            "effective_at": times,
            "recorded_at": times,
            "time_trust": ["server"] * len(rows),
            "is_minor": [False] * len(rows),
        }
    )


def test_the_page_ends_with_a_model_and_scores_of_those_who_allow_it(followed: Followed) -> None:
    (request,) = followed.rows("select * from fed_audience.training_requests")
    assert (request["status"], request["row_count"]) == ("succeeded", CUSTOMERS * 19 // 20)
    (run,) = followed.rows("select * from fed_audience.training_runs")
    assert (run["status"], run["rows_used"]) == ("succeeded", CUSTOMERS * 19 // 20)
    schema = load_profile(followed.folder).schema_
    (scored,) = followed.rows(
        f"select count(*) as people, count(distinct score) as kinds, min(score) as low,"
        f" max(score) as high from {schema}.fct_scores where customer_id <> 'c0001'"
    )
    assert scored["people"] == CUSTOMERS * 9 // 10 - 1  # c0001 may have withdrawn by now
    assert scored["kinds"] > 50
    assert 0 < scored["low"] < 0.4
    assert 0.6 < scored["high"] < 1
    refused = (
        f"select s.customer_id from {schema}.fct_scores s join raw.consent_events e"
        " on e.source_id = s.customer_id where e.source_flag = 'personalisation'"
        " and e.status = 'denied'"
    )
    assert followed.rows(refused) == []
    assert "queued (1900 rows)" in followed.said
    assert "1,800 customers scored" in followed.said


def test_the_model_is_a_file_that_lightgbm_reads(followed: Followed) -> None:
    booster = lightgbm.Booster(model_file=str(followed.folder / "repeat_purchase.txt"))
    assert booster.feature_name() == ["f_country", "f_orders", "f_recency_days", "f_revenue"]


def test_a_withdrawal_takes_the_score_away_at_once_and_then_for_good(followed: Followed) -> None:
    schema = load_profile(followed.folder).schema_
    warehouse = open_warehouse(load_profile(followed.folder))
    warehouse.execute(
        "insert into raw.consent_events select 'withdrawn', source_system, source_id, source_flag,"
        " 'withdrawn', jurisdiction, effective_at + interval '1 minute',"
        " recorded_at + interval '1 minute', time_trust, is_minor from raw.consent_events"
        " where consent_event_id = 'personalisation-c0001'"
    )
    warehouse.close()
    read = f"select score from {schema}.fct_scores where customer_id = 'c0001'"
    assert followed.rows(read) == []
    followed.run(
        "export FED_AUDIENCE_PACKAGE=$PWD/dbt_packages/fed_audience\ndbt run -s fct_scores"
    )
    kept = "select customer_id from fed_audience.scores where customer_id = 'c0001'"
    assert followed.rows(kept) == []
    (others,) = followed.rows("select count(*) as people from fed_audience.scores")
    assert others["people"] == CUSTOMERS * 9 // 10 - 1
    said = followed.run(
        'export FED_AUDIENCE_CATEGORY_KEY="any key of the sites" FED_AUDIENCE_STATE_KEY='
        '"any key of the brand"\nfed-audience score repeat_purchase'
    )
    assert "1,799 customers scored" in said
    assert followed.rows(kept) == []
