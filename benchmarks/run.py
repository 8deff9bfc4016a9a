"""Measure the learner against LightGBM in the same run, and write results.json.

Every figure is a ratio of medians over alternating runs on one machine; absolute seconds belong to
that machine alone. Same rows, same parameters, same floors, same number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa

from fed_audience.federation import ArrowSource, InProcessTransport, Manifest, SiteProgram, train
from fed_audience.federation.events import BinsAgreed, TrainingEvent
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.evaluation import auc
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.gbdt.predictor import raw_scores

RESULTS = Path(__file__).with_name("results.json")
TEST_ROWS = 50_000
NUMERIC, COUNTS, GAPPY, CATEGORICAL = 14, 4, 6, 6


def generated(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a mixed table (numbers, zero-inflated counts, gaps, categories) and its labels."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, NUMERIC))
    numbers[:, 8:] = np.round(np.exp(numbers[:, 8:]), 2)
    counts = rng.poisson(3, (rows, COUNTS)) * (rng.random((rows, COUNTS)) < 0.4)
    gappy = rng.normal(size=(rows, GAPPY))
    gappy[rng.random((rows, GAPPY)) < np.linspace(0.05, 0.4, GAPPY)] = np.nan
    sizes = np.array([4, 12, 30, 60, 120, 200])
    categories = np.minimum(rng.geometric(3.0 / sizes, (rows, CATEGORICAL)) - 1, sizes - 1)
    effects = [np.random.default_rng(f).normal(0, 0.35, size) for f, size in enumerate(sizes)]
    logit = (
        0.5 * numbers[:, 0]
        + 0.4 * np.sin(2 * numbers[:, 1])
        + 0.3 * numbers[:, 2] * numbers[:, 3]
        + 0.2 * np.log1p(numbers[:, 8])
        + 0.15 * counts[:, 0]
        + np.where(np.isnan(gappy[:, 2]), 0.5, 0.3 * np.nan_to_num(gappy[:, 2]))
        + sum(effect[categories[:, f]] for f, effect in enumerate(effects))
    )
    labels = rng.random(rows) < 1 / (1 + np.exp(-(logit - logit.mean() - 1.8)))
    return np.hstack([numbers, counts, gappy, categories]), labels.astype(np.int8)


def ours(
    values: np.ndarray, labels: np.ndarray, sites: int, threads: int, trees: int
) -> tuple[float, float, str]:
    """Return seconds of boosting, AUC on the last TEST_ROWS rows, and the model's hash."""
    columns = values.shape[1]
    names = [f"f{i}" for i in range(columns)]
    table = pa.table(
        {
            **{
                name: pa.array(values[:, i]).cast(pa.int64()).cast(pa.string())
                if i >= columns - CATEGORICAL
                else pa.array(values[:, i], from_pandas=True)
                for i, name in enumerate(names)
            },
            "label": labels,
            "key": np.arange(len(labels)),
        }
    )
    rows = len(labels) - TEST_ROWS
    parts = np.linspace(0, rows, sites + 1).astype(int)
    programs = {
        f"s{i}": SiteProgram(
            f"s{i}",
            ArrowSource(table.slice(parts[i], parts[i + 1] - parts[i])),
            b"benchmark",
            threads=max(1, threads // sites),
        )
        for i in range(sites)
    }
    manifest = Manifest(
        run_id="benchmark",
        model_name="benchmark",
        task="propensity",
        features=tuple(
            Feature(name, categorical=i >= columns - CATEGORICAL) for i, name in enumerate(names)
        ),
        label="label",
        row_key="key",
        sites=tuple(programs),
        parameters=TrainingParameters(n_estimators=trees),
    )
    began: list[float] = []

    def note(event: TrainingEvent) -> None:
        if isinstance(event, BinsAgreed):
            began.append(time.perf_counter())

    result = train(InProcessTransport(programs, threads=threads), manifest, on_event=note)
    seconds = time.perf_counter() - began[0]
    test = table.slice(rows)
    columns_of = dict(zip(test.column_names, test.columns, strict=True))
    scores = raw_scores(result.model, result.encoder.encode(columns_of, b"benchmark"))
    return seconds, auc(labels[rows:], scores) or 0.0, result.sha256


def theirs(values: np.ndarray, labels: np.ndarray, threads: int, trees: int) -> tuple[float, float]:
    """Return LightGBM's seconds of boosting (its Dataset is built before) and its AUC."""
    p = TrainingParameters()
    settings = {
        "objective": "binary",
        "num_leaves": p.num_leaves,
        "max_depth": p.max_depth,
        "learning_rate": p.learning_rate,
        "max_bin": p.max_bin,
        "min_sum_hessian_in_leaf": p.min_child_weight,
        "min_data_in_leaf": p.min_data_in_leaf,
        "num_threads": threads,
        "verbose": -1,
    }
    rows = len(labels) - TEST_ROWS
    categorical = list(range(values.shape[1] - CATEGORICAL, values.shape[1]))
    data = lightgbm.Dataset(
        values[:rows], labels[:rows], categorical_feature=categorical, params=settings
    ).construct()
    began = time.perf_counter()
    booster = lightgbm.train(settings, data, trees)
    seconds = time.perf_counter() - began
    return seconds, auc(labels[rows:], booster.predict(values[rows:], raw_score=True)) or 0.0


def compare(rows: int, trees: int, threads: int, sites: int, repeats: int) -> dict[str, Any]:
    """Alternate the two learners ``repeats`` times and return every sample."""
    values, labels = generated(rows + TEST_ROWS, seed=1)
    ours(values[: 2 * TEST_ROWS], labels[: 2 * TEST_ROWS], sites, threads, 2)  # compile
    samples: dict[str, list[float]] = {"ours": [], "lightgbm": []}
    aucs, digests = {}, set()
    for _ in range(repeats):
        seconds, aucs["ours"], digest = ours(values, labels, sites, threads, trees)
        samples["ours"].append(seconds)
        digests.add(digest)
        seconds, aucs["lightgbm"] = theirs(values, labels, threads, trees)
        samples["lightgbm"].append(seconds)
    ratio = statistics.median(samples["ours"]) / statistics.median(samples["lightgbm"])
    return {
        "rows": rows,
        "features": values.shape[1],
        "trees": trees,
        "threads": threads,
        "sites": sites,
        "seconds": samples,
        "ratio_of_medians": round(ratio, 3),
        "auc": {name: round(value, 5) for name, value in aucs.items()},
        "model_sha256": sorted(digests),
    }


def main() -> int:
    """Run every comparison and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    found = []
    for threads, sites in ((1, 1), (2, 1), (2, 3)):
        one = compare(chosen.rows, chosen.trees, threads, sites, chosen.repeats)
        found.append(one)
        print(
            f"{chosen.rows:,} x {one['features']}, {threads} threads, {sites} sites: "
            f"{one['ratio_of_medians']:.2f} of LightGBM's time, AUC {one['auc']}"
        )
    if len({digest for one in found for digest in one["model_sha256"]}) != 1:
        print("the models differ between runs: the promise is broken")
        return 1
    packages = ("fed-audience", "lightgbm", "numba", "numpy", "pyarrow")
    RESULTS.write_text(
        json.dumps(
            {
                "command": " ".join(["python", "benchmarks/run.py", *sys.argv[1:]]),
                "machine": {
                    "cores": os.cpu_count(),
                    "cpu": platform.machine(),
                    "load": os.getloadavg(),
                },
                "versions": {"python": platform.python_version()}
                | {name: version(name) for name in packages},
                "comparisons": found,
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
