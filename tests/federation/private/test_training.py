"""A private run: noise in everything that leaves, an ordinary model, and every integer paid for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import Any

import lightgbm
import numpy as np
import pytest

from fed_audience.errors import ConfigError, FederationError
from fed_audience.federation import Envelope, InProcessTransport, SiteProgram, TrainingResult, train
from fed_audience.federation import messages as m
from fed_audience.federation.private.noisy_bins import noisy_bins
from fed_audience.federation.private.recipe import count_reach, plan_of, row_reach
from fed_audience.gbdt.arithmetic import sigmoids
from fed_audience.gbdt.bins import NumericBins
from fed_audience.gbdt.evaluation import auc
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.gbdt.objectives import objective_of
from fed_audience.privacy.dp.plan import ROW_UNITS, PrivacyTerms
from tests.federation.example import KEY, programs, split, table
from tests.federation.private.example import PUBLIC, no_noise, private_manifest

ROWS = table(6_000, seed=3)
NAMES = ["a", "b", "c"]
TABLES = split(ROWS, np.arange(ROWS.num_rows) % 3, NAMES)
COLUMNS = {name: ROWS[name] for name in ROWS.column_names}
LABELS = ROWS["label"].to_numpy()


def run(
    names: list[str] = NAMES, seen: list[Envelope] | None = None, **changes: Any
) -> TrainingResult:
    tables = TABLES if names == NAMES else {names[0]: ROWS}
    transport = InProcessTransport(programs(tables), None if seen is None else seen.append)
    return train(transport, private_manifest(names, **changes))


def scores(result: TrainingResult) -> np.ndarray:
    return raw_scores(result.model, result.encoder.encode(COLUMNS, KEY)).reshape(-1)


def sent_by(site: str, seen: list[Envelope]) -> list[m.Reply]:
    return [m.decode_reply(e.body) for e in seen if (e.site, e.direction) == (site, "from_site")]


@pytest.mark.parametrize("secure", [True, False])
def test_a_private_model_is_an_ordinary_one_that_orders_the_rows(secure: bool) -> None:  # noqa: FBT001 - a case
    result = run(secure=secure)
    quality = auc(LABELS, scores(result))
    assert quality is not None
    assert quality > 0.72
    booster = lightgbm.Booster(model_str=result.model_text)
    matrix = result.encoder.to_lightgbm(COLUMNS, KEY)
    assert (booster.predict(matrix, raw_score=True) == scores(result)).all()
    assert booster.num_trees() == 30 == len(result.model.trees)
    assert all(len({split.feature for split in tree.splits}) == 1 for tree in result.model.trees)
    assert result.metrics is None
    assert abs(result.counts.rows - 6_000) < 600


def test_two_runs_differ_and_no_one_can_repeat_one() -> None:
    assert run().sha256 != run().sha256


def test_without_noise_the_model_does_not_depend_on_how_rows_are_spread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Leaves but for the rounding of the variance, which the ridge knows."""
    with no_noise(monkeypatch):
        alone = run(["all"], privacy=PrivacyTerms(4, 1e-6, 0))
        three = run(privacy=PrivacyTerms(4, 1e-6, 0))
    assert three.model.bins == alone.model.bins
    for one, other in zip(alone.model.trees, three.model.trees, strict=True):
        assert one.leaf_values == pytest.approx(other.leaf_values, rel=1e-9)
        assert [replace(split, gain=0.0) for split in one.splits] == [
            replace(split, gain=0.0) for split in other.splits
        ]


def test_without_noise_the_first_leaves_are_newton_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    with no_noise(monkeypatch):
        result = run(["all"], epsilon=1e6)
    tree, bins = result.model.trees[0], result.model.bins[0]
    codes = result.encoder.encode(COLUMNS, KEY)[:, 0]
    p = float(sigmoids([result.base_scores[0]])[0])
    for code, value in enumerate(tree.leaf_values[:-1]):
        here = codes == code
        newton = 0.6 * (LABELS[here].sum() - p * here.sum()) / (p * (1 - p) * here.sum() + 1)
        assert value == pytest.approx(np.clip(newton, -1.2, 1.2), abs=1e-3)
    assert isinstance(bins, NumericBins)
    assert tree.leaves == bins.size + 1
    assert tree.leaf_values[-1] == 0.0  # no row lacks the spend


def test_every_vector_that_leaves_is_in_the_accountant() -> None:
    """Mu of the recorded messages, at the variances that are drawn, is the plan's."""
    seen: list[Envelope] = []
    result = run(seen=seen, secure=False)
    plan = result.privacy
    assert plan is not None
    for site in NAMES:
        sent = sent_by(site, seen)
        vectors = [reply for reply in sent if isinstance(reply, m.VectorReply)]
        assert {type(vector) for vector in vectors} == {m.NoisyCounts, m.NoisySums}
        counts = [vector for vector in vectors if isinstance(vector, m.NoisyCounts)]
        sums = [vector for vector in vectors if isinstance(vector, m.NoisySums)]
        assert len(counts) == 1
        reach = row_reach(objective_of(private_manifest(NAMES).parameters).fixed)
        spent = [
            count_reach(3) ** 2 / plan.site_variance("bins", count_reach(3)),
            ROW_UNITS**2 / plan.site_variance("base_rate", ROW_UNITS),
            *[reach**2 / plan.site_variance("trees", reach) for _ in sums],
        ]
        assert sqrt(sum(spent)) == pytest.approx(plan.mu, rel=1e-5)
        assert sqrt(sum(spent)) <= plan.mu


def test_what_a_site_sends_holds_its_share_of_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def counts_of(site: str) -> np.ndarray:
        seen: list[Envelope] = []
        run(seen=seen, secure=False)
        return next(r.integers() for r in sent_by(site, seen) if isinstance(r, m.NoisyCounts))

    with no_noise(monkeypatch):
        exact = counts_of("b")
    plan = plan_of(private_manifest(NAMES, secure=False))
    first, second = (counts_of("b") - exact for _ in range(2))
    assert (first != second).mean() > 0.99
    for noise in (first, second):
        cells = noise[2:]
        planned = plan.site_variance("bins", count_reach(3))
        assert cells.var() == pytest.approx(planned, rel=6 * sqrt(2 / len(cells)))
        assert abs(cells.mean()) < 6 * sqrt(planned / len(cells))
    assert exact[:2].sum() == len(TABLES["b"]) * ROW_UNITS
    assert (exact[2:] % ROW_UNITS == 0).all()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_no_row_moves_a_features_sums_further_than_its_reach(label: float) -> None:
    objective = objective_of(private_manifest(NAMES).parameters)
    raw = np.concatenate([np.linspace(-40, 40, 200_001), [-700.0, 700.0]])
    pairs = np.empty(len(raw), dtype=np.int64)
    objective.gradient_pairs(raw, np.full(len(raw), label), None, pairs)
    gradients, hessians = pairs >> 32, pairs & (2**32 - 1)
    reach = row_reach(objective.fixed)
    assert (gradients**2 + (3 * hessians) ** 2 <= reach**2).all()
    assert reach <= 1.0001 * objective.fixed.gradient_bound


def test_a_number_whose_counts_drown_is_cut_into_equal_parts() -> None:
    spend = PUBLIC[0]
    counts = np.zeros(spend.cells().size + 1, dtype=np.int64)
    bins = noisy_bins(spend, counts, deviation=100.0, max_bin=4)
    assert bins.thresholds == (250.0, 500.0, 750.0)


def test_bins_follow_the_rows_where_counts_speak() -> None:
    age = PUBLIC[2]
    cells = age.cells()
    counts = np.zeros(cells.size + 1, dtype=np.int64)
    codes = np.searchsorted(cells.thresholds, np.arange(20_000) % 50)
    np.add.at(counts, codes, 100)
    bins = noisy_bins(age, counts, deviation=10.0, max_bin=5)
    assert len(bins.thresholds) == 4
    assert bins.thresholds == pytest.approx((10, 20, 30, 40), abs=1.5)


class Scaling(InProcessTransport):
    """A federation in which site c multiplies its gradients and hessians."""

    def __init__(self, sites: dict[str, SiteProgram], factor: int) -> None:
        super().__init__(sites)
        self._factor = factor

    def call(self, body: bytes, to: Any, timeout: float) -> Iterator[tuple[str, bytes]]:
        for site, sent in super().call(body, to, timeout):
            reply = m.decode_reply(sent)
            if site == "c" and isinstance(reply, m.NoisySums):
                words = (reply.integers() * self._factor).view("<u4")
                yield site, m.encode(m.NoisySums(slot=reply.slot, words=words))
            else:
                yield site, sent


def test_a_site_that_scales_its_sums_is_noticed() -> None:
    with pytest.raises(FederationError, match=r"the noisy sums over the sites cannot be right"):
        train(Scaling(programs(TABLES), -100), private_manifest(NAMES, secure=False))


def test_a_delta_of_one_row_ends_the_run_by_name() -> None:
    terms = PrivacyTerms(1, 1 / 3_000)
    with pytest.raises(ConfigError, match="delta is too large"):
        run(privacy=terms)
    with pytest.raises(FederationError, match="loose_delta"):
        run(["all"], privacy=terms)


def test_other_category_keys_at_a_site_are_noticed() -> None:
    sites = programs(TABLES)
    sites["b"] = SiteProgram("b", sites["b"]._opening._source, b"another key")
    with pytest.raises(FederationError, match="category"):
        train(InProcessTransport(sites), private_manifest(NAMES))
