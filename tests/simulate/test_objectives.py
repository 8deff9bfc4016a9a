"""Numbers, counts and several classes, weights and further parameters, from file to outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fed_audience.errors import DataError, FedAudienceError, UsageError
from fed_audience.simulate.learners import Learners
from fed_audience.simulate.lightgbm_baseline import lightgbm_parameters
from fed_audience.simulate.problem import read_problem
from fed_audience.simulate.run import simulate
from fed_audience.simulate.settings import parse_options, task_of
from tests.simulate.conftest import customers

if TYPE_CHECKING:
    from tests.simulate.conftest import MakeSettings, Table


def orders() -> Table:
    """Customers with a count, an amount and a category to predict, and a weight."""
    table = customers()
    random = np.random.default_rng(5)
    spend = np.nan_to_num(table["spend"], nan=60.0)
    rate = np.exp(0.01 * spend + np.where(table["channel"] == "email", 0.5, 0.0))
    table["orders"] = random.poisson(rate)
    table["margin"] = (rate * 10 - 30 + random.normal(0, 5, len(rate))).round(2)
    next_ = np.where(rate > 3, "shoes", np.where(table["visits"] > 4, "books", "toys"))
    any_ = random.choice(["shoes", "books", "toys"], len(rate))
    table["next"] = np.where(random.random(len(rate)) < 0.3, any_, next_)
    table["counts_for"] = np.where(table["brand"] == "travel", 3.0, 0.5)
    return table


@pytest.mark.parametrize(
    ("label", "changes", "main"),
    [
        ("orders", {"task": "demand"}, "deviance"),
        ("orders", {"task": "demand", "objective": "tweedie"}, "deviance"),
        ("margin", {"task": "demand", "objective": "regression"}, "rmse"),
        ("next", {"task": "multiclass"}, "logloss"),
    ],
)
def test_every_objective_is_federated_to_the_byte_and_keeps_up_with_lightgbm(
    settings: MakeSettings, label: str, changes: dict[str, Any], main: str
) -> None:
    others = tuple({"bought", "orders", "margin", "next", "counts_for"} - {label})
    outcome = simulate(
        settings(
            orders(), label=label, site_column="brand", drop=others, learning_rate=0.3, **changes
        )
    )
    assert outcome.model_sha256.federated == outcome.model_sha256.pooled
    assert outcome.auc is None
    quality = getattr(outcome, main)
    assert quality.federated == quality.pooled_same_learner
    assert quality.federated == pytest.approx(quality.pooled_lightgbm, rel=0.05)
    for site in outcome.per_site:
        assert site.measure == main
        assert site.positives is None
        assert site.loss_alone is not None
        assert site.loss_federated is not None
        assert site.delta == pytest.approx(site.loss_alone - site.loss_federated)
    assert outcome.classes == (("books", "shoes", "toys") if label == "next" else ())
    assert outcome.warnings == ()


def test_weights_reach_both_learners_and_are_no_feature(settings: MakeSettings) -> None:
    aside = {"label": "orders", "task": "demand", "drop": ("bought", "margin", "next")}
    plain = simulate(settings(orders(), site_column="brand", **aside))
    weighted = simulate(settings(orders(), site_column="brand", weight="counts_for", **aside))
    assert "counts_for" in plain.feature_names
    assert "counts_for" not in weighted.feature_names
    assert weighted.model_sha256.federated == weighted.model_sha256.pooled
    assert weighted.deviance is not None
    assert weighted.deviance.federated == pytest.approx(weighted.deviance.pooled_lightgbm, rel=0.05)
    table = orders()
    table["counts_for"] = np.ones(len(table["orders"]))
    ones = simulate(settings(table, site_column="brand", weight="counts_for", **aside))
    assert weighted.deviance.pooled_lightgbm != ones.deviance.pooled_lightgbm  # type: ignore[union-attr]
    assert weighted.model_sha256.federated != ones.model_sha256.federated


def test_a_monotone_constraint_holds_in_both_learners(settings: MakeSettings) -> None:
    chosen = settings(options=(("monotone_constraints", {"spend": -1}), ("lambda_l1", 0.5)))
    assert chosen.parameters.lambda_l1 == 0.5
    problem = read_problem(chosen)
    theirs = lightgbm_parameters(chosen.parameters, problem.features, 1)
    assert theirs["monotone_constraints"] == [-1, 0, 0, 0]
    assert theirs["lambda_l1"] == 0.5
    assert theirs["min_sum_hessian_in_leaf"] == chosen.parameters.min_child_weight
    rows = np.arange(problem.rows)
    result = Learners(problem, chosen).federated({"all": rows}, rows).result
    assert result is not None
    assert any(name == "spend" for name in result.importance)
    falling = [
        tree.leaf_values[-left - 1] >= tree.leaf_values[-right - 1]
        for tree in result.model.trees
        for split, left, right in zip(tree.splits, tree.left, tree.right, strict=True)
        if split.feature == 0 and left < 0 and right < 0
    ]
    assert all(falling)


def test_leaves_follow_the_depth_unless_they_are_named(settings: MakeSettings) -> None:
    assert settings(depth=5).parameters.num_leaves == 32
    assert settings(depth=5, options=(("num_leaves", 9),)).parameters.num_leaves == 9
    assert settings(depth=5, options=(("max_leaves", 9),)).parameters.num_leaves == 9


def test_parameters_are_read_as_written() -> None:
    texts = ["lambda_l1=0.5", "num_leaves = 15", "monotone_constraints=age:+1,a:b:-1"]
    signs = {"age": 1, "a:b": -1}
    assert dict(parse_options(texts)) == {
        "lambda_l1": 0.5,
        "num_leaves": 15,
        "monotone_constraints": signs,
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lambda_l1", "not NAME=VALUE"),
        ("n_estimators=5", "--trees"),
        ("objective=poisson", "--objective"),
        ("monotone_constraints=age", "FEATURE:\\+1"),
        ("monotone_constraints=age:+2", "FEATURE:\\+1"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_options([text])


def test_an_option_that_only_lightgbm_has_is_refused_by_name(settings: MakeSettings) -> None:
    with pytest.raises(FedAudienceError, match="linear_tree"):
        settings(options=(("linear_tree", True),))


def test_the_objective_alone_names_the_task() -> None:
    assert task_of(None, "tweedie") == "demand"
    assert task_of(None, "multiclass") == "multiclass"
    assert task_of(None, None) == "propensity"
    assert task_of("lookalike", None) == "lookalike"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"task": "demand", "objective": "binary"}, "cannot be learnt with"),
        ({"task": "multiclass", "positive": "yes"}, "two classes"),
        ({"weight": "bought"}, "the weight"),
    ],
)
def test_choices_that_do_not_fit_each_other(
    settings: MakeSettings, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        settings(**changes)


@pytest.mark.parametrize(
    ("column", "value", "changes", "complaint"),
    [
        ("orders", -1.0, {"task": "demand"}, "cannot be learnt from"),
        ("bought", None, {"task": "demand"}, "does not hold numbers"),
        ("counts_for", 0.0, {"weight": "counts_for"}, "not above 0"),
    ],
)
def test_a_column_that_cannot_be_learnt_from_says_why(
    settings: MakeSettings,
    column: str,
    value: float | None,
    changes: dict[str, Any],
    complaint: str,
) -> None:
    table = orders()
    if value is not None:
        table[column] = np.where(np.arange(len(table[column])) < 3, value, table[column])
    label = "bought" if "weight" in changes else column
    with pytest.raises(DataError, match=complaint):
        read_problem(settings(table, label=label, **changes))


def test_a_label_of_too_many_classes_is_refused(settings: MakeSettings) -> None:
    with pytest.raises(DataError, match="too many classes"):
        read_problem(settings(label="spend", task="multiclass"))


def test_rows_without_a_label_are_left_out(settings: MakeSettings) -> None:
    table = orders()
    table["orders"] = np.where(np.arange(1_200) < 10, np.nan, table["orders"])
    problem = read_problem(settings(table, label="orders", task="demand"))
    assert problem.rows == 1_190
    assert "10 rows without a label are left out" in problem.notes


def test_a_skewed_split_deals_numbers_and_classes_unevenly(settings: MakeSettings) -> None:
    aside = {"drop": ("bought", "margin", "counts_for", "brand"), "split": "dirichlet:0.2"}
    for label, task in (("orders", "demand"), ("next", "multiclass")):
        outcome = simulate(settings(orders(), label=label, task=task, **aside))
        assert outcome.model_sha256.federated == outcome.model_sha256.pooled
        rows = [site.rows for site in outcome.per_site]
        assert max(rows) > 2 * min(rows)
