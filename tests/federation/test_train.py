"""Whole runs: what a caller sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from fed_audience.errors import DataError, FederationError
from fed_audience.federation import ArrowSource, InProcessTransport, SiteProgram, evaluate, train
from fed_audience.federation import events as e
from fed_audience.gbdt.evaluation import Metrics
from fed_audience.gbdt.growing.sampling import row_hashes, validation_rows
from fed_audience.gbdt.models.predictor import raw_scores
from tests.federation.example import FEATURES, KEY, manifest, programs, run, split, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fed_audience.federation import TrainingResult
    from fed_audience.gbdt.bins import Feature

ROWS = table(3_000, seed=4)
TABLES = split(ROWS, np.arange(3_000) % 3, ["fashion", "grocery", "travel"])
STOPPING: dict[str, Any] = {
    "n_estimators": 60,
    "early_stopping_round": 4,
    "learning_rate": 0.5,
    "validation_fraction": 0.25,
}


@pytest.fixture(scope="module")
def stopped() -> TrainingResult:
    return run(TABLES, **STOPPING)


def held_out(seed: int = 0, key: str = "customer") -> np.ndarray[Any, Any]:
    return validation_rows(row_hashes(ROWS[key]), seed=seed, fraction=0.25)


def scores(result: TrainingResult, rows: pa.Table) -> np.ndarray[Any, Any]:
    columns = {name: rows[name] for name in rows.column_names}
    return raw_scores(result.model, result.encoder.encode(columns, KEY, threads=1))


def test_early_stopping_keeps_the_best_iteration(stopped: TrainingResult) -> None:
    losses = stopped.validation_losses
    assert stopped.stopped == "early_stopping"
    assert stopped.best_iteration == int(np.argmin(losses))
    assert stopped.trees_grown == stopped.best_iteration + 4 == len(losses) - 1
    assert len(stopped.model.trees) == stopped.best_iteration
    assert f"Tree={stopped.best_iteration}" not in stopped.model_text


def test_losses_and_metrics_are_those_of_the_validation_rows(stopped: TrainingResult) -> None:
    rows = ROWS.filter(pa.array(held_out()))
    labels = rows["label"].to_numpy()
    raw = scores(stopped, rows)
    loss = log_loss(labels, 1 / (1 + np.exp(-raw)))
    assert stopped.validation_losses[stopped.best_iteration] == pytest.approx(loss, abs=1e-6)
    metrics = stopped.metrics
    assert isinstance(metrics, Metrics)
    assert metrics.auc == pytest.approx(roc_auc_score(labels, raw), abs=1e-4)
    assert (metrics.rows, metrics.positives) == (rows.num_rows, labels.sum())
    assert stopped.counts.validation_rows == rows.num_rows
    assert stopped.counts.rows == 3_000 - rows.num_rows


def test_the_text_loads_and_predicts_what_the_sites_measured(stopped: TrainingResult) -> None:
    columns = {name: ROWS[name] for name in ROWS.column_names}
    booster = lgb.Booster(model_str=stopped.model_text)
    raw = booster.predict(stopped.encoder.to_lightgbm(columns, KEY), raw_score=True)
    assert np.array_equal(raw, scores(stopped, ROWS))


def test_without_early_stopping_every_row_trains_and_every_tree_is_kept() -> None:
    result = run(TABLES, n_estimators=5)
    assert result.stopped == "all_trees"
    assert result.best_iteration == len(result.model.trees) == 5
    assert result.counts.rows == 3_000
    assert result.metrics is None
    assert result.validation_losses == ()


def test_a_tree_of_depth_d_takes_d_rounds() -> None:
    shallow = run(TABLES, n_estimators=4, max_depth=2)
    deep = run(TABLES, n_estimators=4, max_depth=4)
    assert deep.rounds - shallow.rounds == 4 * 2


def test_a_group_stays_on_one_side() -> None:
    result = run(TABLES, group_key="person", **STOPPING)
    assert result.counts.validation_rows == held_out(key="person").sum()


def test_no_gain_ends_the_run_early() -> None:
    result = run(TABLES, min_gain_to_split=1e6)
    assert result.stopped == "no_gain"
    assert result.model.trees == ()
    assert result.importance["spend"].splits == 0


def test_importance_counts_the_kept_splits(stopped: TrainingResult) -> None:
    splits = [split for tree in stopped.model.trees for split in tree.splits]
    assert sum(i.splits for i in stopped.importance.values()) == len(splits)
    spend = [split.gain for split in splits if split.feature == 0]
    assert stopped.importance["spend"].gain == pytest.approx(sum(spend))


def test_the_books_name_what_left_each_site(stopped: TrainingResult) -> None:
    seen: dict[str, int] = {}

    def note(envelope: Any) -> None:
        if envelope.direction == "from_site":
            seen[envelope.site] = seen.get(envelope.site, 0) + len(envelope.body)

    again = run(TABLES, on_message=note, **STOPPING)
    assert again.bytes_up == seen == stopped.bytes_up
    assert stopped.largest_message.bytes <= max(seen.values())
    assert stopped.largest_message.reveals


def test_events_tell_the_run_in_order() -> None:
    events: list[e.TrainingEvent] = []
    agreed = manifest(list(TABLES), **STOPPING)
    result = train(InProcessTransport(programs(TABLES)), agreed, on_event=events.append)
    kinds = [type(event) for event in events]
    assert kinds[0] is e.RunOpened
    assert kinds.index(e.BinningRound) < kinds.index(e.BinsAgreed) < kinds.index(e.TreeGrown)
    assert isinstance(events[-1], e.TrainingStopped)
    assert events[-1].kept == result.best_iteration
    grown = [event.number for event in events if isinstance(event, e.TreeGrown)]
    assert grown == list(range(1, result.trees_grown + 1))
    best = [ev.trees for ev in events if isinstance(ev, e.ValidationMeasured) and ev.best]
    assert best[-1] == result.best_iteration


def test_a_missing_feature_trains_as_missing_values() -> None:
    tables = TABLES | {"travel": TABLES["travel"].drop_columns("country")}
    lacking = run(tables, allow_missing_features=True)
    empty = pa.nulls(TABLES["travel"].num_rows, pa.string())
    place = ROWS.column_names.index("country")
    nulls = TABLES | {"travel": TABLES["travel"].set_column(place, "country", empty)}
    assert lacking.sha256 == run(nulls).sha256
    assert "site travel: feature country is missing; its values are missing" in lacking.warnings


def test_a_missing_feature_is_refused_by_name() -> None:
    tables = TABLES | {"travel": TABLES["travel"].drop_columns("country")}
    with pytest.raises(FederationError, match=r"travel refused .missing_feature.*country"):
        run(tables)


def test_infinities_are_clipped_and_counted_over_all_sites() -> None:
    spend = ROWS["spend"].to_pylist()
    spend[0], spend[1], spend[2] = float("inf"), float("-inf"), float("inf")
    rows = ROWS.set_column(ROWS.column_names.index("spend"), "spend", pa.array(spend))
    result = run(split(rows, np.arange(3_000) % 3, list(TABLES)))
    assert any("feature spend: 3 infinite" in warning for warning in result.warnings)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_over_all_sites_is_an_error(label: int) -> None:
    place = ROWS.column_names.index("label")
    rows = ROWS.set_column(place, "label", pa.array([label] * 3_000))
    with pytest.raises(DataError, match="one class only"):
        run({"a": rows})


def test_no_rows_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="no training rows"):
        run({"a": ROWS.slice(0, 0), "b": ROWS.slice(0, 0)})


def test_more_rows_than_the_cap_is_an_error() -> None:
    with pytest.raises(DataError, match="row_cap"):
        run(TABLES, row_cap=2_000)


def test_different_category_keys_are_an_error() -> None:
    sites = programs(TABLES)
    sites["travel"] = SiteProgram("travel", ArrowSource(TABLES["travel"]), b"another key")
    with pytest.raises(FederationError, match="different keys"):
        train(InProcessTransport(sites), manifest(list(TABLES)))


def test_an_unreachable_site_is_an_error() -> None:
    with pytest.raises(FederationError, match="cannot be reached; value: sport"):
        train(InProcessTransport(programs(TABLES)), manifest([*TABLES, "sport"]))


def only(features: tuple[Feature, ...]) -> TrainingResult:
    return run(TABLES, features=features)


def test_numbers_alone_and_categories_alone_train() -> None:
    numbers, categories = only(FEATURES[:3]), only(FEATURES[3:])
    assert numbers.model.trees
    assert categories.model.trees
    assert all(split.categorical for tree in categories.model.trees for split in tree.splits)


def seed_brand(tables: dict[str, pa.Table], sites: list[str]) -> TrainingResult:
    return run(
        {site: tables[site] for site in sites},
        label_sites=("fashion",),
        task="lookalike",
        features=FEATURES[:3],
    )


def test_label_sites_train_alone_on_bins_of_all() -> None:
    unlabelled = {name: rows.drop_columns("label") for name, rows in TABLES.items()}
    tables = unlabelled | {"fashion": TABLES["fashion"]}
    result = seed_brand(tables, ["fashion", "grocery", "travel"])
    alone = seed_brand(tables, ["fashion"])
    assert result.counts.rows == TABLES["fashion"].num_rows
    assert result.encoder.bins == run(TABLES, features=FEATURES[:3]).encoder.bins
    assert result.encoder.bins != alone.encoder.bins
    assert result.rounds > 10
    assert result.bytes_up["grocery"] < result.bytes_up["fashion"]


def test_evaluate_measures_another_model_on_the_same_rows() -> None:
    transport = InProcessTransport(programs(TABLES))
    agreed = manifest(list(TABLES), **STOPPING)
    result = train(transport, agreed)
    assert evaluate(transport, agreed, result.model) == result.metrics
    stump = run(TABLES, **STOPPING | {"n_estimators": 1}).model
    worse = evaluate(transport, agreed, stump, number=2)
    assert isinstance(worse, Metrics)
    assert isinstance(result.metrics, Metrics)
    assert worse.logloss is not None
    assert result.metrics.logloss is not None
    assert worse.logloss > result.metrics.logloss


class Flaky(InProcessTransport):
    """Loses requests and replies, and delivers some requests twice."""

    def __init__(self, sites: dict[str, SiteProgram], seed: int) -> None:
        super().__init__(sites)
        self._random = np.random.default_rng(seed)

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        draw = {site: self._random.random() for site in to}
        arrived = [site for site in to if draw[site] > 0.1]
        replies = dict(super().call(body, arrived, timeout))
        again = super().call(body, [site for site in arrived if draw[site] > 0.8], timeout)
        assert all(replies[site] == reply for site, reply in again)
        for site, reply in replies.items():
            if draw[site] > 0.2:
                yield site, reply
            if draw[site] > 0.9:
                yield site, reply


@pytest.mark.parametrize("seed", [1, 2])
def test_lost_and_repeated_messages_change_nothing(stopped: TrainingResult, seed: int) -> None:
    agreed = manifest(list(TABLES), **STOPPING)
    flaky = Flaky(programs(TABLES), seed)
    result = train(flaky, agreed, retries=50)
    assert result.sha256 == stopped.sha256
    assert result.metrics == stopped.metrics


def test_early_stopping_without_validation_rows_keeps_every_tree() -> None:
    result = run({"a": table(40, seed=0)}, **STOPPING | {"validation_fraction": 0.0})
    assert result.metrics is None
    assert result.stopped in {"all_trees", "no_gain"}
    assert "no validation rows" in " ".join(result.warnings)
