"""Measures from noisy counts: unbiased, with an error that covers what noise and rows do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import Envelope, InProcessTransport, TrainingResult, train
from fed_audience.federation import messages as m
from fed_audience.federation.private.noisy_metrics import (
    CELLS,
    MOST_LOSS,
    SCORES_REACH,
    SUMS,
    NoisyMetrics,
    score_sums,
)
from fed_audience.federation.private.recipe import plan_of
from fed_audience.gbdt.evaluation import auc, logloss
from fed_audience.gbdt.growing.sampling import row_hashes, validation_rows
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.privacy.dp.plan import ROW_UNITS, PrivacyTerms
from tests.federation.example import KEY, programs, split, table
from tests.federation.private.example import no_noise, private_manifest

ROWS = table(6_000, seed=3)
NAMES = ["a", "b", "c"]
TABLES = split(ROWS, np.arange(ROWS.num_rows) % 3, NAMES)
HELD_OUT = validation_rows(row_hashes(ROWS["customer"]), seed=0, fraction=0.2)
TERMS = PrivacyTerms(4.0, 1e-6, evaluate=True)


def run(seen: list[Envelope] | None = None, terms: PrivacyTerms = TERMS) -> TrainingResult:
    transport = InProcessTransport(programs(TABLES), None if seen is None else seen.append)
    return train(transport, private_manifest(NAMES, privacy=terms))


def measured(result: TrainingResult) -> NoisyMetrics:
    assert isinstance(result.metrics, NoisyMetrics)
    return result.metrics


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated scores and the labels that go with them."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(-1.5, 1.2, rows)
    return scores, (rng.random(rows) < 1 / (1 + np.exp(-scores))).astype(float)


def test_without_noise_they_are_those_of_the_rows_held_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with no_noise(monkeypatch):
        result = run()
    columns = {name: ROWS[name] for name in ROWS.column_names}
    scores = raw_scores(result.model, result.encoder.encode(columns, KEY)).reshape(-1)[HELD_OUT]
    labels = ROWS["label"].to_numpy()[HELD_OUT]
    found, exact = measured(result), auc(labels, scores)
    assert (found.rows, found.positives) == (HELD_OUT.sum(), labels.sum())
    assert (result.counts.rows, result.counts.validation_rows) == (
        (~HELD_OUT).sum(),
        HELD_OUT.sum(),
    )
    assert found.auc == pytest.approx(exact, abs=0.004)
    assert found.logloss == pytest.approx(logloss(labels, 1 / (1 + np.exp(-scores))), abs=0.002)
    means = [(group.predicted, group.observed) for group in found.calibration]
    assert 3 <= len(means) <= 10
    assert [one for one, _ in means] == sorted(one for one, _ in means)


def test_rows_held_out_are_in_no_other_sum_and_rows_that_train_not_in_this(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row is in one of them: why the noise of both may be that of the whole promise."""
    seen: list[Envelope] = []
    with no_noise(monkeypatch):
        run(seen)
    plain = private_manifest(NAMES, privacy=TERMS, secure=False)
    seen.clear()
    with no_noise(monkeypatch):
        train(InProcessTransport(programs(TABLES), seen.append), plain)
    counted = {"training": 0, "held out": 0}
    for envelope in seen:
        reply = m.decode_reply(envelope.body) if envelope.direction == "from_site" else None
        if isinstance(reply, m.NoisyCounts):
            counted["training"] += int(reply.integers()[:2].sum()) // ROW_UNITS
        if isinstance(reply, m.NoisyScores):
            counted["held out"] += int(reply.integers()[:-1].sum()) // ROW_UNITS
    assert counted == {"training": (~HELD_OUT).sum(), "held out": HELD_OUT.sum()}


def test_measuring_is_in_the_plan_and_costs_no_mu() -> None:
    measuring = plan_of(private_manifest(NAMES, privacy=TERMS))
    silent = plan_of(private_manifest(NAMES))
    assert measuring.mu == silent.mu
    assert measuring.held_out is not None
    assert measuring.held_out.mu == measuring.mu
    spent = SCORES_REACH**2 / measuring.site_variance("evaluation", SCORES_REACH)
    assert spent**0.5 == pytest.approx(measuring.mu * measuring.honest**0.5, rel=1e-5)
    assert measuring.document()["held_out"]["mu"] == measuring.mu
    assert silent.document()["held_out"] is None
    with pytest.raises(KeyError):
        silent.spending("evaluation")


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_no_row_moves_the_sums_further_than_its_reach(label: float) -> None:
    for score in np.linspace(-30, 30, 241):
        moved = score_sums(np.array([score]), np.array([label]), -1.0)
        assert len(moved) == SUMS
        assert np.sqrt((moved.astype(float) ** 2).sum()) <= SCORES_REACH
        assert moved[:-1].sum() == ROW_UNITS
        assert 0 <= moved[-1] <= ROW_UNITS / 2
    assert score_sums(np.array([1e9]), np.array([0.0]), 0.0)[CELLS - 1] == ROW_UNITS


def test_the_stated_errors_cover_what_noise_and_rows_do() -> None:
    """Over many draws of rows and noise: unbiased, and as far off as was said."""
    rng = np.random.default_rng(11)
    deviation = 4.0 * ROW_UNITS
    truth = auc(drawn(400_000, 1)[1], drawn(400_000, 1)[0])
    assert truth is not None
    errors, inside, noises, losses = [], 0, [], []
    draws = 200
    for seed in range(draws):
        scores, labels = drawn(4_000, 100 + seed)
        exact = score_sums(scores, labels, -1.5)
        noisy = exact + np.rint(rng.normal(0, deviation, len(exact))).astype(np.int64)
        found, plain = (
            NoisyMetrics.of(sums, -1.5, noise)
            for sums, noise in ((noisy, deviation), (exact, 1e-9))
        )
        assert found.auc is not None
        assert plain.auc is not None
        assert found.auc_low is not None
        assert found.auc_high is not None
        assert found.logloss is not None
        assert plain.logloss is not None
        errors.append(found.auc - truth)
        inside += found.auc_low <= truth <= found.auc_high
        noises.append((found.auc - plain.auc) / (found.auc_noise or 1))
        losses.append((found.logloss - plain.logloss) / (found.logloss_noise or 1))
    assert abs(np.mean(errors)) < 0.003
    assert inside >= 0.9 * draws
    assert np.std(noises) == pytest.approx(1, abs=0.2)
    assert np.std(losses) == pytest.approx(1, abs=0.2)


def test_a_calibrated_model_looks_calibrated_within_the_noise() -> None:
    rng = np.random.default_rng(5)
    scores, labels = drawn(20_000, 3)
    sums = score_sums(scores, labels, -1.5)
    noisy = sums + np.rint(rng.normal(0, 4 * ROW_UNITS, len(sums))).astype(np.int64)
    groups = NoisyMetrics.of(noisy, -1.5, 4.0 * ROW_UNITS).calibration
    assert len(groups) >= 5
    for group in groups:
        spread = (group.observed_noise**2 + group.observed * (1 - group.observed) / 1_500) ** 0.5
        assert abs(group.observed - group.predicted) < 5 * spread + 0.01


def test_where_noise_drowns_the_rows_nothing_is_said() -> None:
    scores, labels = drawn(200, 3)
    rng = np.random.default_rng(5)
    sums = score_sums(scores, labels, -1.5)
    noisy = sums + np.rint(rng.normal(0, 50 * ROW_UNITS, len(sums))).astype(np.int64)
    found = NoisyMetrics.of(noisy, -1.5, 50.0 * ROW_UNITS)
    assert (found.auc, found.auc_low, found.logloss, found.calibration) == (None, None, None, ())
    assert found.headline is None
    assert json.loads(found.to_json())["kind"] == "noisy"


def test_a_loss_is_clipped() -> None:
    sums = score_sums(np.full(1_000, 50.0), np.zeros(1_000), 0.0)
    assert NoisyMetrics.of(sums, 0.0, 1e-9).logloss == pytest.approx(MOST_LOSS)


def test_the_headline_says_that_there_is_noise() -> None:
    words = measured(run()).headline
    assert words is not None
    assert words.startswith("AUC 0.")
    assert words.endswith("with noise)")


@pytest.mark.parametrize("terms", [PrivacyTerms(4.0, 1e-6), TERMS])
def test_scores_are_counted_once_and_only_where_it_was_agreed(terms: PrivacyTerms) -> None:
    agreed = private_manifest(NAMES, privacy=terms)
    sites = programs(TABLES)
    result = train(InProcessTransport(sites), agreed)
    assert (result.metrics is not None) == terms.evaluate
    again = m.ScoreNoisily(
        slot=m.Slot(run=agreed.run_id, tree=m.EVALUATION, level=1), updated=0, values=np.zeros(4)
    )
    reply = m.decode_reply(sites["a"].handle(m.encode(again)))
    assert isinstance(reply, m.Refused)
    assert reply.reason == "wrong_state"


def test_a_site_whose_scores_cannot_be_is_noticed() -> None:
    class Negative(InProcessTransport):
        def call(self, body, to, timeout):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as the base
            for site, reply in super().call(body, to, timeout):
                found = m.decode_reply(reply)
                if site == "a" and isinstance(found, m.NoisyScores):
                    words = found.integers() - 10_000 * ROW_UNITS
                    yield site, m.encode(m.NoisyScores(slot=found.slot, words=words.view("<u4")))
                else:
                    yield site, reply

    agreed = private_manifest(NAMES, privacy=TERMS, secure=False)
    with pytest.raises(FederationError, match="a count is negative beyond its noise"):
        train(Negative(programs(TABLES)), agreed)
