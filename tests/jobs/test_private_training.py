"""Training over small brands with noise: what is promised, paid for, refused and told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm
import pytest
from pydantic import SecretStr

from fed_audience.errors import (
    BudgetError,
    ConfigError,
    ContractError,
    DataError,
    FedAudienceError,
)
from fed_audience.federation import Envelope
from fed_audience.federation import messages as m
from fed_audience.federation.private.noisy_metrics import NoisyMetrics
from fed_audience.gbdt.models.reader import read_model
from fed_audience.jobs.facts import report_of
from fed_audience.jobs.members import Members
from fed_audience.jobs.pipeline import Listeners, Secrets, run_pipeline
from fed_audience.jobs.train import TrainedModel, train_model
from fed_audience.privacy.budget import BudgetBook
from fed_audience.privacy.dp.accounting import mu_of
from fed_audience.report.page import render
from tests.federation.private.example import no_noise
from tests.jobs.small_federation import BRANDS, NOW, SmallFederation
from tests.jobs.test_contracts import agreed, signed

PRIVACY = "\n    privacy: {epsilon: 2, delta: 1e-4}"
PUBLIC = """\
public_values:
  f_spend: {low: 0, high: 300}
  f_visits: {low: 0, high: 20}
  f_channel: {categories: [email, paid, app]}
"""
TREES = "    parameters: {n_estimators: 4, max_depth: 2}"
QUEUE = (
    "update fed_audience.training_requests set status = 'pending', claimed_at = null,"
    " claimed_by = null, finished_at = null"
)


@pytest.fixture
def private(small_federation: SmallFederation) -> SmallFederation:
    """Two brands that agreed to noise; each may spend a little more than two such runs."""
    small_federation.edit(TREES, TREES + PRIVACY)
    small_federation.edit("models:\n", f"{PUBLIC}models:\n")
    for brand in BRANDS:
        book(small_federation).limit(brand, 3.2, 1e-4)
    return small_federation


def book(federation: SmallFederation) -> BudgetBook:
    return BudgetBook(federation.settings.budget_book)


def train(federation: SmallFederation, seen: list[Envelope] | None = None) -> TrainedModel:
    settings = federation.settings
    return train_model(
        settings,
        settings.models[0],
        as_of=NOW,
        category_key=b"k" * 32,
        on_message=None if seen is None else seen.append,
    )


def refuse(federation: SmallFederation, kind: type[FedAudienceError], words: str) -> None:
    """The run is refused by name, nothing left and nothing was spent."""
    seen: list[Envelope] = []
    with pytest.raises(kind, match=words):
        train(federation, seen)
    assert seen == []
    assert all(balance.charges == () for balance in book(federation).balances())
    assert federation.requests() == dict.fromkeys(BRANDS, "pending")


def test_model_registry_result_and_log_say_what_was_promised(private: SmallFederation) -> None:
    seen: list[Envelope] = []
    trained = train(private, seen)
    plan = trained.result.privacy
    assert plan is not None
    assert (plan.terms.epsilon, plan.terms.delta, plan.colluders) == (2.0, 1e-4, 1)
    for brand in BRANDS:
        text = private.value(brand, "select model_text from fed_audience.model_registry")
        assert text == trained.result.model_text
        promised = read_model(str(text)).privacy
        assert promised is not None
        assert json.loads(promised) == plan.document()
        for table in ("model_registry", "training_runs"):
            told = private.value(brand, f"select metrics from fed_audience.{table}")
            assert json.loads(str(told))["privacy"] == plan.document()
    assert lightgbm.Booster(model_str=trained.result.model_text).num_trees() == 9
    log = private.settings.audit.folder / f"{trained.manifest.run_id}.jsonl"
    kinds = [line["type"] for line in entries(log)]
    assert kinds.count("privacy_promised") == 1
    assert [one["site"] for one in entries(log) if one["type"] == "budget_charged"] == list(BRANDS)
    (started,) = (one for one in entries(log) if one["type"] == "run_started")
    assert started["rows"] == []
    vectors = {
        type(reply)
        for envelope in seen
        if envelope.direction == "from_site"
        and isinstance(reply := m.decode_reply(envelope.body), m.VectorReply)
    }
    assert vectors == {m.NoisyCounts, m.NoisySums, m.NoisyScores}


def entries(log: Path) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in log.read_text().splitlines())
    return [line["entry"] for line in lines if "entry" in line]


def test_every_brand_pays_for_the_whole_run_and_keeps_what_it_sent(
    private: SmallFederation,
) -> None:
    trained = train(private)
    for brand in BRANDS:
        (charge,) = book(private).balance(brand).charges
        assert charge.run_id == trained.manifest.run_id
        assert charge.mu == pytest.approx(mu_of(2.0, 1e-4), rel=1e-9)
        folder = Members(private.settings).releases(brand) / trained.manifest.sha256
        assert len(list(folder.iterdir())) == 2 + trained.manifest.parameters.n_estimators


def test_it_is_measured_on_the_rows_that_each_brand_keeps_aside(
    private: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_noise(monkeypatch):
        trained = train(private)
    kept_aside = sum(rows.num_rows for rows in trained.held_out.values())
    found = trained.result.metrics
    assert isinstance(found, NoisyMetrics)
    assert found.rows == kept_aside == trained.result.counts.validation_rows
    assert trained.result.counts.rows == sum(rows.num_rows for rows in trained.training.values())
    told = private.value("ant", "select metrics from fed_audience.model_registry")
    assert json.loads(str(told))["auc"] == found.auc
    assert json.loads(str(told))["kind"] == "noisy"


def test_without_rows_kept_aside_nothing_is_measured(private: SmallFederation) -> None:
    private.edit("  - name: repurchase", "  - name: repurchase\n    holdout_fraction: 0")
    trained = train(private)
    assert trained.result.metrics is None
    assert trained.result.privacy is not None
    assert trained.result.privacy.held_out is None


def test_a_run_that_one_brand_cannot_pay_costs_no_brand_anything(private: SmallFederation) -> None:
    book(private).limit("bee", 0.5, 1e-4)
    refuse(private, BudgetError, "bee: this run costs epsilon")


def test_the_runs_end_where_the_budget_does(private: SmallFederation) -> None:
    for _ in range(2):
        train(private)
        for brand in BRANDS:
            private.execute(brand, QUEUE)
    with pytest.raises(BudgetError, match="ant: this run costs"):
        train(private)
    assert [len(one.charges) for one in book(private).balances()] == [2, 2]


def test_one_brand_more_or_less_on_the_same_build_shows_nobody_through_noise(
    private: SmallFederation,
) -> None:
    """Without noise the difference of both runs' sums would be the other brand's own."""
    train(private)
    for brand in BRANDS:
        private.execute(brand, QUEUE)
    private.edit("  - name: repurchase", "  - name: repurchase\n    sites: [ant]")
    assert train(private).manifest.sites == ("ant",)


def test_a_brand_whose_owner_set_no_limit_takes_no_part(small_federation: SmallFederation) -> None:
    small_federation.edit(TREES, TREES + PRIVACY)
    small_federation.edit("models:\n", f"{PUBLIC}models:\n")
    refuse(small_federation, BudgetError, "has not said how much privacy it may spend")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  f_visits: {low: 0, high: 20}\n", "", "have no public range"),
        ("f_spend: {low: 0, high: 300}", "f_spend: {categories: [a]}", "f_spend has no public"),
        ("{epsilon: 2, delta: 1e-4}", "{epsilon: 2, delta: 0.01}", "delta is too large"),
        (PRIVACY, f"{PRIVACY}\n    continuation: true", "continuation"),
        (PRIVACY, f"{PRIVACY}\n    brand_base: true", "brand_base"),
        (PRIVACY, f"{PRIVACY}\n    bisect: true", "bisect"),
        (PRIVACY, f"{PRIVACY}\n    weight: f_spend", "privacy does not go with weight"),
        (PRIVACY, f"{PRIVACY}\n    site_weights: {{ant: 2}}", "site_weights"),
        ("max_depth: 2}", "early_stopping_round: 2}", "does not go with early stopping"),
        ("delta: 1e-4}", "delta: 1e-4, colluders: 2}", "every site may collude"),
    ],
)
def test_what_cannot_be_kept_private_is_refused_by_name(
    private: SmallFederation, old: str, new: str, words: str
) -> None:
    private.edit(old, new)
    refuse(private, ConfigError, words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epsilon: 2", "epsilon: 0", "epsilon promises nothing"),
        ("delta: 1e-4", "delta: 1", "delta promises nothing"),
        ("delta: 1e-4", "passes: 0", "passes"),
        ("delta: 1e-4", "detla: 1e-4", "did you mean 'delta'"),
        ("low: 0, high: 20", "low: 9, high: 2", "low at most high"),
        ("low: 0, high: 20", "low: 0", "needs a public range"),
        ("[email, paid, app]", "[email, email]", "cannot be told apart"),
    ],
)
def test_settings_that_promise_nothing_are_refused_when_they_are_read(
    private: SmallFederation, old: str, new: str, words: str
) -> None:
    private.edit(old, new)
    with pytest.raises(ConfigError, match=words) as caught:
        _ = private.settings
    assert "\n" not in str(caught.value)


def test_what_the_brands_signed_bounds_the_noise_and_makes_categories_public(
    small_federation: SmallFederation,
) -> None:
    agreed(small_federation)
    small_federation.edit(
        "overrides: [two_sites]", "overrides: [two_sites], epsilon: 2, delta: 1e-4"
    )
    small_federation.edit("type: category}", "type: category, vocabulary: [email, paid]}")
    small_federation.edit("  - name: repurchase\n", f"  - name: repurchase{PRIVACY}\n")
    public = "public_values: {f_spend: {low: 0, high: 300}}\n"
    small_federation.edit("models:\n", f"{public}models:\n")
    for brand in BRANDS:
        book(small_federation).limit(brand, 9, 1e-4)
    trained = train(signed(small_federation))
    (channel, spend) = trained.manifest.public
    assert (channel.categories, spend.high) == (("email", "paid"), 300)
    for brand in BRANDS:
        small_federation.execute(brand, QUEUE)
    small_federation.edit(PRIVACY, PRIVACY.replace("epsilon: 2", "epsilon: 2.5"))
    with pytest.raises(ContractError, match=r"differs from the signed contract in privacy.epsilon"):
        train(small_federation)
    assert [len(one.charges) for one in book(small_federation).balances()] == [1, 1]


def test_a_brand_that_lacks_a_feature_takes_no_part(private: SmallFederation) -> None:
    private.execute("bee", "drop view fct_scoring_features")
    private.execute("bee", "alter table fed_training_repurchase drop column f_visits")
    refuse(private, DataError, "bee lacks features")


def test_parameters_that_the_recipe_has_its_own_of_are_named(private: SmallFederation) -> None:
    private.edit("delta: 1e-4}", "delta: 1e-4, passes: 2}")
    trained = train(private)
    assert trained.manifest.parameters.n_estimators == 6 == len(trained.result.model.trees)
    assert any("n_estimators, max_depth of federation.yml" in one for one in trained.warnings)


def test_the_report_says_it_and_a_brand_alone_trains_without_noise(
    private: SmallFederation,
) -> None:
    outcome = run_pipeline(
        private.settings,
        base=private.folder,
        as_of=NOW,
        secrets=Secrets(SecretStr("c" * 32), SecretStr("s" * 32)),
        listeners=Listeners(),
        deliver=False,
    )
    facts = report_of(outcome)
    assert facts.privacy is not None
    assert (facts.privacy.epsilon, facts.privacy.delta) == (2.0, 1e-4)
    assert sum(part.share for part in facts.privacy.spent_on) == pytest.approx(1)
    assert "differentially private for one row at one site" in render(facts)
    metrics = outcome.trained["repurchase"].result.metrics
    assert metrics is not None
    assert facts.privacy.measured == metrics.headline
    assert all(one.alone is not None for one in outcome.quality["repurchase"])
