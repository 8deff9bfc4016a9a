"""What masks cost: processor time of secure training over plain training, in process.

Alternating runs of the same rows and parameters, one thread; the figure is the ratio of medians.
Both models must have the same bytes.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fed_audience.federation import ArrowSource, InProcessTransport, Manifest, SiteProgram, train
from fed_audience.federation.manifest import overrides_for
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fed_audience.federation import TrainingResult
    from fed_audience.federation.transport import Envelope


def tables(rows: int, features: int, sites: int) -> dict[str, pa.Table]:
    """Return generated rows with a label that depends on some features, dealt to sites."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, features))
    logit = values[:, 0] + np.sin(2 * values[:, 1]) + values[:, 2] * values[:, 3] - 1.5
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    columns: dict[str, Any] = {"id": np.arange(rows), "label": labels}
    whole = pa.table(columns | {f"f{i}": values[:, i] for i in range(features)})
    owner = np.arange(rows) % sites
    return {f"s{i:03d}": whole.take(np.flatnonzero(owner == i)) for i in range(sites)}


def run_of(
    parts: dict[str, pa.Table], parameters: TrainingParameters, *, secure: bool = True
) -> Manifest:
    """Return the run that trains ``parts`` together."""
    features = len(next(iter(parts.values())).column_names) - 2
    return Manifest(
        run_id="benchmark",
        model_name="benchmark",
        task="propensity",
        features=tuple(Feature(f"f{i}") for i in range(features)),
        label="label",
        row_key="id",
        sites=tuple(parts),
        secure=secure,
        overrides=overrides_for(tuple(parts), tuple(parts)) if secure else (),
        parameters=parameters,
    )


def trained(
    parts: dict[str, pa.Table],
    parameters: TrainingParameters,
    *,
    secure: bool = True,
    on_message: Callable[[Envelope], None] | None = None,
) -> tuple[TrainingResult, float]:
    """Train once; return the result and its processor seconds."""
    programs = {name: SiteProgram(name, ArrowSource(rows), b"key") for name, rows in parts.items()}
    transport = InProcessTransport(programs, on_message)
    began = time.process_time()
    result = train(transport, run_of(parts, parameters, secure=secure))
    return result, time.process_time() - began


def measure(
    rows: int = 300_000,
    features: int = 30,
    sites: int = 3,
    bins: Sequence[int] = (64, 255),
    trees: int = 30,
    repeats: int = 15,
) -> list[dict[str, Any]]:
    """Alternate secure and plain runs; return a row for each number of bins."""
    parts = tables(rows, features, sites)
    return [_ratio(parts, most, trees, repeats) for most in bins]


def _ratio(parts: dict[str, pa.Table], bins: int, trees: int, repeats: int) -> dict[str, Any]:
    parameters = TrainingParameters(n_estimators=trees, max_depth=6, num_leaves=64, max_bin=bins)
    trained({name: rows.slice(0, 1_000) for name, rows in parts.items()}, parameters)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    results: dict[bool, TrainingResult] = {}
    for _ in range(repeats):
        for secure in (True, False):
            results[secure], spent = trained(parts, parameters, secure=secure)
            seconds[secure].append(spent)
    if results[True].model_text != results[False].model_text:
        raise SystemExit("secure and plain training gave different models")
    secure_seconds, plain_seconds = (statistics.median(seconds[one]) for one in (True, False))
    return {
        "bins": bins,
        "rows": sum(len(part) for part in parts.values()),
        "secure_seconds": round(secure_seconds, 2),
        "plain_seconds": round(plain_seconds, 2),
        "ratio": round(secure_seconds / plain_seconds, 4),
        "bytes_up_per_site": max(results[True].bytes_up.values()),
    }
