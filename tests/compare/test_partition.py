"""The model does not depend on how the rows are spread over sites: not by one byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.federation import InProcessTransport, train
from tests.federation.example import manifest, programs, run, split, table

if TYPE_CHECKING:
    from fed_audience.federation import TrainingResult

ROWS = table(3_000, seed=1)
STOPPING: dict[str, Any] = {"n_estimators": 40, "early_stopping_round": 3, "learning_rate": 0.5}


@pytest.fixture(scope="module")
def pooled() -> TrainingResult:
    return run({"all": ROWS}, **STOPPING)


def names(count: int) -> list[str]:
    return [f"site-{i:02d}" for i in range(count)]


@pytest.mark.parametrize("count", [3, 50])
def test_model_text_is_that_of_the_pooled_rows(pooled: TrainingResult, count: int) -> None:
    r = np.random.default_rng(count)
    share = r.pareto(1.0, count) + 1e-3
    owner = r.choice(count, ROWS.num_rows, p=share / share.sum())
    federated = run(split(ROWS, owner, names(count)), **STOPPING)
    assert federated.model_text == pooled.model_text
    assert federated.sha256 == pooled.sha256
    assert federated.metrics == pooled.metrics
    assert federated.validation_losses == pooled.validation_losses
    assert pooled.stopped == "early_stopping"


def test_a_split_by_label_and_feature_changes_nothing(pooled: TrainingResult) -> None:
    owner = 2 * ROWS["label"].to_numpy() + (ROWS["spend"].to_numpy() > 7)
    assert run(split(ROWS, owner, names(4)), **STOPPING).sha256 == pooled.sha256


def test_empty_and_one_row_sites_change_nothing(pooled: TrainingResult) -> None:
    owner = np.full(ROWS.num_rows, 4)
    owner[:3] = [1, 2, 3]
    federated = run(split(ROWS, owner, names(6)), **STOPPING)
    assert federated.sha256 == pooled.sha256
    assert "site site-00: no rows to train with" in federated.warnings
    assert "site site-05: no rows to train with" in federated.warnings


def test_order_of_sites_and_rows_changes_nothing(pooled: TrainingResult) -> None:
    r = np.random.default_rng(9)
    shuffled = ROWS.take(r.permutation(ROWS.num_rows))
    tables = split(shuffled, r.integers(0, 3, ROWS.num_rows), ["c", "a", "b"])
    assert run(tables, **STOPPING).sha256 == pooled.sha256
    assert run(dict(reversed(tables.items())), **STOPPING).sha256 == pooled.sha256


def test_number_types_and_batches_change_nothing(pooled: TrainingResult) -> None:
    visits = ROWS["visits"].cast(pa.decimal128(22, 2))
    country = ROWS["country"].dictionary_encode()
    place = ROWS.column_names.index
    other = ROWS.set_column(place("visits"), "visits", visits)
    other = other.set_column(place("country"), "country", country)
    chunks = [other.slice(start, 700) for start in range(0, other.num_rows, 700)]
    assert run({"all": pa.concat_tables(chunks)}, **STOPPING).sha256 == pooled.sha256


def test_threads_change_nothing(pooled: TrainingResult) -> None:
    owner = np.arange(ROWS.num_rows) % 2
    sites = programs(split(ROWS, owner, ["a", "b"]), threads=3)
    agreed = manifest(["a", "b"], **STOPPING)
    assert train(InProcessTransport(sites), agreed).sha256 == pooled.sha256


def test_another_seed_draws_other_validation_rows(pooled: TrainingResult) -> None:
    assert run({"all": ROWS}, **STOPPING, seed=1).sha256 != pooled.sha256


@settings(max_examples=15)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_any_partition_of_any_rows(data: st.DataObject, seed: int) -> None:
    rows = table(data.draw(st.integers(60, 250)), seed=seed)
    sites = data.draw(st.integers(1, 6))
    owner = np.random.default_rng(seed).integers(0, sites, rows.num_rows)
    options: dict[str, Any] = {
        "n_estimators": 3,
        "max_depth": data.draw(st.integers(1, 5)),
        "num_leaves": data.draw(st.integers(2, 20)),
        "max_bin": data.draw(st.sampled_from([3, 16, 255])),
        "min_data_in_leaf": data.draw(st.sampled_from([0, 5])),
        "min_child_weight": data.draw(st.sampled_from([0.0, 1.0])),
        "lambda_l2": data.draw(st.sampled_from([0.0, 1.0])),
        "min_category_count": 3,
    }
    one = run({"all": rows}, **options)
    assert run(split(rows, owner, names(sites)), **options).model_text == one.model_text
