"""Parse and build the package with any dbt: `python -m tests.dbt_package.with_dbt EXECUTABLE`.

Parsing must give no deprecation; then a small brand is built with all its data tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from fed_audience.warehouse.dbt import package_path
from tests.dbt_package.conftest import AS_OF, copy_project, sql

_NODES = 60
"""At least so many models, seeds and tests are built."""

STRICT = ("--warn-error-options", json.dumps({"error": ["Deprecations"]}))


def brand_in(folder: Path) -> Path:
    """Make the small brand's project and its raw tables in ``folder``; return the project."""
    warehouse, project = folder / "fashion.duckdb", folder / "project"
    values = {
        "brand": "fashion",
        "partners": "[grocery, travel]",
        "package": str(package_path()),
        "warehouse": str(warehouse),
    }
    copy_project(project, values)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(sql("raw_world"))
    return project


def dbt(executable: str, project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run one command in ``project``, with deprecations as errors."""
    variables = ("--vars", json.dumps({"fed_audience__as_of": AS_OF}))
    quiet = {"DO_NOT_TRACK": "1", "DBT_PROFILES_DIR": str(project)}
    return subprocess.run(
        [executable, "--no-use-colors", *STRICT, *args, *variables],
        cwd=project,
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
    )


def main(executable: str) -> None:
    """Exit with dbt's own words where it is not content."""
    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        project = brand_in(Path(folder))
        for command in (("parse", "--no-partial-parse"), ("build",)):
            done = dbt(executable, project, *command)
            if done.returncode:
                sys.exit(f"{executable} {command[0]}:\n{done.stdout[-5000:]}{done.stderr}")
        results = json.loads((project / "target" / "run_results.json").read_text())
        statuses = {one["status"] for one in results["results"]}
        # An exposure is a no-op.
        if not statuses <= {"success", "pass", "no-op"} or len(results["results"]) < _NODES:
            sys.exit(f"{len(results['results'])} nodes, {', '.join(sorted(statuses))}")
        with duckdb.connect(str(Path(folder) / "fashion.duckdb"), read_only=True) as connection:
            rows = connection.execute("select count(*) from fed_training_repurchase").fetchall()
            queued = connection.execute(
                "select count(*) from fed_audience.training_requests"
            ).fetchall()
        if (rows, queued) != ([(5,)], [(3,)]):
            sys.exit(f"{rows} training rows instead of 5, {queued} requests instead of 3")
        version = results["metadata"]["dbt_version"]
        print(f"dbt {version}: {len(results['results'])} nodes, no deprecation")  # noqa: T201 - a program


if __name__ == "__main__":
    main(sys.argv[1])
