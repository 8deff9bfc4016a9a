"""Scoring where the rows are: reading, trees and writing, beside LightGBM's predict alone."""

from __future__ import annotations

import statistics
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.measuring import Seconds, peak_bytes, restart_peak
from benchmarks.warehouse.brands import FEATURES, KEY, filled, rows_of, trained
from fed_audience.gbdt.models.reader import load_booster
from fed_audience.warehouse.scores import ScoreStamp, write_scores
from fed_audience.warehouse.scoring import score

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from fed_audience.federation import TrainingResult
    from fed_audience.gbdt.bins.encoding import Encoder
    from fed_audience.warehouse.protocol import Warehouse

STAMP: Final = ScoreStamp("benchmark", "v1", is_rank=False, scored_at=datetime(2026, 1, 1))  # noqa: DTZ001 - naive and UTC
_BLOCK: Final = 100_000


def measure(
    rows: int = 1_000_000,
    features: int = 60,
    trees: int = 100,
    engines: Sequence[str] = ("duckdb", "postgres"),
    repeats: int = 3,
) -> list[dict[str, Any]]:
    """Time the whole of it, and LightGBM's predict; medians of ``repeats``."""
    model = trained(min(rows, 100_000), features, trees)
    booster = load_booster(model.model_text)
    found = []
    for engine in engines:
        with filled(engine, rows, features) as warehouse:
            _score(warehouse, model)  # compiles, and fills the system's cache
            whole, peaks = [], []
            for _ in range(repeats):
                restart_peak()
                whole.append(_score(warehouse, model))
                peaks.append(peak_bytes())
            _compare(warehouse, model, booster, rows_of(0, min(rows, _BLOCK), features))
        bare = _bare(booster, model.encoder, rows, features, repeats)
        walls = [statistics.median(one.wall for one in taken) for taken in (whole, bare)]
        cpus = [statistics.median(one.cpu for one in taken) for taken in (whole, bare)]
        found.append(
            {
                "engine": engine,
                "rows": rows,
                "seconds": round(walls[0], 2),
                "predict_seconds": round(walls[1], 2),
                "ratio": round(walls[0] / walls[1], 2),
                "cpu_ratio": round(cpus[0] / cpus[1], 2),
                "peak_mb": round(statistics.median(peaks) / 1e6),
            }
        )
    return found


def _score(warehouse: Warehouse, model: TrainingResult) -> Seconds:
    began = Seconds.here()
    scores = score(warehouse, FEATURES, model.model_text, model.encoder, key=KEY)
    write_scores(warehouse, scores, STAMP)
    return Seconds.here().since(began)


def _compare(warehouse: Warehouse, model: TrainingResult, booster: Any, rows: pa.Table) -> None:
    """End the measurement when the scores are not LightGBM's, to the last bit.

    ``rows``: the first customers, by whom they are compared.
    """
    columns = {name: rows.column(name) for name in rows.column_names}
    expected = booster.predict(model.encoder.to_lightgbm(columns, KEY))
    written = warehouse.query(
        "select score from fed_audience.scores order by customer_id limit ?", [rows.num_rows]
    )["score"]
    if not np.array_equal(written.to_numpy(), expected):
        raise SystemExit("the scores in the warehouse are not those of LightGBM")


def _bare(booster: Any, encoder: Encoder, rows: int, features: int, repeats: int) -> list[Seconds]:
    """Time predict alone: its matrix is made before."""
    matrix: NDArray[np.float64] = np.empty((rows, features))
    for start in range(0, rows, _BLOCK):
        block = rows_of(start, min(start + _BLOCK, rows), features)
        columns = {name: block.column(name) for name in block.column_names}
        matrix[start : start + _BLOCK] = encoder.to_lightgbm(columns, KEY)
    booster.predict(matrix[:1_000])
    taken = []
    for _ in range(repeats):
        began = Seconds.here()
        booster.predict(matrix)
        taken.append(Seconds.here().since(began))
    return taken
