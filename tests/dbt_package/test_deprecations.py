"""The package uses nothing that dbt is about to drop; `make test-older-dbt` asks dbt 1.10, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience.warehouse.dbt import dbt_executable
from tests.dbt_package.with_dbt import brand_in, dbt

pytestmark = [pytest.mark.dbt, pytest.mark.xdist_group("dbt_package")]

OLD = """models:
  - name: fed_training_premium
    tests: [{accepted_values: {column_name: label, values: [0, 1]}}]
"""


def test_it_parses_without_deprecations_and_a_deprecation_is_noticed(tmp_path: Path) -> None:
    project = brand_in(tmp_path)
    found = dbt(dbt_executable(), project, "parse")
    assert found.returncode == 0, found.stdout
    (project / "models" / "training" / "_training.yml").write_text(OLD)
    found = dbt(dbt_executable(), project, "parse")
    assert found.returncode != 0
    assert "MissingArgumentsPropertyInGenericTestDeprecation" in found.stdout
