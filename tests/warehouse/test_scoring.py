"""Scoring gives what LightGBM gives on the encoded rows, registered models are what was trained."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import DataError, ModelFormatError, WarehouseError
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.bins.categories import category_hashes
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.warehouse.protocol import Relation, Warehouse
from fed_audience.warehouse.registry import (
    RegisteredModel,
    activate_model,
    active_model,
    register_model,
)
from fed_audience.warehouse.scoring import score

NOW = datetime(2026, 6, 1, 12)  # noqa: DTZ001 - naive and UTC, as everywhere
KEY = b"the sites' category key"
ROWS = 5_000
FEATURES = Relation("main", "features")


@pytest.fixture(scope="module")
def people() -> pa.Table:
    random = np.random.default_rng(7)
    spent = random.lognormal(3, 1, ROWS)
    spent[::7] = np.nan
    city = random.choice(["Oslo", "Lyon", "Graz"], ROWS)
    return pa.table(
        {
            "customer_id": [f"c{i}" for i in range(ROWS)],
            "f_orders": pa.array(random.poisson(2, ROWS), pa.int64()),
            "f_spent": pa.array(spent, from_pandas=True),
            "f_city": pa.array(city),
        }
    )


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    prefixes, _ = category_hashes(["Oslo", "Lyon"], KEY)
    return Encoder(
        (Feature("f_spent"), Feature("f_city", categorical=True), Feature("f_orders")),
        (
            NumericBins((10.5, 30.5)),
            CategoryBins(tuple(int(prefix) for prefix in prefixes)),
            NumericBins((1.5,)),
        ),
    )


@pytest.fixture(scope="module")
def booster(people: pa.Table, encoder: Encoder) -> Any:
    rows = encoder.to_lightgbm(dict(zip(people.column_names, people.columns, strict=True)), KEY)
    odds = np.nan_to_num(rows[:, 0]) / 60 + (rows[:, 1] == 1) + rows[:, 2] / 4
    label = np.random.default_rng(8).random(ROWS) * 3 < odds
    names = [feature.name for feature in encoder.features]
    data = lightgbm.Dataset(rows, label.astype(int), feature_name=names, categorical_feature=[1])
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1}
    return lightgbm.train(parameters, data, num_boost_round=5)


@pytest.fixture
def model(booster: Any, encoder: Encoder) -> RegisteredModel:
    text = booster.model_to_string()
    return RegisteredModel("repurchase", "v1", text, encoder.to_json(), NOW, metrics='{"auc": 1}')


@pytest.fixture
def filled(brand: Warehouse, people: pa.Table) -> Warehouse:
    brand.execute(
        "create table features (customer_id varchar, cutoff_at timestamp, f_city varchar,"
        " f_orders bigint, f_spent double precision)"
    )
    brand.insert(FEATURES, people)
    return brand


class TestScoring:
    def test_it_equals_lightgbm_on_the_encoded_rows(
        self, filled: Warehouse, people: pa.Table, encoder: Encoder, booster: Any
    ) -> None:
        text = booster.model_to_string()
        tables = list(score(filled, FEATURES, text, encoder, key=KEY, batch_rows=2_048))
        assert len(tables) == 3
        rows = pa.concat_tables(tables)
        assert rows["customer_id"].to_pylist() == people["customer_id"].to_pylist()
        columns = dict(zip(people.column_names, people.columns, strict=True))
        expected = booster.predict(encoder.to_lightgbm(columns, KEY))
        assert np.array_equal(rows["score"].to_numpy(), expected)
        assert len(np.unique(expected)) > 4

    def test_another_key_makes_every_category_unseen(
        self, filled: Warehouse, encoder: Encoder, booster: Any
    ) -> None:
        text = booster.model_to_string()
        ours = pa.concat_tables(score(filled, FEATURES, text, encoder, key=KEY))
        theirs = pa.concat_tables(score(filled, FEATURES, text, encoder, key=b"another key here"))
        assert not ours.equals(theirs)

    def test_missing_features_are_refused_by_name(
        self, filled: Warehouse, encoder: Encoder, booster: Any
    ) -> None:
        filled.execute("alter table features drop f_city")
        filled.execute("alter table features drop f_spent")
        with pytest.raises(DataError, match=r"missing: f_spent, f_city.*missing_features: accept"):
            list(score(filled, FEATURES, booster.model_to_string(), encoder, key=KEY))

    def test_a_feature_that_became_text_is_refused(
        self, filled: Warehouse, encoder: Encoder, booster: Any
    ) -> None:
        filled.execute("alter table features drop f_orders")
        filled.execute("alter table features add f_orders varchar")
        with pytest.raises(DataError, match=r"numeric feature holds values that are not numbers"):
            list(score(filled, FEATURES, booster.model_to_string(), encoder, key=KEY))

    def test_missing_features_are_missing_values_where_that_is_accepted(
        self, filled: Warehouse, encoder: Encoder, booster: Any, people: pa.Table
    ) -> None:
        filled.execute("alter table features drop f_city")
        text = booster.model_to_string()
        rows = pa.concat_tables(
            score(filled, FEATURES, text, encoder, key=KEY, accept_missing=True)
        )
        columns: dict[str, Any] = dict(zip(people.column_names, people.columns, strict=True))
        columns["f_city"] = pa.nulls(ROWS, pa.string())
        expected = booster.predict(encoder.to_lightgbm(columns, KEY))
        assert np.array_equal(rows["score"].to_numpy(), expected)

    def test_the_entity_may_have_another_name_and_type(
        self, brand: Warehouse, encoder: Encoder, booster: Any
    ) -> None:
        brand.execute(
            "create table features as select 42::bigint as person, 1.0 as f_spent,"
            " 'Oslo' as f_city, 3 as f_orders"
        )
        text = booster.model_to_string()
        rows = pa.concat_tables(score(brand, FEATURES, text, encoder, key=KEY, entity="person"))
        assert rows["customer_id"].to_pylist() == ["42"]
        with pytest.raises(DataError, match="missing: customer_id"):
            list(score(brand, FEATURES, text, encoder, key=KEY))

    def test_an_untrusted_text_is_refused_before_anything_is_read(
        self, brand: Warehouse, encoder: Encoder, booster: Any
    ) -> None:
        text = booster.model_to_string().replace("num_leaves=", "num_leaves=9", 1)
        with pytest.raises(ModelFormatError):
            list(score(brand, Relation("main", "nowhere"), text, encoder, key=KEY))

    def test_an_empty_relation_gives_no_rows(
        self, filled: Warehouse, encoder: Encoder, booster: Any
    ) -> None:
        filled.execute("delete from features")
        tables = score(filled, FEATURES, booster.model_to_string(), encoder, key=KEY)
        assert sum(table.num_rows for table in tables) == 0


class TestRegistry:
    def test_a_registered_model_is_active_and_unchanged(
        self, brand: Warehouse, model: RegisteredModel
    ) -> None:
        register_model(brand, model)
        assert active_model(brand, "repurchase") == model

    def test_the_newest_is_the_only_active_one(
        self, brand: Warehouse, model: RegisteredModel
    ) -> None:
        register_model(brand, model)
        register_model(brand, replace(model, model_name="other"))
        register_model(brand, replace(model, model_version="v2"))
        assert active_model(brand, "repurchase").model_version == "v2"
        assert active_model(brand, "other").model_version == "v1"
        rows = brand.query("select count(*) as n from fed_audience.model_registry where is_active")
        assert rows["n"].to_pylist() == [2]

    def test_an_older_version_can_be_promoted(
        self, brand: Warehouse, model: RegisteredModel
    ) -> None:
        register_model(brand, model)
        register_model(brand, replace(model, model_version="v2"))
        activate_model(brand, "repurchase", "v1")
        assert active_model(brand, "repurchase").model_version == "v1"
        with pytest.raises(WarehouseError, match=r"no such version.*v9"):
            activate_model(brand, "repurchase", "v9")
        assert active_model(brand, "repurchase").model_version == "v1"

    def test_registering_again_is_harmless_but_another_text_needs_another_version(
        self, brand: Warehouse, model: RegisteredModel
    ) -> None:
        register_model(brand, model)
        register_model(brand, model)
        other = replace(model, model_text=model.model_text.replace("tree_sizes", "tree_sizes", 1))
        register_model(brand, other)
        with pytest.raises(WarehouseError, match="another version v1"):
            register_model(brand, replace(model, model_text=model.model_text + "\n"))

    def test_text_and_encoder_must_fit(
        self, brand: Warehouse, model: RegisteredModel, encoder: Encoder
    ) -> None:
        fewer = Encoder(encoder.features[:2], encoder.bins[:2])
        with pytest.raises(ModelFormatError, match="3 and 2 features"):
            register_model(brand, replace(model, encoder=fewer.to_json()))
        with pytest.raises(ModelFormatError):
            register_model(brand, replace(model, encoder="{}"))
        with pytest.raises(ModelFormatError):
            register_model(brand, replace(model, model_text="tree"))

    def test_an_unknown_model_lists_the_known_ones(
        self, brand: Warehouse, model: RegisteredModel
    ) -> None:
        with pytest.raises(WarehouseError, match="none trained yet"):
            active_model(brand, "repurchase")
        register_model(brand, model)
        with pytest.raises(WarehouseError, match=r"value: repurchas; allowed: repurchase"):
            active_model(brand, "repurchas")

    def test_an_altered_text_is_noticed(self, brand: Warehouse, model: RegisteredModel) -> None:
        register_model(brand, model)
        brand.execute(
            "update fed_audience.model_registry set model_text = replace(model_text, '1', '2')"
        )
        with pytest.raises(ModelFormatError, match="was altered"):
            active_model(brand, "repurchase")
