"""One brand, built a few times in a row; every test reads a copy of the warehouse at one stage.

dbt takes seconds to start, so stages are built once a session and the tests only look.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from fed_audience.errors import DbtError
from fed_audience.warehouse.dbt import package_path, run_dbt
from tests.dbt_package.mapped_brand import mapped, mapped_brand, mapped_later, mapped_refused
from tests.dbt_package.postgres_brand import (
    make_postgres_brand,
    on_postgres,
    package_on_postgres,
)

__all__ = [
    "make_postgres_brand",
    "mapped",
    "mapped_brand",
    "mapped_later",
    "mapped_refused",
    "on_postgres",
    "package_on_postgres",
]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AS_OF = "2025-10-01 00:00:00"
HERE = Path(__file__).parent
TEMPLATE = HERE.parents[1] / "fed_audience" / "demo" / "project"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "make_brand" in item.fixturenames:
            item.add_marker(pytest.mark.dbt)
            item.add_marker(pytest.mark.xdist_group("dbt_package"))


@dataclass(frozen=True)
class Stage:
    """The warehouse after one dbt command, and what dbt said."""

    database: Path
    lines: tuple[str, ...]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def record(self, sql: str) -> dict[str, Any]:
        """Return the only row of a query by column name."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            cursor = connection.execute(sql)
            (row,) = cursor.fetchall()
            return dict(zip([column[0] for column in cursor.description], row, strict=True))

    def columns(self, relation: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows(f"describe {relation}")}

    def execute(self, sql: str) -> None:
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(sql)

    def withdraw(self, grant: str) -> None:
        """Append the withdrawal of a grant, hours before as_of."""
        self.execute(
            "insert into raw.consent_events select * replace ('late' as consent_event_id, "
            "'withdrawn' as status, '2025-09-30' as effective_at, '2025-09-30' as recorded_at) "
            f"from raw.consent_events where consent_event_id = '{grant}'"
        )

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)


@dataclass(frozen=True)
class Brand:
    """A brand's dbt project with its warehouse."""

    project: Path
    warehouse: Path

    def execute(self, sql: str) -> None:
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute(sql)

    def dbt(self, *args: str, **variables: object) -> Stage:
        lines: list[str] = []
        run_dbt(
            self.project,
            args,
            profiles_dir=self.project,
            vars={"fed_audience__as_of": AS_OF, **variables},
            on_line=lines.append,
        )
        return self.now(tuple(lines))

    def now(self, lines: tuple[str, ...] = ()) -> Stage:
        """Copy the warehouse. Views name the database by its file's name, so the copy keeps it."""
        folder = Path(tempfile.mkdtemp(dir=self.project.parent))
        return Stage(Path(shutil.copy(self.warehouse, folder)), lines)


def sql(name: str) -> str:
    return (HERE / f"{name}.sql").read_text(encoding="utf-8")


def copy_project(folder: Path, values: Mapping[str, str]) -> None:
    """Copy the template of a brand's project, filled in, with the package linked into it."""
    for source in TEMPLATE.rglob("*"):
        if source.is_file():
            to = folder / source.relative_to(TEMPLATE)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(Template(source.read_text(encoding="utf-8")).substitute(values))
    (folder / "dbt_packages").mkdir()
    (folder / "dbt_packages" / "fed_audience").symlink_to(package_path(), target_is_directory=True)


@pytest.fixture(scope="session")
def make_brand(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Brand]:
    def make(name: str, world: tuple[str, ...] = ("raw_world",)) -> Brand:
        folder = tmp_path_factory.mktemp(name)
        brand = Brand(folder / "project", folder / f"{name}.duckdb")
        copy_project(
            brand.project,
            {
                "brand": name,
                "partners": "[grocery, travel]",
                "package": str(package_path()),
                "warehouse": str(brand.warehouse),
            },
        )
        for part in world:
            brand.execute(sql(part))
        return brand

    return make


@pytest.fixture(scope="session")
def brand(make_brand: Callable[..., Brand]) -> Brand:
    return make_brand("fashion")


@dataclass(frozen=True)
class Stages:
    """The brand after each of the commands that a week may bring, in this order."""

    built: Stage
    empty: Stage
    rebuilt_with_future: Stage
    trained: Stage
    a_week_later: Stage
    other_target: Stage


@pytest.fixture(scope="session")
def stages(brand: Brand) -> Stages:
    training = ("run", "--select", "fed_training_repurchase")
    empty = brand.dbt("build", "--empty", "--exclude-resource-type", "test")
    built = brand.dbt("build")
    brand.execute(sql("raw_future"))
    rebuilt = brand.dbt("build", "--selector", "fed_train")
    brand.execute("update fed_audience.training_requests set status = 'succeeded'")
    trained = brand.dbt(*training)
    a_week_later = brand.dbt(*training, fed_audience__as_of="2025-10-08 00:00:00")
    brand.execute("delete from fed_audience.training_requests")
    other_target = brand.dbt(*training, fed_audience__targets=["prod"])
    return Stages(built, empty, rebuilt, trained, a_week_later, other_target)


@pytest.fixture(scope="session")
def built(stages: Stages) -> Stage:
    return stages.built


@pytest.fixture
def own_copy(built: Stage, tmp_path: Path) -> Stage:
    """The built warehouse, for a test that writes into it. Views name the database by its file."""
    copy = tmp_path / "fashion.duckdb"
    shutil.copy(built.database, copy)
    return Stage(copy, built.lines)


OWN = """{{ config(
    materialized='table', tags=['%(tag)s'], meta={'fed_audience': %(meta)s},
    post_hook='{{ fed_audience.request_training() }}'
) }}
with own as (
    select
        customer_id as who,
        cast('2025-08-30' as timestamp) as cut_at,
        %(feature)s,
        case when customer_id < 'c' then %(positive)s else 0 end as bought
    from {{ ref('fed_audience', 'stg_cdp__customers') }}
    %(more)s
)
{{ fed_audience.training_set(%(relation)s, entity='who', cutoff='cut_at', label='bought') }}
"""
META = (
    "{'model': 'own', 'task': 'propensity', 'label': 'bought', 'entity': 'who', 'cutoff': 'cut_at',"
    " 'features_as_of': 'seen_at'}"
)
FINE = {
    "tag": "fed_train",
    "meta": META,
    "feature": "length(country) as f_length, cast('2025-08-30' as timestamp) as seen_at",
    "positive": "1",
    "more": "",
    "relation": "'own'",
}
# Columns that a statement takes in quotes alone: reserved words, and of mixed case.
QUOTED = {
    "quoted_features.sql": """
select
    customer_id as "Order",
    cast('2025-08-30' as timestamp) as "group",
    length(country) as f_length,
    case when customer_id < 'c' then 1 else 0 end as "Limit"
from {{ ref('fed_audience', 'stg_cdp__customers') }}
""",
    "quoted.sql": """{{ config(
    materialized='table', post_hook='{{ fed_audience.request_training() }}',
    meta={'fed_audience': {
        'model': 'quoted', 'task': 'propensity',
        'entity': 'Order', 'cutoff': 'group', 'label': 'Limit'
    }}
) }}
{{ fed_audience.training_set(
    ref('quoted_features'), entity='Order', cutoff='group', label='Limit'
) }}
""",
    "_quoted.yml": """models:
  - name: quoted
    data_tests:
      - fed_audience.fed_consented_to:
          arguments: {purposes: [train, share_model], entity: Order, as_of_column: _fed_as_of}
""",
}
REFUSED: dict[str, dict[str, str]] = {
    "twice": {"more": "cross join range(2)"},
    "label_of_two": {"positive": "2"},
    "with_email": {"feature": "email"},
    "on_customers": {"relation": "ref('fed_audience', 'stg_cdp__customers')"},
    "on_orders": {"relation": "ref('fed_audience', 'stg_cdp__orders')"},
    "guessing": {"meta": META.replace("propensity", "guess")},
    "nameless": {"meta": META.replace("'model'", "'title'")},
    "for_ads": {"meta": META.replace("{", "{'purpose': 'activate:ads', ")},
    "seen_later": {
        "feature": "1 as f_one, cast('2025-08-30 00:00:01' as timestamp) as seen_at",
    },
    "opened_later": {
        "meta": META.replace("'seen_at'", "{'f_length': 'seen_at'}"),
        "feature": "length(country) as f_length, cast('2025-08-31' as date) as seen_at",
    },
    "never_seen": {"feature": "length(country) as f_length, cast(null as timestamp) as seen_at"},
    "a_date_itself": {
        "meta": META.replace(", 'features_as_of': 'seen_at'", ""),
        "feature": "timestamptz '2025-08-30 01:00:00+00' as f_last_opened",
    },
    "undated": {"meta": META.replace("seen_at", "computed")},
    "unlabelled": {"meta": META.replace("'label'", "'labels'")},
}


@pytest.fixture(scope="session")
def sparse_brand(make_brand: Callable[..., Brand]) -> Brand:
    """A brand that lacks tables and columns, with models of its own analysts."""
    brand = make_brand("grocery")
    brand.execute(sql("raw_sparse"))
    models = brand.project / "models"
    (models / "own_features.sql").write_text(OWN % FINE)
    for name, change in REFUSED.items():
        (models / f"{name}.sql").write_text(OWN % {**FINE, "tag": "refused", **change})
    for file, text in QUOTED.items():
        (models / file).write_text(text)
    return brand


# Without an identity map, its consent speaks of customers by their own id.
CRM_ONLY = {"fed_audience__using_identity_map": False}


@pytest.fixture(scope="session")
def sparse(sparse_brand: Brand) -> Stage:
    """The models of their choice, on a fresh warehouse that lacks the others."""
    chosen = ("own_features", "quoted", "fed_training_repurchase", "int_consent_current")
    return sparse_brand.dbt("build", "--select", *(f"+{model}" for model in chosen), **CRM_ONLY)


@pytest.fixture(scope="session")
def refused(sparse_brand: Brand, sparse: Stage) -> dict[str, str]:
    """What dbt said of each model that must not be built."""
    # Who has no use for a ready-made training does without it.
    without = {"fed_audience__using_high_value": False}
    with pytest.raises(DbtError):
        sparse_brand.dbt("run", "--select", "tag:refused", **CRM_ONLY, **without)
    results = json.loads((sparse_brand.project / "target" / "run_results.json").read_text())
    return {node["unique_id"].split(".")[-1]: node["message"] for node in results["results"]}
