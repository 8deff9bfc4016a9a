"""The package's own unit tests: green as it is, red as soon as a rule is bent."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from fed_audience.errors import DbtError
from fed_audience.warehouse.dbt import package_path, run_dbt

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dbt_package.conftest import Stage

ORDER = "macros/consent/consent_as_of.sql"
OFFSET = "macros/staging/staged.sql"
CUTOFF = "macros/features/known_at_cutoff.sql"

# Three bends at once, as dbt takes seconds to start; each must be noticed by tests of its own.
BENDS = {
    OFFSET: ("when regexp_matches(", "when false and regexp_matches("),
    ORDER: ("    counts_at desc,", "    effective_at desc,"),
    CUTOFF: ("{{ occurred }} < ", "{{ occurred }} <= "),
}
NOTICED_BY = {
    # An offset is dropped.
    "consent_utc",
    # Latest event wins.
    "consent_order_client_clock",
    "consent_order_server_clock",
    # The cutoff itself counts. Mail is guarded twice: what was sent on it was not delivered before.
    "orders_before_the_cutoff",
    "baskets_before_the_cutoff",
    "sessions_before_the_cutoff",
    "events_before_the_cutoff",
}


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, built: Stage) -> Path:
    """A copy of the package as a project of its own, on the brand's built warehouse."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(
        package_path(),
        folder / "project",
        ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"),
    )
    shutil.copy(built.database, folder / "fashion.duckdb")
    profile = {
        "target": "demo",
        "outputs": {
            "demo": {"type": "duckdb", "path": str(folder / "fashion.duckdb"), "threads": 2}
        },
    }
    (folder / "project" / "profiles.yml").write_text(json.dumps({"fed_audience": profile}))
    return folder / "project"


def unit_tests(project: Path) -> dict[str, str]:
    try:
        run_dbt(project, ["test", "--select", "test_type:unit"], profiles_dir=project)
    except DbtError as error:
        if "unit_test" not in str(error):
            raise
    results = json.loads((project / "target" / "run_results.json").read_text())["results"]
    return {
        node["unique_id"].split(".")[-1]: node["status"]
        for node in results
        if node["unique_id"].startswith("unit_test.")
    }


def test_every_rule_holds(package: Path) -> None:
    statuses = unit_tests(package)
    assert set(statuses.values()) == {"pass"}
    assert {name for name in statuses if name.startswith("consent_")} == {
        "consent_known",
        "consent_order_client_clock",
        "consent_order_server_clock",
        "consent_tie",
        "consent_expiry",
        "consent_regimes",
        "consent_minors",
        "consent_identity_merge",
        "consent_purpose_limitation",
        "consent_utc",
    }


def test_latest_event_wins_a_dropped_offset_and_a_soft_cutoff_fail_their_tests(
    package: Path,
) -> None:
    bent = package.parent / "bent"
    shutil.copytree(package, bent)
    for path, (before, after) in BENDS.items():
        original = (bent / path).read_text(encoding="utf-8")
        assert original.count(before) == 1
        (bent / path).write_text(original.replace(before, after), encoding="utf-8")
    failed = {name for name, status in unit_tests(bent).items() if status != "pass"}
    assert failed == NOTICED_BY


def test_no_python_package_hides_in_the_dbt_project() -> None:
    # dbt imports every top-level module named dbt_* that it finds.
    assert not list(package_path().rglob("__init__.py"))
