"""What the warehouse scores by itself is what LightGBM gives, and only what must be is scored."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fed_audience.errors import DataError, ModelFormatError
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.bins.canonical import LARGEST
from fed_audience.gbdt.bins.categories import category_hashes
from fed_audience.gbdt.bins.encoding import Encoder
from fed_audience.warehouse.protocol import Relation, Warehouse
from fed_audience.warehouse.registry import RegisteredModel
from fed_audience.warehouse.scores import ScoreStamp, write_scores
from fed_audience.warehouse.scoring import score
from fed_audience.warehouse.sql_scoring import statements
from fed_audience.warehouse.sql_scoring.run import ScoredInWarehouse, score_in_warehouse
from tests.arrow_tables import create_table

NOW = datetime(2026, 6, 1, 12)  # noqa: DTZ001 - naive and UTC, as everywhere
KEY = b"the sites' category key"
ROWS = 1_500
FEATURES = Relation("main", "features")
THRESHOLDS = (-(2.0**40), -2.5, 0.0, 0.1, 30.25, 1e15)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "zeros missing": {"zero_as_missing": True},
    "none": {"use_missing": False},
}


def people() -> pa.Table:
    """Rows with everything that a column may hold: on the cut, beside it, beyond it, nothing."""
    random = np.random.default_rng(7)
    spent = random.normal(0, 20, ROWS)
    edges = [*THRESHOLDS, *np.nextafter(THRESHOLDS, np.inf), *np.nextafter(THRESHOLDS, -np.inf)]
    odd = [*edges, np.inf, -np.inf, 1e300, -1e300, 1e-300, -0.0, LARGEST, 2.0**-64, np.nan]
    spent[: len(odd)] = odd
    spent[200:300] = np.nan
    cities = random.choice(["Oslo", "Lyon", "Graz", "O'Hara|1:2", ""], ROWS).tolist()
    days = random.integers(0, 400, ROWS).tolist()
    return pa.table(
        {
            "customer_id": [f"c{i:04}" for i in range(ROWS)],
            # NaN stays NaN in the first half, and is NULL in the other.
            "f_spent": pa.array(spent, mask=np.isnan(spent) & (np.arange(ROWS) >= 250)),
            "f_city": pa.array([None if i % 11 == 0 else city for i, city in enumerate(cities)]),
            "f_orders": pa.array(random.poisson(2, ROWS), pa.int64()),
            "f_is_new": pa.array([None, True, False] * (ROWS // 3)),
            "f_first": pa.array([(NOW - timedelta(days=day)).date() for day in days]),
            "f_last": pa.array(
                [NOW - timedelta(hours=int(day)) for day in days], pa.timestamp("us")
            ),
        }
    )


def encoder() -> Encoder:
    prefixes, _ = category_hashes(["Oslo", "Lyon", "O'Hara|1:2"], KEY)
    names = ("f_city", "f_first", "f_is_new", "f_last", "f_orders", "f_spent")
    last = NOW.timestamp()
    cuts: dict[str, tuple[float, ...]] = {
        "f_first": (20_300.5, 20_500.0),
        "f_is_new": (0.5,),
        "f_last": (last - 800_000.0, last - 300_000.5),
        "f_orders": (0.5, 1.5, 3.0),
        "f_spent": THRESHOLDS,
    }
    return Encoder(
        tuple(Feature(name, categorical=name == "f_city") for name in names),
        tuple(
            CategoryBins(tuple(map(int, prefixes))) if name == "f_city" else NumericBins(cuts[name])
            for name in names
        ),
    )


def trained(objective: str = "binary", **options: object) -> tuple[RegisteredModel, Any]:
    """Train LightGBM on the codes of the columns, whose cuts become the model's thresholds."""
    rows = on_cuts()
    random = np.random.default_rng(8)
    told = np.nan_to_num(rows[:, 5]).clip(-50, 50) / 20 + (rows[:, 0] == 1) + rows[:, 4] / 4
    label = random.random(ROWS) < 1 / (1 + np.exp(-told + 1))
    names = [feature.name for feature in encoder().features]
    data = lightgbm.Dataset(
        rows, label.astype(int), feature_name=names, categorical_feature=[0], params={"verbose": -1}
    )
    parameters = {
        "objective": objective,
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "min_data_per_group": 1,
        "max_cat_to_onehot": 1,
        **options,
    }
    booster = lightgbm.train(parameters, data, num_boost_round=30)
    text = finite(booster.model_to_string())
    booster = lightgbm.Booster(model_str=text)
    return RegisteredModel("repurchase", "v1", text, encoder().to_json(), NOW), booster


def finite(text: str) -> str:
    """Write LightGBM's cuts at infinity as numbers beyond all others, which is how ours are."""
    head, *trees = text.split("Tree=")
    last, end, tail = trees[-1].partition("end of trees")
    trees = [re.sub(r"(?<=[= ])inf(?=[ \n])", "1e300", tree) for tree in (*trees[:-1], last)]
    sizes = " ".join(str(len(f"Tree={tree}")) for tree in trees)
    head = re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", head)
    return "Tree=".join([head, *trees]) + end + tail


def on_cuts() -> Any:
    table = people()
    return encoder().to_lightgbm(dict(zip(table.column_names, table.columns, strict=True)), KEY)


def stamped(version: str = "v1", hours: int = 0) -> ScoreStamp:
    return ScoreStamp("repurchase", version, is_rank=False, scored_at=NOW + timedelta(hours=hours))


def run(
    warehouse: Warehouse, model: RegisteredModel, stamp: ScoreStamp | None = None, **others: Any
) -> ScoredInWarehouse:
    stamp = stamp or stamped()
    return score_in_warehouse(warehouse, FEATURES, model, stamp, key=KEY, **others)


def scores(warehouse: Warehouse) -> dict[str, float]:
    rows = warehouse.query("select customer_id, score from fed_audience.scores").to_pylist()
    return {row["customer_id"]: row["score"] for row in rows}


@pytest.fixture
def filled(brand: Warehouse) -> Warehouse:
    create_table(brand, FEATURES, people())
    return brand


@pytest.mark.parametrize("way", ["case", "joins"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_lightgbm(
    filled: Warehouse, kind: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "joins":
        monkeypatch.setattr(statements, "LONGEST", 1_000)
    model, booster = trained(**KINDS[kind])
    done = run(filled, model)
    assert (done.customers, done.scored, done.as_case) == (ROWS, ROWS, way == "case")
    found = scores(filled)
    expected = booster.predict(on_cuts())
    assert len(np.unique(expected)) > 50
    ours = np.array([found[f"c{i:04}"] for i in range(ROWS)])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("objective", ["regression", "poisson", "cross_entropy"])
def test_each_link_is_lightgbms(filled: Warehouse, objective: str) -> None:
    model, booster = trained(objective)
    run(filled, model)
    found = scores(filled)
    ours = np.array([found[f"c{i:04}"] for i in range(ROWS)])
    np.testing.assert_allclose(ours, booster.predict(on_cuts()), rtol=1e-12, atol=1e-12)


def test_it_equals_the_agent_where_a_feature_is_missing_altogether(filled: Warehouse) -> None:
    model, _ = trained()
    filled.execute("alter table main.features drop column f_city")
    filled.execute("alter table main.features drop column f_spent")
    with pytest.raises(DataError, match=r"missing: f_city, f_spent"):
        run(filled, model)
    run(filled, model, accept_missing=True)
    ours = scores(filled)
    write_scores(
        filled,
        score(filled, FEATURES, model.model_text, encoder(), key=KEY, accept_missing=True),
        stamped(),
    )
    theirs = scores(filled)
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[one] - theirs[one]) for one in ours) <= 1e-12


class TestOnlyWhatChanged:
    def test_nobody_is_scored_twice_for_the_same_features(self, filled: Warehouse) -> None:
        model, _ = trained()
        assert run(filled, model).scored == ROWS
        assert run(filled, model, stamped(hours=1)).scored == 0
        filled.execute(
            "update main.features set f_orders = f_orders + 5 where customer_id < 'c0002'"
        )
        filled.execute("update main.features set f_city = 'Graz' where customer_id = 'c0500'")
        done = run(filled, model, stamped(hours=2))
        assert (done.customers, done.scored) == (ROWS, 3)
        at = filled.query("select distinct scored_at from fed_audience.scores")
        assert at["scored_at"].to_pylist() == [NOW + timedelta(hours=2)]

    def test_another_version_scores_everybody(self, filled: Warehouse) -> None:
        model, _ = trained()
        run(filled, model)
        other = replace(model, model_version="v2")
        assert run(filled, other, stamped("v2")).scored == ROWS
        versions = filled.query("select distinct model_version from fed_audience.scores")
        assert versions["model_version"].to_pylist() == ["v2"]

    def test_what_the_agent_scored_is_scored_again(self, filled: Warehouse) -> None:
        model, _ = trained()
        rows = score(filled, FEATURES, model.model_text, encoder(), key=KEY)
        write_scores(filled, rows, stamped())
        assert run(filled, model).scored == ROWS

    def test_whoever_left_or_withdrew_loses_the_score_in_the_same_run(
        self, filled: Warehouse
    ) -> None:
        model, _ = trained()
        run(filled, model)
        filled.execute("delete from main.features where customer_id = 'c0001'")
        allowed = "select customer_id from main.features where customer_id <> 'c0002'"
        done = run(filled, model, among=allowed)
        assert (done.customers, done.scored) == (ROWS - 2, 0)
        assert {"c0001", "c0002"}.isdisjoint(scores(filled))

    def test_whom_only_a_program_can_tell_is_taken_out(self, filled: Warehouse) -> None:
        model, _ = trained()
        run(filled, model)

        def without(rows: pa.Table, column: str) -> pa.Table:
            return rows.filter(pc.not_equal(rows[column], pa.scalar("c0007")))

        assert run(filled, model, without=without).customers == ROWS - 1
        assert "c0007" not in scores(filled)

    def test_scores_of_other_models_stay(self, filled: Warehouse) -> None:
        model, _ = trained()
        other = replace(stamped(), model_name="other")
        write_scores(filled, [pa.table({"customer_id": ["x"], "score": [0.5]})], other)
        run(filled, model)
        assert scores(filled)["x"] == 0.5


class TestRefused:
    @pytest.mark.parametrize("twice", ["'c0001'", "null"])
    def test_a_customer_who_comes_twice_or_has_no_name(self, filled: Warehouse, twice: str) -> None:
        model, _ = trained()
        run(filled, model)
        filled.execute(f"insert into main.features (customer_id, f_orders) select {twice}, 3")
        with pytest.raises(DataError, match=r"no customer, and .* come more than once"):
            run(filled, model)
        assert len(scores(filled)) == ROWS

    def test_text_where_a_number_was(self, filled: Warehouse) -> None:
        model, _ = trained()
        filled.execute("alter table main.features drop column f_orders")
        filled.execute("alter table main.features add column f_orders varchar")
        with pytest.raises(DataError, match=r"feature f_orders holds values that are not numbers"):
            run(filled, model)

    def test_several_classes(self, filled: Warehouse) -> None:
        rows = on_cuts()
        data = lightgbm.Dataset(rows, np.arange(ROWS) % 3, params={"verbose": -1})
        options = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
        text = finite(lightgbm.train(options, data, num_boost_round=2).model_to_string())
        names = [f"Column_{i}" for i in range(6)]
        features = tuple(Feature(name) for name in names)
        plain = Encoder(features, tuple(NumericBins(()) for _ in names))
        model = RegisteredModel("repurchase", "v1", text, plain.to_json(), NOW)
        with pytest.raises(ModelFormatError, match=r"3 classes.*leave in_warehouse out"):
            run(filled, model, accept_missing=True)
