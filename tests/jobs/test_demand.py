"""A demand, from the dbt model's request to audiences and report, in one process."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
import pyarrow as pa
import pytest
from pydantic import SecretStr
from rich.console import Console

from fed_audience.errors import ConfigError, DataError, FedAudienceError, FederationError
from fed_audience.federation import ArrowSource, InProcessTransport, Manifest, SiteProgram
from fed_audience.federation import train as train_rounds
from fed_audience.gbdt.models.reader import load_booster
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.jobs.audience import build_audience
from fed_audience.jobs.facts import report_of
from fed_audience.jobs.pipeline import Listeners, Secrets, run_pipeline
from fed_audience.jobs.score import score_model
from fed_audience.jobs.train import TrainedModel, train_model
from fed_audience.report.page import render
from fed_audience.report.terminal import show
from tests.jobs.small_federation import BRANDS, NOW, SmallFederation

KEY = b"k" * 32
LABELS = "update fed_training_repurchase set label = {}"
ORDERS = "floor(f_spend / 9) + cast(substr(customer_id, 4) as integer) % 3"


@pytest.fixture
def demand(small_federation: SmallFederation) -> SmallFederation:
    """Both brands ask how many orders a customer will place."""
    ask(small_federation, "demand")
    for brand in BRANDS:
        small_federation.execute(brand, LABELS.format(ORDERS))
    return small_federation


def ask(federation: SmallFederation, task: str) -> None:
    for brand in BRANDS:
        federation.execute(
            brand,
            "update fed_audience.training_requests"
            f" set spec = replace(spec, 'propensity', '{task}')",
        )


def train(federation: SmallFederation) -> TrainedModel:
    settings = federation.settings
    return train_model(settings, settings.models[0], as_of=NOW, category_key=KEY)


def refuse(federation: SmallFederation, kind: type[FedAudienceError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        train(federation)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("objective", [None, "tweedie", "l2"])
def test_the_model_is_that_of_all_rows_in_one_place_and_scores_are_its_amounts(
    demand: SmallFederation, objective: str | None
) -> None:
    chosen = "early_stopping_round: 3" + (f", objective: {objective}" if objective else "")
    demand.edit("max_depth: 2", f"max_depth: 2, {chosen}")
    trained = train(demand)
    name = {None: "poisson", "l2": "regression"}.get(objective, objective)
    pooled = Manifest(
        run_id="pooled",
        model_name="orders",
        task="demand",
        features=trained.manifest.features,
        label="label",
        row_key="customer_id",
        sites=("pooled",),
        parameters=TrainingParameters.from_options(
            {"n_estimators": 4, "max_depth": 2, "early_stopping_round": 3, "objective": name}
        ),
    )
    rows = pa.concat_tables(trained.training[brand] for brand in BRANDS)
    program = SiteProgram("pooled", ArrowSource(rows), KEY)
    alone = train_rounds(InProcessTransport({"pooled": program}), pooled)
    assert trained.result.sha256 == alone.sha256
    assert f"\nobjective={name}" in alone.model_text
    registry = "select {} from fed_audience.model_registry"
    for brand in BRANDS:
        assert demand.value(brand, registry.format("model_text")) == alone.model_text
        metrics = json.loads(str(demand.value(brand, registry.format("metrics"))))
        assert (metrics["kind"], metrics["objective"]) == ("count", name)
        assert metrics["rmse"] > 0
        assert metrics["deviance"] > 0
        assert "auc" not in metrics

    settings = demand.settings
    list(score_model(settings, settings.models[0], as_of=NOW, category_key=KEY))
    booster = load_booster(alone.model_text)
    for brand in BRANDS:
        with demand.site(brand).open() as warehouse:
            scores = warehouse.query("select * from fed_audience.scores order by customer_id")
            features = warehouse.query("select * from fct_scoring_features order by customer_id")
        columns = {column: features[column] for column in features.column_names}
        amounts = booster.predict(alone.encoder.to_lightgbm(columns, KEY))
        assert scores["score"].to_numpy() == pytest.approx(np.asarray(amounts), rel=1e-12)
        assert scores["customer_id"].to_pylist() == features["customer_id"].to_pylist()
        labels = demand.value(brand, "select avg(label) from fed_training_repurchase")
        assert np.mean(amounts) == pytest.approx(labels, rel=0.15)
        assert np.max(amounts) > 1.0


def test_a_run_compares_brands_by_deviance_and_chooses_the_highest_amounts(
    demand: SmallFederation,
) -> None:
    outcome = run_pipeline(
        demand.settings,
        base=demand.folder,
        as_of=NOW,
        secrets=Secrets(SecretStr("c" * 32), SecretStr("s" * 32)),
        listeners=Listeners(),
    )
    trained = outcome.trained["repurchase"]
    for one in outcome.quality["repurchase"]:
        held_out = trained.held_out[one.site]
        columns = {column: held_out[column] for column in held_out.column_names}
        encoded = trained.result.encoder.to_lightgbm(columns, b"c" * 32)
        mean = np.asarray(load_booster(trained.result.model_text).predict(encoded))
        labels = held_out["label"].to_numpy().astype(float)
        logs = np.log(np.where(labels > 0, labels / mean, 1.0))
        assert one.federated is not None
        assert one.federated.estimate == pytest.approx(
            np.mean(2 * (labels * logs - labels + mean)), rel=1e-9
        )
        assert one.alone is not None
        assert one.gain is not None
        assert one.gain.estimate == pytest.approx(one.alone.estimate - one.federated.estimate)
        assert (one.measure.title, one.positives, one.histogram) == ("deviance", None, None)
    for part in outcome.audiences["top"]:
        point = part.curve.at(0.2)
        assert point.expected is not None
        chosen = demand.value(part.site, "select sum(score) from fed_audience.audience_members")
        assert point.expected == pytest.approx(chosen)
        assert point.count == part.cut.count == 60
        assert (
            demand.value(
                part.site,
                "select min(m.score) >= (select quantile_disc(score, 0.8) from fed_audience.scores)"
                " from fed_audience.audience_members m",
            )
            is True
        )
    facts = report_of(outcome)
    assert facts.run.task == "demand"
    assert (facts.lift, facts.calibration) == ((), ())
    page, terminal = render(facts), StringIO()
    show(facts, Console(file=terminal, width=160))
    for text in (page, terminal.getvalue()):
        assert "deviance" in text
        assert "AUC" not in text
    assert "Expected amount" in page
    assert "Expected positives" not in page
    assert ">Positives<" not in page


def test_one_cut_through_all_brands_is_refused_before_anybody_is_chosen(
    demand: SmallFederation,
) -> None:
    train(demand)
    demand.edit("share: 0.2,", "share: 0.2, cut: federation,")
    settings = demand.settings
    list(score_model(settings, settings.models[0], as_of=NOW, category_key=KEY))
    with pytest.raises(
        ConfigError, match=r"its model expects amounts.*cut each brand by its share"
    ):
        build_audience(settings, settings.audience("top"), as_of=NOW, key=b"k")
    assert demand.value("ant", "select count(*) from fed_audience.audience_members") == 0


@pytest.mark.parametrize("label", ["-1", "null"])
def test_a_label_that_is_no_amount_is_refused_by_its_brand(
    demand: SmallFederation, label: str
) -> None:
    demand.execute("bee", LABELS.format(label) + " where customer_id < 'bee009'")
    refuse(demand, FederationError, "site bee refused .label_values.*label.*a demand a number")
    assert demand.requests() == dict.fromkeys(BRANDS, "failed")
    assert demand.value("ant", "select count(*) from fed_audience.model_registry") == 0


def test_labels_of_nothing_at_all_teach_nothing(demand: SmallFederation) -> None:
    for brand in BRANDS:
        demand.execute(brand, LABELS.format("0"))
    refuse(demand, DataError, "labels of all training rows are zero.*widen the label window")
    assert demand.requests() == dict.fromkeys(BRANDS, "pending")


def test_words_are_no_amounts(demand: SmallFederation) -> None:
    demand.execute("bee", "alter table fed_training_repurchase alter label type varchar")
    refuse(demand, DataError, "bee: the label is text.*or the amount of a demand")
    assert demand.requests() == dict.fromkeys(BRANDS, "pending")


def test_an_objective_of_another_task_is_refused(demand: SmallFederation) -> None:
    demand.edit("max_depth: 2", "max_depth: 2, objective: binary")
    refuse(demand, ConfigError, "task demand cannot be learnt with .* allowed: poisson, tweedie")
    assert demand.requests() == dict.fromkeys(BRANDS, "pending")


def test_several_classes_are_refused_saying_what_is_missing(
    small_federation: SmallFederation,
) -> None:
    ask(small_federation, "multiclass")
    refuse(
        small_federation,
        ConfigError,
        "'multiclass' cannot be trained from dbt: .* one number a customer.*propensity, lookalike, "
        "demand",
    )
    assert small_federation.requests() == dict.fromkeys(BRANDS, "pending")
