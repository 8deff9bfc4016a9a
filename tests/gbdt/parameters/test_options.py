from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
from lightgbm.basic import _ConfigAliases

from fed_audience.errors import ConfigError
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.parameters.lightgbm_names import ALIASES, LACKING, OBJECTIVE_ALIASES

OURS = {field.name for field in fields(TrainingParameters)}
LIGHTGBMS: dict[str, list[str]] = _ConfigAliases._get_all_param_aliases()


def refusal(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        TrainingParameters.from_options(options)
    return str(caught.value)


def test_every_word_of_lightgbms_is_ours_or_refused_by_name() -> None:
    for name, aliases in LIGHTGBMS.items():
        meant = {ALIASES.get(word, word) for word in (name, *aliases)}
        if meant & OURS:
            assert len(meant) == 1, name
            assert not meant & set(LACKING)
        else:
            assert meant <= set(LACKING), name
            assert len({LACKING[word] for word in meant}) == 1, name


def test_no_word_of_the_tables_is_invented() -> None:
    known = {word for name, aliases in LIGHTGBMS.items() for word in (name, *aliases)}
    assert set(ALIASES) <= known
    assert set(LACKING) <= known
    assert set(ALIASES.values()) <= OURS & known


def test_what_lightgbm_does_by_default_is_accepted_where_it_changes_nothing() -> None:
    harmless = {
        "boosting_type": "gbdt",
        "bagging_freq": 1,
        "verbosity": -1,
        "linear_tree": False,
        "path_smooth": 0.0,
        "extra_trees": False,
        "monotone_constraints_method": "basic",
        "feature_fraction_bynode": 1.0,
        "device": "cpu",
    }
    assert TrainingParameters.from_options(harmless) == TrainingParameters()


@pytest.mark.parametrize(
    ("word", "value", "instead"),
    [
        ("boosting", "dart", "bagging_fraction"),
        ("boosting", "rf", "bagging_fraction"),
        ("linear_tree", True, "more leaves"),
        ("path_smooth", 1.0, "lambda_l2"),
        ("extra_trees", True, "feature_fraction"),
        ("bagging_freq", 5, "bagging_freq is 1"),
        ("bagging_freq", 0, "leave bagging_fraction at 1"),
        ("bagging_freq", True, "bagging_freq is 1"),
        ("is_unbalance", True, "scale_pos_weight"),
        ("interaction_constraints", [[0, 1]], "leave a feature out"),
        ("colsample_bynode", 0.5, "feature_fraction"),
        ("metric", "auc", "objective's own loss"),
        ("n_jobs", 4, "its own processor"),
        ("categorical_feature", ["a"], "dbt model"),
        ("monotone_constraints_method", "advanced", "basic"),
    ],
)
def test_what_we_lack_is_refused_by_name_with_the_nearest_we_have(
    word: str, value: object, instead: str
) -> None:
    text = refusal(**{word: value})
    assert f"'{word}' is LightGBM's and not ours; value: {value!r}" in text
    assert instead in text


def test_an_unknown_word_names_the_nearest() -> None:
    assert "'learning_rte' does not exist. To mend it: did you mean 'learning_rate'?" in refusal(
        learning_rte=0.1
    )
    assert "did you mean 'num_boost_round'" in refusal(num_boost_rounds_=9)
    assert "choose from n_estimators, learning_rate" in refusal(qqqq=1)


def test_aliases_are_read_as_our_names() -> None:
    read = TrainingParameters.from_options(
        {"num_boost_round": 12, "eta": 0.3, "min_sum_hessian_in_leaf": 5, "subsample": 0.5}
    )
    assert read == TrainingParameters(
        n_estimators=12, learning_rate=0.3, min_child_weight=5.0, bagging_fraction=0.5
    )


def test_two_words_for_one_thing_are_refused() -> None:
    assert "'eta' and 'learning_rate' are the same" in refusal(eta=0.1, learning_rate=0.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_estimators": "100"}, "'n_estimators' is not a number; value: '100'"),
        ({"n_estimators": True}, "'n_estimators' is not a number; value: True"),
        ({"n_estimators": 10.5}, "'n_estimators' is not a whole number; value: 10.5"),
        ({"max_depth": math.inf}, "'max_depth' is not a whole number"),
        ({"max_depth": math.nan}, "'max_depth' is not a whole number"),
        ({"learning_rate": None}, "'learning_rate' is not a number; value: None"),
        ({"learning_rate": math.nan}, "learning_rate is out of range; value: nan"),
        ({"max_depth": -1}, "max_depth is out of range; value: -1; allowed: 1 to 12"),
        ({"objective": 3}, "'objective' is not a word"),
        ({"objective": "huber"}, "objective is unknown; value: huber"),
        ({"monotone_constraints": [1, -1]}, "'monotone_constraints' is not a mapping"),
        ({"monotone_constraints": {"a": "up"}}, "'monotone_constraints: a' is not 1, 0 or -1"),
        ({"monotone_constraints": {"a": True}}, "'monotone_constraints: a' is not 1, 0 or -1"),
        ({"monotone_constraints": {"a": [1]}}, "'monotone_constraints: a' is not 1, 0 or -1"),
    ],
)
def test_values_of_another_type_or_out_of_range_are_refused(
    options: dict[str, Any], words: str
) -> None:
    assert words in refusal(**options)


def test_numbers_become_the_type_of_their_field() -> None:
    read = TrainingParameters.from_options({"n_estimators": 50.0, "lambda_l2": 1})
    assert (type(read.n_estimators), type(read.lambda_l2)) == (int, float)


def test_constraints_come_in_order_of_their_names_and_zero_frees_a_feature() -> None:
    read = TrainingParameters.from_options({"mc": {"spend": 1, "age": -1, "visits": 0}})
    assert read.monotone_constraints == (("age", -1), ("spend", 1))


def test_leaves_that_the_depth_cannot_hold_are_refused_only_when_asked_for() -> None:
    assert "num_leaves is out of reach at max_depth 6; value: 127; allowed: at most 64" in refusal(
        num_leaves=127
    )
    assert TrainingParameters.from_options({"num_leaves": 127, "max_depth": 7}).num_leaves == 127
    assert TrainingParameters.from_options({"max_depth": 3}).max_depth == 3


def test_every_other_word_for_an_objective_leads_to_one() -> None:
    for word, name in OBJECTIVE_ALIASES.items():
        classes = {"num_class": 3} if name == "multiclass" else {}
        assert TrainingParameters.from_options({"loss": word, **classes}).objective == name
