"""`dbt build` of the package on generated raw tables, in a DuckDB file."""

from __future__ import annotations

import json
import resource
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.measuring import Seconds
from fed_audience.warehouse.dbt import package_path, run_dbt
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile

AS_OF: Final = "2026-10-01 00:00:00"
RAW: Final = Path(__file__).with_name("raw_tables.sql")


def measure(
    customers: int = 1_000_000, events: int = 10_000_000, orders: int = 3_000_000
) -> list[dict[str, Any]]:
    """Build everything once; seconds of the whole command and the most that dbt had resident."""
    with tempfile.TemporaryDirectory(prefix="build-") as folder:
        project = brand_project(Path(folder))
        fill(Path(folder) / "brand.duckdb", customers, events, orders)
        began = Seconds.here()
        done = run_dbt(
            project,
            ["build", "--exclude-resource-type", "unit_test"],
            profiles_dir=project,
            vars={"fed_audience__as_of": AS_OF},
        )
        spent = Seconds.here().since(began)
        slowest = max(done.nodes, key=lambda node: node.seconds)
        return [
            {
                "customers": customers,
                "events": events,
                "orders": orders,
                "seconds": round(spent.wall, 1),
                "peak_gib": round(_peak_of_children() / 2**30, 2),
                "nodes": len(done.nodes),
                "slowest": slowest.unique_id.split(".")[2],
                "slowest_seconds": round(slowest.seconds, 1),
            }
        ]


def fill(path: Path, customers: int, events: int, orders: int) -> None:
    """Make the raw tables of a brand in a DuckDB file."""
    warehouse = open_warehouse(Profile(path=path), create=True)
    sizes = {"$customers": customers, "$events": events, "$orders": orders}
    text = RAW.read_text(encoding="utf-8")
    for name, size in sizes.items():
        text = text.replace(name, str(size))
    for statement in text.split(";"):
        if statement.strip():
            warehouse.execute(statement)
    warehouse.close()


def brand_project(folder: Path) -> Path:
    """Make a dbt project on `brand.duckdb` in ``folder``, with the package in it."""
    project = folder / "project"
    (project / "dbt_packages").mkdir(parents=True)
    (project / "dbt_packages" / "fed_audience").symlink_to(package_path())
    (project / "dbt_project.yml").write_text(
        "name: brand\nversion: 1.0.0\nconfig-version: 2\nprofile: brand\nmodel-paths: [models]\n"
    )
    (project / "packages.yml").write_text(f"packages:\n  - local: {package_path()}\n")
    # A program that looks for requests may hold the file while dbt opens it.
    retries = {"connect_attempts": 10, "retryable_exceptions": ["IOException"]}
    path = str(folder / "brand.duckdb")
    output = {"type": "duckdb", "path": path, "threads": 2, "retries": retries}
    profiles = {"brand": {"target": "demo", "outputs": {"demo": output}}}
    (project / "profiles.yml").write_text(json.dumps(profiles))
    return project


def _peak_of_children() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
