"""One small set of generated brands, shared by the tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from fed_audience.demo.generate import DemoData, generate


@pytest.fixture(scope="session")
def brands(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    """Three generated brands with 6,000 customers in all."""
    return generate(tmp_path_factory.mktemp("brands"), customers=6_000)


@pytest.fixture(scope="session")
def raw(brands: DemoData) -> Iterator[duckdb.DuckDBPyConnection]:
    """Every raw table as view `<brand>.<table>`, every truth as `<brand>.truth`."""
    connection = duckdb.connect()
    for brand in brands.brands:
        connection.execute(f"create schema {brand.name}")
        for file in [*brand.raw.glob("*.parquet"), brand.truth]:
            name = "truth" if file == brand.truth else file.stem
            path = str(Path(file)).replace("'", "''")
            connection.execute(
                f"create view {brand.name}.{name} as select * from read_parquet('{path}')"
            )
    yield connection
    connection.close()
