"""What a brand gains: its own model against the shared one, on its own held-out rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.federation import (
    ArrowSource,
    InProcessTransport,
    Manifest,
    SiteProgram,
    TrainingResult,
    train,
)
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.evaluation import Interval, auc
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.jobs.quality import BrandQuality, measure, scores, train_alone
from tests.jobs.small_federation import training_rows

KEY = b"k" * 32
MANIFEST = Manifest(
    run_id="run",
    model_name="repurchase",
    task="propensity",
    features=(Feature("f_channel", categorical=True), Feature("f_spend"), Feature("f_visits")),
    label="label",
    row_key="customer_id",
    overrides=("two_sites",),
    sites=("ant", "bee"),
    parameters=TrainingParameters(n_estimators=4, max_depth=2),
)


def rows(brand: str, seed: int, count: int = 300) -> pa.Table:
    return training_rows([f"{brand}{n}" for n in range(count)], seed)


@pytest.fixture(scope="module")
def federated() -> TrainingResult:
    programs = {
        name: SiteProgram(name, ArrowSource(rows(name, seed)), KEY)
        for seed, name in enumerate(MANIFEST.sites)
    }
    return train(InProcessTransport(programs), MANIFEST)


def test_both_models_are_measured_on_the_same_held_out_rows(federated: TrainingResult) -> None:
    held_out = rows("new", 7, 200)
    found = measure("ant", rows("ant", 0), held_out, federated, MANIFEST, KEY)
    labels = np.asarray(held_out["label"].to_numpy(), dtype=np.int8)
    assert (found.site, found.rows, found.positives) == ("ant", 200, int(labels.sum()))
    assert found.federated is not None
    assert found.alone is not None
    assert found.gain is not None
    assert found.federated.estimate == pytest.approx(auc(labels, scores(federated, held_out, KEY)))
    assert found.gain.estimate == pytest.approx(found.federated.estimate - found.alone.estimate)
    assert found.histogram is not None
    assert found.histogram.sum(axis=1).tolist() == [200 - labels.sum(), labels.sum()]
    assert 0.6 < found.federated.estimate < 1.0


def test_alone_is_the_model_of_the_brands_own_rows_only(federated: TrainingResult) -> None:
    own = train_alone("ant", rows("ant", 0), MANIFEST, KEY)
    assert own is not None
    assert own.counts.rows == 300
    assert federated.counts.rows == 600
    assert own.sha256 != federated.sha256


def test_a_brand_of_one_class_or_without_rows_has_no_model_alone(federated: TrainingResult) -> None:
    one_class = rows("ant", 0)
    place = one_class.column_names.index("label")
    one_class = one_class.set_column(place, "label", pa.array([0] * 300))
    assert train_alone("ant", one_class, MANIFEST, KEY) is None
    assert train_alone("ant", one_class.slice(0, 0), MANIFEST, KEY) is None
    found = measure("ant", one_class, rows("new", 7, 100), federated, MANIFEST, KEY)
    assert (found.alone, found.gain, found.verdict) == (None, None, None)
    assert found.federated is not None


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(0.05, "gains"), (0.01, "no difference"), (-0.01, "no difference"), (-0.05, "loses")],
)
def test_a_verdict_needs_the_whole_interval(gain: float, verdict: str) -> None:
    quality = BrandQuality("ant", 1, 1, None, None, None, np.zeros((2, 1), np.int64))
    assert replace(quality, gain=Interval(gain, 0.01, gain - 0.02, gain + 0.02)).verdict == verdict


def test_a_brand_with_its_own_copy_is_measured_by_it(federated: TrainingResult) -> None:
    held_out = rows("new", 7, 200)
    worse = replace(federated.model, trees=federated.model.trees[:1])
    shared = measure("ant", rows("ant", 0), held_out, federated, MANIFEST, KEY)
    own = measure("ant", rows("ant", 0), held_out, federated, MANIFEST, KEY, worse)
    assert own.alone == shared.alone
    assert own.federated != shared.federated
