from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fed_audience.errors import ConfigError
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.jobs.settings import FederationSettings, load_federation


def minimal(**changes: Any) -> dict[str, Any]:
    return {
        "name": "three_brands",
        "sites": [{"name": "a", "project": "a"}, {"name": "b", "project": "b"}],
        "models": [{"name": "repurchase"}],
        "audiences": [
            {"name": "top", "model": "repurchase", "channel": "email", "share": 0.1},
        ],
        **changes,
    }


def refuse(words: str, **changes: Any) -> None:
    with pytest.raises(ConfigError, match=words):
        FederationSettings.parse(minimal(**changes), source="federation.yml")


def test_project_folders_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "federation.yml"
    path.write_text(yaml.safe_dump(minimal()))
    assert load_federation(path).sites[0].project == tmp_path.resolve() / "a"


def test_the_purpose_of_an_audience_is_its_channel() -> None:
    settings = FederationSettings.parse(minimal(), source="federation.yml")
    assert settings.audience("top").purpose == "activate:email"


def test_names_must_resolve() -> None:
    top = minimal()["audiences"][0]
    refuse(
        "model 'repurchas' is not declared; did you mean 'repurchase'",
        audiences=[{**top, "model": "repurchas"}],
    )
    refuse("site 'c' is not declared", audiences=[{**top, "sites": ["c"]}])
    refuse(
        "destination 'crm' is not declared; declared: none",
        audiences=[{**top, "destinations": ["crm"]}],
    )
    refuse("two sites have the same name", sites=[{"name": "a", "project": "x"}] * 2)


def test_a_training_parameter_that_does_not_exist_names_the_nearest() -> None:
    refuse(
        "'learning_rte' does not exist; did you mean 'learning_rate'",
        models=[{"name": "repurchase", "parameters": {"learning_rte": 0.1}}],
    )


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"max_bin": 999}, "max_bin is out of range; value: 999; allowed: 3 to 255"),
        ({"boosting": "dart"}, "'boosting' is LightGBM's and not ours; value: 'dart'"),
        ({"linear_tree": True}, "leaves are constants; use more leaves"),
        ({"monotone_constraints": {"spend": 2}}, "'monotone_constraints: spend' is not 1, 0 or -1"),
        ({"n_estimators": "many"}, "'n_estimators' is not a number; value: 'many'"),
    ],
)
def test_a_training_parameter_that_cannot_be_used_is_refused(
    parameters: dict[str, Any], words: str
) -> None:
    refuse(words, models=[{"name": "repurchase", "parameters": parameters}])


def test_training_parameters_may_have_lightgbms_names() -> None:
    parameters = {
        "num_iterations": 7,
        "reg_lambda": 2,
        "objective": "mse",
        "monotone_constraints": {"spend": 1, "age": -1},
    }
    models = [{"name": "repurchase", "parameters": parameters}]
    settings = FederationSettings.parse(minimal(models=models), source="federation.yml")
    assert settings.model("repurchase").training_parameters("propensity") == TrainingParameters(
        n_estimators=7,
        lambda_l2=2.0,
        objective="regression",
        monotone_constraints=(("age", -1), ("spend", 1)),
    )


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_a_share_is_a_part_of_one(share: float) -> None:
    refuse("share", audiences=[{**minimal()["audiences"][0], "share": share}])


def test_a_floor_above_the_cap_is_refused() -> None:
    refuse(
        "floor_share 0.5 is above cap_share 0.2",
        audiences=[{**minimal()["audiences"][0], "floor_share": 0.5, "cap_share": 0.2}],
    )


def test_asking_for_an_unknown_audience_names_the_nearest() -> None:
    settings = FederationSettings.parse(minimal(), source="federation.yml")
    with pytest.raises(ConfigError, match="did you mean 'top'"):
        settings.audience("tops")
