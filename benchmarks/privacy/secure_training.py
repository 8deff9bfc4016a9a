"""Measure what masks cost: CPU time of secure training over plain training, in process.

    python benchmarks/privacy/secure_training.py [--rows 300000] [--sites 3] [--bins 64]

Alternating runs of the same rows and parameters, one thread; the figure is the ratio of medians.
Both models must have the same bytes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.federation import ArrowSource, InProcessTransport, Manifest, SiteProgram, train
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from fed_audience.federation import TrainingResult

GOAL = 1.15
"""Most that masks may multiply the CPU time of training by."""


def tables(rows: int, features: int, sites: int) -> dict[str, pa.Table]:
    """Return generated rows with a label that depends on some features, dealt to sites."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, features))
    logit = values[:, 0] + np.sin(2 * values[:, 1]) + values[:, 2] * values[:, 3] - 1.5
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    columns: dict[str, Any] = {f"f{i}": values[:, i] for i in range(features)}
    whole = pa.table({"id": np.arange(rows), "label": labels, **columns})
    owner = np.arange(rows) % sites
    return {f"s{i:03d}": whole.take(np.flatnonzero(owner == i)) for i in range(sites)}


def trained(
    parts: dict[str, pa.Table], parameters: TrainingParameters, *, secure: bool
) -> tuple[TrainingResult, float]:
    """Train once; return the result and its CPU seconds."""
    features = len(next(iter(parts.values())).column_names) - 2
    manifest = Manifest(
        run_id="benchmark",
        model_name="benchmark",
        task="propensity",
        features=tuple(Feature(f"f{i}") for i in range(features)),
        label="label",
        row_key="id",
        sites=tuple(parts),
        secure=secure,
        parameters=parameters,
    )
    programs = {name: SiteProgram(name, ArrowSource(rows), b"key") for name, rows in parts.items()}
    transport = InProcessTransport(programs, threads=1)
    began = time.process_time()
    result = train(transport, manifest)
    return result, time.process_time() - began


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Alternate secure and plain runs; return the ratio of medians and the bytes of a level."""
    parts = tables(arguments.rows, arguments.features, arguments.sites)
    parameters = TrainingParameters(
        n_estimators=arguments.trees, max_depth=6, num_leaves=64, max_bin=arguments.bins
    )
    trained(tables(3_000, arguments.features, arguments.sites), parameters, secure=True)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    results: dict[bool, TrainingResult] = {}
    for _ in range(arguments.repeats):
        for secure in (True, False):
            results[secure], spent = trained(parts, parameters, secure=secure)
            seconds[secure].append(spent)
    if results[True].model_text != results[False].model_text:
        raise SystemExit("secure and plain training gave different models")
    ratio = statistics.median(seconds[True]) / statistics.median(seconds[False])
    return {
        "rows": arguments.rows,
        "features": arguments.features,
        "sites": arguments.sites,
        "bins": arguments.bins,
        "trees": arguments.trees,
        "secure_seconds": round(statistics.median(seconds[True]), 2),
        "plain_seconds": round(statistics.median(seconds[False]), 2),
        "ratio": round(ratio, 3),
        "goal": GOAL,
        "reached": ratio <= GOAL,
        "largest_message_bytes": results[True].largest_message.bytes,
        "bytes_up_per_site": max(results[True].bytes_up.values()),
    }


def main() -> None:
    """Read the arguments, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--sites", type=int, default=3)
    parser.add_argument("--bins", type=int, default=64)
    parser.add_argument("--trees", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
