"""Opens the warehouse that a profile leads to, whatever its engine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.engine import PATIENCE_S

_CLOUD: Final = {
    "snowflake": "SnowflakeWarehouse",
    "bigquery": "BigQueryWarehouse",
    "databricks": "DatabricksWarehouse",
    "spark": "SparkWarehouse",
}
"""Engines whose drivers are optional -> the class, in the module of that name."""

if TYPE_CHECKING:
    from fed_audience.warehouse.profiles import Profile
    from fed_audience.warehouse.protocol import Warehouse


def open_warehouse(
    profile: Profile, *, create: bool = False, patience_s: float = PATIENCE_S
) -> Warehouse:
    """Open the warehouse that ``profile`` leads to.

    ``create`` makes a missing DuckDB file; without it a missing file is a WarehouseError, so
    that a mistyped path does not become an empty warehouse. Raises ConfigError for an engine that
    is unknown or whose drivers are not installed, WarehouseError when it cannot be reached. That a
    DuckDB file is locked or is none, the first statement says.
    """
    if profile.type == "duckdb":
        return DuckDbWarehouse(
            profile.path, settings=profile.settings, create=create, patience_s=patience_s
        )
    if profile.postgres is not None:
        try:
            from fed_audience.warehouse.postgres.warehouse import (  # noqa: PLC0415 - optional
                PostgresWarehouse,
            )
        except ImportError as error:
            raise _no_drivers("PostgreSQL", "postgres", error, profile) from error
        return PostgresWarehouse(profile.postgres, patience_s=patience_s)
    if profile.cloud is not None:
        return _of_the_cloud(profile.type, profile, patience_s)
    raise ConfigError(
        "this engine is not supported",
        value=profile.type,
        limit=", ".join(("duckdb", "postgres", *_CLOUD)),
        looked=profile.source,
        fix="use a target whose type is one of these",
    )


def _of_the_cloud(engine: str, profile: Profile, patience_s: float) -> Warehouse:
    try:
        module = import_module(f"fed_audience.warehouse.{engine}")
    except ImportError as error:
        raise _no_drivers(
            _CLOUD[engine].removesuffix("Warehouse"), engine, error, profile
        ) from error
    warehouse: Warehouse = getattr(module, _CLOUD[engine])(profile.cloud, patience_s=patience_s)
    return warehouse


def _no_drivers(name: str, extra: str, error: ImportError, profile: Profile) -> ConfigError:
    return ConfigError(
        f"the drivers of {name} are not installed",
        value=error.name,
        looked=profile.source,
        fix=f"pip install 'fed-audience[{extra}]'",
    )
