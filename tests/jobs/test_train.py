"""Training over small brands: what is registered, and what becomes of the requests."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from fed_audience.errors import (
    ConfigError,
    DataError,
    FedAudienceError,
    FederationError,
    WarehouseError,
)
from fed_audience.gbdt.models.model import to_text
from fed_audience.jobs.egress import EgressTally, reveals
from fed_audience.jobs.train import TrainedModel, train_model
from fed_audience.warehouse.control import LEASE
from tests.jobs.small_federation import NOW, SmallFederation

QUEUE = "update fed_audience.training_requests set spec = {}"
PENDING = {"ant": "pending", "bee": "pending"}


def train(federation: SmallFederation, tally: EgressTally | None = None) -> TrainedModel:
    settings = federation.settings
    return train_model(
        settings, settings.models[0], as_of=NOW, category_key=b"k" * 32, on_message=tally
    )


def refuse(federation: SmallFederation, kind: type[FedAudienceError], words: str) -> str:
    with pytest.raises(kind, match=words) as caught:
        train(federation)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_brand_holds_the_same_model_and_its_own_books(
    small_federation: SmallFederation,
) -> None:
    tally = EgressTally()
    trained = train(small_federation, tally)
    assert small_federation.requests() == {"ant": "succeeded", "bee": "succeeded"}
    for brand, partner in (("ant", "bee"), ("bee", "ant")):
        sha = small_federation.value(brand, "select model_sha256 from fed_audience.model_registry")
        assert sha == trained.result.sha256
        run = "select {} from fed_audience.training_runs where status = 'succeeded'"
        assert small_federation.value(brand, run.format("partners")) == json.dumps([partner])
        assert small_federation.value(brand, run.format("rows_requested")) == 300
        assert small_federation.value(brand, run.format("rows_used")) == 295
        assert small_federation.value(brand, run.format("rows_withdrawn")) == 5
        kept = trained.training[brand].num_rows
        assert kept + trained.held_out[brand].num_rows == 295
        assert 200 < kept < 270
    rows = tally.rows()
    assert rows == sorted(rows)
    for brand, up in trained.result.bytes_up.items():
        assert sum(row[3] for row in rows if row[0] == brand) == up
        assert small_federation.value(brand, run.format("bytes_up")) == up
    assert all(reveals(row[1]) for row in rows)
    assert {row[1] for row in rows} >= {"ValueCounts", "RootHistogram"}


@pytest.mark.parametrize(("noise", "own"), [(-1e9, {"ant", "bee"}), (1e9, set())])
def test_a_brand_whose_own_trees_win_registers_its_own_copy(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch, noise: float, own: set[str]
) -> None:
    monkeypatch.setattr("fed_audience.gbdt.growing.continuation.NOISE", noise)
    settings = small_federation.settings
    model = settings.models[0].model_copy(update={"continuation": True})
    trained = train_model(settings, model, as_of=NOW, category_key=b"k" * 32)
    assert set(trained.own) == own
    assert len(trained.notes) == 2
    for brand in ("ant", "bee"):
        registry = "select {} from fed_audience.model_registry"
        text = small_federation.value(brand, registry.format("model_text"))
        assert text == trained.text_for(brand)
        assert (text == trained.result.model_text) == (brand not in own)
        version = small_federation.value(brand, registry.format("model_version"))
        assert version == sha256(str(text).encode()).hexdigest()[:12]
        told = small_federation.value(brand, "select message from fed_audience.training_runs")
        assert f"{brand} " in str(told)
        if brand in own:
            shared = trained.result.model.trees
            assert trained.own[brand].trees[: len(shared)] == shared
            assert len(trained.own[brand].trees) > len(shared)


def test_each_brand_starts_from_the_rate_of_its_own_labels(
    small_federation: SmallFederation,
) -> None:
    model = small_federation.settings.models[0].model_copy(update={"brand_base": True})
    trained = train_model(small_federation.settings, model, as_of=NOW, category_key=b"k" * 32)
    assert trained.result.model.base_scores == (0.0,)
    bases = {brand: copy.base_scores for brand, copy in trained.own.items()}
    assert len(set(bases.values())) == 2
    for brand in ("ant", "bee"):
        text = small_federation.value(brand, "select model_text from fed_audience.model_registry")
        assert text == to_text(replace(trained.result.model, base_scores=bases[brand]))


def test_site_weights_and_a_weight_column_change_the_model(
    small_federation: SmallFederation,
) -> None:
    plain = small_federation.settings.models[0]
    texts = set()
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"site_weights": {"bee": 0.25}},
        {"weight": "f_spend", "max_weight": 5_000.0},
    )
    for changes in ways:
        for brand in ("ant", "bee"):
            small_federation.execute(
                brand, "update fed_audience.training_requests set status = 'pending'"
            )
        model = plain.model_copy(update=changes)
        trained = train_model(small_federation.settings, model, as_of=NOW, category_key=b"k" * 32)
        names = {feature.name for feature in trained.manifest.features}
        assert model.weight not in names
        texts.add(trained.result.model_text)
    assert len(texts) == 3


def test_a_brand_without_a_request_leaves_the_others_queued(
    small_federation: SmallFederation,
) -> None:
    small_federation.execute("bee", "delete from fed_audience.training_requests")
    refuse(small_federation, DataError, "bee has not queued .* run `dbt build` for bee")
    assert (
        small_federation.value("ant", "select status from fed_audience.training_requests")
        == "pending"
    )


def test_nobody_asked(small_federation: SmallFederation) -> None:
    for brand in ("ant", "bee"):
        small_federation.execute(brand, "delete from fed_audience.training_requests")
    said = refuse(small_federation, DataError, "no brand has queued a training")
    assert "training_requests at ant, training_requests at bee" in said


def test_only_a_brand_with_another_build_is_stale(small_federation: SmallFederation) -> None:
    small_federation.execute("bee", "update fed_training_repurchase set _fed_build_id = 'x'")
    refuse(small_federation, DataError, "300 of its 300 rows are of another build.*looked in: bee,")
    assert small_federation.requests() == {"ant": "pending", "bee": "stale"}


@pytest.mark.parametrize(
    ("brand", "sql", "kind", "words"),
    [
        (
            "bee",
            QUEUE.format("""replace(spec, '"ant", "bee"', '"wasp"')"""),
            ConfigError,
            "bee did not agree to train repurchase with ant; value: ant; allowed: wasp",
        ),
        (
            "bee",
            QUEUE.format("""replace(spec, '"task"', '"label": "bought", "task"')"""),
            ConfigError,
            "disagree on label of model repurchase; value: ant: label, bee: bought",
        ),
        (
            "bee",
            "alter table fed_training_repurchase alter f_spend type varchar",
            DataError,
            "f_spend is text at one brand and a number at another; value: ant: number, bee: text",
        ),
        (
            "ant",
            "alter table fed_training_repurchase rename customer_id to customerid",
            DataError,
            "ant: the table has no column customer_id.*did you mean 'customerid'",
        ),
        (
            "ant",
            "alter table fed_training_repurchase rename label to y",
            DataError,
            "ant: the table has no column label.*add it to the brand's dbt model",
        ),
        (
            "ant",
            "alter table fed_training_repurchase alter label type varchar",
            DataError,
            "ant: the label is text; value: label; allowed: 0 or 1",
        ),
        (
            "ant",
            "update fed_training_repurchase set customer_id = 'ant1' where customer_id < 'ant002'",
            DataError,
            "ant: a customer stands in the training table more than once; value: 300 rows, 299",
        ),
        (
            "bee",
            "delete from int_consent_ledger where purpose = 'train' and subject_id > 'bee050'",
            DataError,
            "bee has too few consented rows.*allowed: 50 or more",
        ),
    ],
)
def test_what_the_user_mends_leaves_every_request_queued(
    small_federation: SmallFederation,
    brand: str,
    sql: str,
    kind: type[FedAudienceError],
    words: str,
) -> None:
    small_federation.execute(brand, sql)
    refuse(small_federation, kind, words)
    assert small_federation.requests() == PENDING
    assert small_federation.value("ant", "select count(*) from fed_audience.model_registry") == 0


def test_a_brand_without_a_feature_takes_part_unless_that_is_refused(
    small_federation: SmallFederation,
) -> None:
    small_federation.execute("bee", "drop view fct_scoring_features")
    small_federation.execute("bee", "alter table fed_training_repurchase drop f_visits")
    small_federation.edit("- name: repurchase", "- name: repurchase\n    missing_features: refuse")
    refuse(small_federation, DataError, "bee lacks features .* value: f_visits")
    assert small_federation.requests() == PENDING
    small_federation.edit("missing_features: refuse", "missing_features: accept")
    names = [feature.name for feature in train(small_federation).manifest.features]
    assert names == ["f_channel", "f_spend", "f_visits"]


def test_rounds_that_break_end_the_requests_saying_why(small_federation: SmallFederation) -> None:
    small_federation.execute("bee", "update fed_training_repurchase set label = 2 where label = 1")
    refuse(small_federation, FederationError, "site bee refused .label_values.")
    assert small_federation.requests() == {"ant": "failed", "bee": "failed"}
    for brand in ("ant", "bee"):
        sql = "select detail from fed_audience.training_requests"
        assert "site bee refused" in str(small_federation.value(brand, sql))


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "pending"), (ValueError, "failed")]
)
def test_an_interruption_gives_the_requests_back_and_a_fault_does_not(
    small_federation: SmallFederation, error: type[BaseException], status: str
) -> None:
    def stop(_: object) -> None:
        assert small_federation.requests() == {"ant": "claimed", "bee": "claimed"}
        raise error

    settings = small_federation.settings
    with pytest.raises(error):
        train_model(settings, settings.models[0], as_of=NOW, category_key=b"k" * 32, on_event=stop)
    assert small_federation.requests() == {"ant": status, "bee": status}


def test_a_brand_out_of_reach_neither_loses_nor_hides_the_others_requests(
    small_federation: SmallFederation,
) -> None:
    file = small_federation.folder / "bee" / "brand.duckdb"
    away = file.with_suffix(".away")
    file.rename(away)
    refuse(small_federation, WarehouseError, "warehouse file does not exist; looked in: bee,")
    away.rename(file)
    assert small_federation.requests() == PENDING

    def vanish(_: object) -> None:
        (small_federation.folder / "ant" / "brand.duckdb").rename(away)
        raise WarehouseError("gone", fix="mend it")

    settings = small_federation.settings
    with pytest.raises(WarehouseError) as caught:
        train_model(
            settings, settings.models[0], as_of=NOW, category_key=b"k" * 32, on_event=vanish
        )
    assert str(caught.value) == (
        f"gone. To mend it: mend it; the request at ant stays claimed for {LEASE}"
    )
    away.rename(small_federation.folder / "ant" / "brand.duckdb")
    assert small_federation.requests() == {"ant": "claimed", "bee": "pending"}
