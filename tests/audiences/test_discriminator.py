from __future__ import annotations

import pyarrow as pa
import pytest

from fed_audience.audiences.discriminator import (
    DISCRIMINATOR_LABEL,
    discriminator_runs,
    with_constant_label,
)
from fed_audience.errors import DataError
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters

FEATURES = (Feature("f_orders"), Feature("f_channel", categorical=True))


def test_there_is_one_run_a_target_on_the_same_features() -> None:
    runs = discriminator_runs("fashion", ["grocery", "travel"], FEATURES, TrainingParameters())
    assert [run.sites for run in runs] == [("fashion", "grocery"), ("fashion", "travel")]
    assert {run.features for run in runs} == {FEATURES}
    assert [run.model_name for run in runs] == [
        "brand_difference_fashion_grocery",
        "brand_difference_fashion_travel",
    ]


def test_the_trees_stay_small_and_rows_are_held_out_to_measure_on() -> None:
    (run,) = discriminator_runs("a", ["b"], FEATURES, TrainingParameters(validation_fraction=0.0))
    assert (run.parameters.n_estimators, run.parameters.max_depth) == (50, 4)
    assert run.parameters.num_leaves == 16
    assert (run.parameters.validation_fraction, run.parameters.early_stopping_round) == (0.2, 10)


def test_what_the_lookalike_chose_is_kept_where_it_is_smaller() -> None:
    chosen = TrainingParameters(
        n_estimators=20,
        max_depth=3,
        num_leaves=8,
        validation_fraction=0.3,
        early_stopping_round=5,
        seed=11,
    )
    (run,) = discriminator_runs("a", ["b"], FEATURES, chosen)
    assert run.parameters == chosen


def test_a_site_labels_all_its_rows_alike_and_shows_no_other_column() -> None:
    (run,) = discriminator_runs("a", ["b"], FEATURES, TrainingParameters())
    rows = pa.RecordBatch.from_pydict(
        {
            "customer_id": ["x", "y"],
            "label": [1, 0],
            "f_channel": ["email", None],
            "f_orders": [1.0, None],
            "f_unused": [3.0, 4.0],
        }
    )
    at_seed = with_constant_label(rows, run, "a", row_key="customer_id")
    at_target = with_constant_label(rows, run, "b", row_key="customer_id")
    assert at_seed.to_pydict() == {
        "customer_id": ["x", "y"],
        "f_orders": [1.0, None],
        "f_channel": ["email", None],
        DISCRIMINATOR_LABEL: [1, 1],
    }
    assert at_target.column(DISCRIMINATOR_LABEL).to_pylist() == [0, 0]


def test_a_brand_that_lacks_a_feature_is_named() -> None:
    (run,) = discriminator_runs("a", ["b"], FEATURES, TrainingParameters())
    rows = pa.RecordBatch.from_pydict({"customer_id": ["x"], "f_orders": [1.0]})
    with pytest.raises(DataError, match="value: f_channel; looked in: rows of b"):
        with_constant_label(rows, run, "b", row_key="customer_id")


def test_a_site_that_takes_no_part_has_no_label() -> None:
    (run,) = discriminator_runs("a", ["b"], FEATURES, TrainingParameters())
    with pytest.raises(DataError, match="value: c; allowed: a, b"):
        run.label_of("c")


@pytest.mark.parametrize("targets", [["a"], ["b", "b"]])
def test_a_brand_is_not_told_from_itself(targets: list[str]) -> None:
    with pytest.raises(DataError, match="each once"):
        discriminator_runs("a", targets, FEATURES, TrainingParameters())


def test_without_features_there_is_nothing_to_tell_by() -> None:
    with pytest.raises(DataError, match="without features"):
        discriminator_runs("a", ["b"], (), TrainingParameters())
