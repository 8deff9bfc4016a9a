"""The manifest of a dbt project, read into typed specs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fed_audience.errors import ConfigError, DbtError
from fed_audience.warehouse.manifest import ModelSpec, TrainingModel, parse_spec, read_manifest
from fed_audience.warehouse.protocol import Relation

PROPENSITY: dict[str, Any] = {"model": "repurchase", "task": "propensity"}
SEEDS: dict[str, Any] = {"model": "premium", "task": "lookalike", "mode": "seed_brand"}


def node(name: str, spec: object, **changes: object) -> dict[str, object]:
    return {
        "resource_type": "model",
        "name": name,
        "database": "brand",
        "schema": "main",
        "alias": name,
        "original_file_path": f"models/{name}.sql",
        "patch_path": "shop://models/_training.yml",
        "config": {"meta": {"fed_audience": spec}},
    } | changes


def project(folder: Path, *nodes: dict[str, object]) -> Path:
    (folder / "target").mkdir()
    manifest = {"nodes": {f"model.shop.{entry['name']}": entry for entry in nodes}}
    (folder / "target" / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_only_models_that_ask_for_training_are_returned_sorted(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        node("fed_training_repurchase", PROPENSITY, alias="training"),
        node("orders", {}, config={"meta": {}}),
        node("plain", {}, config={}),
        node("a_test", PROPENSITY, resource_type="test"),
        node("seeds", {**SEEDS, "seed_brand": "fashion"}),
    )
    assert read_manifest(folder) == (
        TrainingModel(
            ModelSpec(model="premium", task="lookalike", mode="seed_brand", seed_brand="fashion"),
            "seeds",
            Relation("main", "seeds", "brand"),
            "models/_training.yml",
        ),
        TrainingModel(
            ModelSpec(model="repurchase", task="propensity"),
            "fed_training_repurchase",
            Relation("main", "training", "brand"),
            "models/_training.yml",
        ),
    )


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    spec = read_manifest(project(tmp_path, node("m", PROPENSITY)))[0].spec
    assert (spec.label, spec.entity, spec.cutoff, spec.purpose) == (
        "label",
        "customer_id",
        "cutoff_at",
        "train",
    )
    assert (spec.partners, spec.cadence_days, spec.exclude_features) == ((), 0, ())


def test_lists_and_numbers_out_of_variables_are_read(tmp_path: Path) -> None:
    spec = {
        **PROPENSITY,
        "partners": "['grocery', 'travel']",
        "cadence_days": "7",
        "exclude_features": ["f_country"],
    }
    read = read_manifest(project(tmp_path, node("m", spec)))[0].spec
    assert read.partners == ("grocery", "travel")
    assert read.cadence_days == 7
    assert read.exclude_features == ("f_country",)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({**PROPENSITY, "lable": "y"}, "unknown key 'lable'.*did you mean 'label'"),
        ({"task": "propensity"}, "model: Field required"),
        ({**PROPENSITY, "task": "regression"}, "task: .*'propensity'"),
        ({**PROPENSITY, "model": "Re purchase"}, "model: "),
        ({**PROPENSITY, "cadence_days": -1}, "cadence_days: "),
        ({**PROPENSITY, "purpose": "profile"}, "purpose: "),
        ({**PROPENSITY, "mode": "seed_rule"}, "are for task lookalike"),
        (SEEDS, "mode seed_brand needs seed_brand"),
        (
            {**SEEDS, "mode": "seed_rule", "seed_brand": "fashion"},
            "seed_brand is given, but mode is not seed_brand",
        ),
        ("repurchase", "must be a mapping"),
    ],
)
def test_a_wrong_spec_names_the_fault_the_model_and_its_file(
    tmp_path: Path, spec: object, says: str
) -> None:
    with pytest.raises(ConfigError, match=f"{says}.*model m in models/_training.yml"):
        read_manifest(project(tmp_path, node("m", spec)))


def test_a_model_without_yaml_is_named_by_its_sql(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"models/m\.sql"):
        read_manifest(project(tmp_path, node("m", {}, patch_path=None)))


def test_two_tables_for_one_audience_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"two dbt models train 'repurchase'.*one, two"):
        read_manifest(project(tmp_path, node("one", PROPENSITY), node("two", PROPENSITY)))


def test_without_a_manifest_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(DbtError, match=r"target/manifest\.json.*dbt parse"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"nodes": 3}', "{}"])
def test_a_broken_manifest_is_one_line(tmp_path: Path, text: str) -> None:
    folder = project(tmp_path)
    (folder / "target" / "manifest.json").write_text(text)
    with pytest.raises(DbtError, match="cannot be read"):
        read_manifest(folder)


def test_the_spec_of_a_request_is_read_alike() -> None:
    text = json.dumps({**PROPENSITY, "partners": [], "cadence_days": 7})
    assert parse_spec(text, source="request r1").cadence_days == 7
    with pytest.raises(ConfigError, match=r"not JSON.*request r1"):
        parse_spec("{", source="request r1")
