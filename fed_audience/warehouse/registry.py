"""The models that a brand holds: every version with its trees, one of them active."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import pyarrow as pa

from fed_audience.errors import ModelFormatError, WarehouseError
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.gbdt.models.reader import read_model
from fed_audience.warehouse.control import SCHEMA, control

if TYPE_CHECKING:
    from datetime import datetime

    from fed_audience.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One version of an audience model.

    ``model_text`` is LightGBM's format, ``encoder`` the JSON of its Encoder, ``metrics`` JSON; of
    a model trained with noise it says under `privacy` what was promised.
    ``is_rank``: the score only orders people, as the brand had no labels of its own.
    ``trained_on``: hashes (JSON) of what it was made of, by which another training is spared.
    """

    model_name: str
    model_version: str
    model_text: str
    encoder: str
    created_at: datetime
    run_id: str | None = None
    metrics: str | None = None
    trained_on: str | None = None
    is_rank: bool = False

    @property
    def sha256(self) -> str:
        """Hash of the model text, by which partners compare what they hold."""
        return hashlib.sha256(self.model_text.encode()).hexdigest()


def register_model(warehouse: Warehouse, model: RegisteredModel, *, schema: str = SCHEMA) -> None:
    """Keep ``model`` and make it the active version, in one transaction.

    The same version with the same text again is the result of another run: it is kept once, under
    that run. Raises
    ModelFormatError when text and encoder cannot be scored together, WarehouseError when the
    version exists with another text.
    """
    names = read_model(model.model_text).features
    encoder = Encoder.from_json(model.encoder)
    if names != tuple(feature.name for feature in encoder.features):
        raise ModelFormatError(
            "model text and encoder name different features",
            value=f"{len(names)} and {len(encoder.features)} features",
            fix="register both from the same run",
        )
    table = control("model_registry", schema)
    with warehouse.transaction():
        held = warehouse.query(
            f"select model_sha256 from {table.sql()} where model_name = ? and model_version = ?",
            [model.model_name, model.model_version],
        ).to_pylist()
        if held and held[0]["model_sha256"] != model.sha256:
            raise WarehouseError(
                f"model {model.model_name} already has another version {model.model_version}",
                looked=table.sql(),
                fix="register it under a version of its own",
            )
        if held:
            warehouse.execute(
                f"update {table.sql()} set run_id = ?, trained_on = ?"
                " where model_name = ? and model_version = ?",
                [model.run_id, model.trained_on, model.model_name, model.model_version],
            )
        else:
            row = {field.name: getattr(model, field.name) for field in fields(model)}
            row |= {"is_active": False, "model_sha256": model.sha256}
            warehouse.insert(table, pa.table({name: [value] for name, value in row.items()}))
        activate_model(warehouse, model.model_name, model.model_version, schema=schema)


def activate_model(
    warehouse: Warehouse, model_name: str, model_version: str, *, schema: str = SCHEMA
) -> None:
    """Make one version the active one; raises WarehouseError when there is no such version."""
    table = control("model_registry", schema).sql()
    with warehouse.transaction():
        held = warehouse.query(
            f"select model_version from {table} where model_name = ? and model_version = ?",
            [model_name, model_version],
        )
        if not held.num_rows:
            raise WarehouseError(
                f"model {model_name} has no such version",
                value=model_version,
                looked=table,
                fix="choose one of the versions listed there",
            )
        # One statement: one is always active, even where an engine has no transactions.
        warehouse.execute(
            f"update {table} set is_active = (model_version = ?) where model_name = ?",
            [model_version, model_name],
        )


def forget_inputs(warehouse: Warehouse, model_name: str, *, schema: str = SCHEMA) -> None:
    """Forget what the active version was made of, so that the next training is not spared."""
    warehouse.execute(
        f"update {control('model_registry', schema).sql()} set trained_on = null"
        " where model_name = ? and is_active",
        [model_name],
    )


@dataclass(frozen=True, slots=True)
class ActiveVersion:
    """Which version of a model is active, and where it came from; no text."""

    model_version: str
    run_id: str | None
    created_at: datetime
    trained_on: str | None


def active_version(
    warehouse: Warehouse, model_name: str, *, schema: str = SCHEMA
) -> ActiveVersion | None:
    """Return the active version of a model; None where there is none."""
    rows = warehouse.query(
        "select model_version, run_id, created_at, trained_on"
        f" from {control('model_registry', schema).sql()} where model_name = ? and is_active",
        [model_name],
    ).to_pylist()
    return ActiveVersion(**rows[0]) if rows else None


def text_of(
    warehouse: Warehouse, model_name: str, model_version: str, *, schema: str = SCHEMA
) -> str | None:
    """Return the text of one version of a model; None where the brand holds no such version."""
    found = warehouse.query(
        f"select model_text from {control('model_registry', schema).sql()}"
        " where model_name = ? and model_version = ?",
        [model_name, model_version],
    ).to_pylist()
    return found[0]["model_text"] if found else None


def active_run(warehouse: Warehouse, model_name: str, *, schema: str = SCHEMA) -> str | None:
    """Return the run that the active version came from; None where it or its run is unknown."""
    found = active_version(warehouse, model_name, schema=schema)
    return None if found is None else found.run_id


def active_model(warehouse: Warehouse, model_name: str, *, schema: str = SCHEMA) -> RegisteredModel:
    """Return the active version; WarehouseError without one, ModelFormatError if it was altered."""
    table = control("model_registry", schema).sql()
    columns = ", ".join(field.name for field in fields(RegisteredModel))
    rows = warehouse.query(
        f"select {columns}, model_sha256 from {table} where model_name = ? and is_active",
        [model_name],
    ).to_pylist()
    if not rows:
        known = warehouse.query(f"select distinct model_name from {table} order by 1").to_pylist()
        raise WarehouseError(
            "no active model of that name",
            value=model_name,
            limit=", ".join(row["model_name"] for row in known) or "none trained yet",
            looked=table,
            fix="train it first, or activate one of its versions",
        )
    sha256 = rows[0].pop("model_sha256")
    model = RegisteredModel(**rows[0])
    if model.sha256 != sha256:
        raise ModelFormatError(
            f"the text of model {model_name} version {model.model_version} was altered",
            looked=table,
            fix="register it again from the run that trained it",
        )
    return model
