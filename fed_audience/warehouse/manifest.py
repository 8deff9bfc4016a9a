"""What an analyst declares in dbt: models whose `config.meta.fed_audience` asks for training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError, DbtError
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, Field(min_length=1)]


class ModelSpec(StrictModel):
    """`meta.fed_audience` of a training table.

    ``model`` is the audience model that it trains. ``mode`` of a lookalike: 'seed_rule' (every
    brand labels by the same rule) or 'seed_brand' (only ``seed_brand`` has seeds).
    ``exclude_features`` are columns that stay out of training. ``partners`` are the brands that
    may take part; ``cadence_days`` is the least time between two trainings. ``features_as_of``: the
    column that says up to when a row's features look, or one for each feature; none may lie after
    the cutoff. ``allow_leaky``: features that may tell the label all but alone.
    """

    model: Name
    task: Literal["propensity", "lookalike", "demand", "multiclass"]
    mode: Literal["seed_rule", "seed_brand"] | None = None
    label: Column = "label"
    entity: Column = "customer_id"
    cutoff: Column = "cutoff_at"
    purpose: Literal["train"] = "train"
    partners: tuple[Name, ...] = ()
    cadence_days: Annotated[int, Field(ge=0)] = 0
    seed_brand: Name | None = None
    exclude_features: tuple[Column, ...] = ()
    features_as_of: Column | dict[Column, Column] | None = None
    allow_leaky: tuple[Column, ...] = ()

    @field_validator("partners", "exclude_features", "allow_leaky", mode="before")
    @classmethod
    def _list_from_text(cls, value: object) -> object:
        # dbt leaves a list that came out of a variable as text: "['grocery', 'travel']".
        return yaml.safe_load(value) if isinstance(value, str) and value.startswith("[") else value

    @model_validator(mode="after")
    def _mode_fits_task(self) -> Self:
        if self.task != "lookalike" and (self.mode or self.seed_brand):
            message = f"mode and seed_brand are for task lookalike, not {self.task}"
            raise ValueError(message)
        if self.mode == "seed_brand" and self.seed_brand is None:
            message = "mode seed_brand needs seed_brand, the brand whose customers are the seeds"
            raise ValueError(message)
        if self.mode != "seed_brand" and self.seed_brand is not None:
            message = "seed_brand is given, but mode is not seed_brand"
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True)
class TrainingModel:
    """One dbt model that asks for training: what it asks, and where dbt puts it."""

    spec: ModelSpec
    name: str
    relation: Relation
    file: str


def read_manifest(project_dir: Path) -> tuple[TrainingModel, ...]:
    """Return the training models of the project's last parse, sorted by audience model.

    Raises DbtError when there is no readable `target/manifest.json`, and ConfigError naming the
    model's file for an unknown key or value, or when two models train the same audience model.
    """
    found: dict[str, TrainingModel] = {}
    for node in read_document(project_dir)["nodes"].values():
        model = _training_model(node)
        if model is None:
            continue
        if (other := found.get(model.spec.model)) is not None:
            raise ConfigError(
                f"two dbt models train '{model.spec.model}'",
                value=f"{other.name}, {model.name}",
                looked=f"{other.file}, {model.file}",
                fix="give one of them another name under meta.fed_audience.model, or disable it",
            )
        found[model.spec.model] = model
    return tuple(found[name] for name in sorted(found))


def parse_spec(text: str, *, source: str) -> ModelSpec:
    """Read the JSON spec of a training request; raises ConfigError naming ``source``."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            "the spec of a training request is not JSON",
            value=f"character {error.pos}",
            looked=source,
            fix="build the training table again, so that dbt writes it",
        ) from error
    return ModelSpec.parse(data, source=source)


def read_document(project_dir: Path) -> Mapping[str, Any]:
    """Return the manifest of the project's last parse; raises DbtError as ``read_manifest``."""
    file = project_dir.resolve() / "target" / "manifest.json"
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        document["nodes"].values()
        return document  # noqa: TRY300 - the line above looks whether it is one
    except FileNotFoundError as error:
        raise DbtError(
            "dbt has not parsed this project yet", looked=str(file), fix="run `dbt parse` in it"
        ) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DbtError(
            "the manifest that dbt wrote cannot be read",
            value=type(error).__name__,
            looked=str(file),
            fix="delete it and run `dbt parse` again",
        ) from error


def _training_model(node: Mapping[str, Any]) -> TrainingModel | None:
    if node.get("resource_type") != "model":
        return None
    meta = (node.get("config") or {}).get("meta") or {}
    if "fed_audience" not in meta:
        return None
    file = str(node.get("patch_path") or node["original_file_path"]).split("://")[-1]
    source = f"config.meta.fed_audience of model {node['name']} in {file}"
    asked = meta["fed_audience"]
    if not isinstance(asked, dict):
        raise ConfigError(
            "meta.fed_audience must be a mapping of keys",
            value=type(asked).__name__,
            looked=source,
            fix="start it with 'model:' and 'task:'",
        )
    relation = Relation(node["schema"], node.get("alias") or node["name"], node.get("database"))
    return TrainingModel(ModelSpec.parse(asked, source=source), node["name"], relation, file)
