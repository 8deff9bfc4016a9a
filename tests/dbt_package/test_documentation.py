"""What a brand's analysts read in dbt docs: every column, and who uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Brand, Stage


@pytest.fixture(scope="session")
def manifest(brand: Brand, built: Stage) -> dict[str, Any]:
    text = (brand.project / "target" / "manifest.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def test_every_column_of_every_model_is_described(manifest: dict[str, Any], built: Stage) -> None:
    models = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] in {"model", "seed"} and node["package_name"] == "fed_audience"
    ]
    assert len(models) == 33
    for model in models:
        described = {name for name, column in model["columns"].items() if column["description"]}
        assert described == built.columns(model["name"]).keys(), model["name"]
        assert model["description"], model["name"]


def test_marts_keep_a_contract(manifest: dict[str, Any]) -> None:
    marts = {
        node["name"]: node["config"]["contract"]["enforced"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        and node["package_name"] == "fed_audience"
        and node["name"].startswith(("fct_", "fed_"))
    }
    assert len(marts) == 7
    assert all(marts.values())


def test_audiences_and_training_are_exposed_with_an_owner(manifest: dict[str, Any]) -> None:
    exposures = {exposure["name"]: exposure for exposure in manifest["exposures"].values()}
    audiences, trainings = {"audience_repurchase", "audience_premium"}, {"repurchase", "high_value"}
    assert exposures.keys() == audiences | {f"federated_{model}" for model in trainings}
    assert all(exposure["owner"]["email"] for exposure in exposures.values())
    for audience in audiences:
        assert exposures[audience]["config"]["meta"]["fed_audience"].keys() == {
            "destination",
            "model",
            "purpose",
            "legal_basis",
        }
