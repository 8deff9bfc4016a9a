"""From the warehouse to one byte a value: seconds, and the most that was resident meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import Seconds, peak_bytes, restart_peak
from benchmarks.warehouse.brands import FEATURES, KEY, encoder_of, filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins.encoding import Encoder
    from fed_audience.warehouse.protocol import Warehouse


def measure(
    rows: int = 1_000_000,
    features: int = 60,
    engines: Sequence[str] = ("duckdb", "postgres"),
    repeats: int = 3,
) -> list[dict[str, Any]]:
    """Read the features of every customer into codes; the median of ``repeats``."""
    encoder = encoder_of(features)
    found = []
    for engine in engines:
        with filled(engine, rows, features) as warehouse:
            _read(warehouse, encoder, rows)  # compiles, and fills the system's cache
            taken = [_measured(warehouse, encoder, rows) for _ in range(repeats)]
        seconds, cpu, peak = (sorted(column)[repeats // 2] for column in zip(*taken, strict=True))
        found.append(
            {
                "engine": engine,
                "rows": rows,
                "features": features,
                "seconds": round(seconds, 2),
                "cpu_seconds": round(cpu, 2),
                "peak_mb": round(peak / 1e6),
            }
        )
    return found


def _measured(warehouse: Warehouse, encoder: Encoder, rows: int) -> tuple[float, float, float]:
    restart_peak()
    began = Seconds.here()
    _read(warehouse, encoder, rows)
    spent = Seconds.here().since(began)
    return spent.wall, spent.cpu, peak_bytes()


def _read(warehouse: Warehouse, encoder: Encoder, rows: int) -> NDArray[np.uint8]:
    codes = np.empty((rows, len(encoder.features)), dtype=np.uint8)
    names = ", ".join(feature.name for feature in encoder.features)
    at = 0
    for batch in warehouse.stream(f"select {names} from {FEATURES.sql()}"):
        columns = {name: batch.column(name) for name in batch.schema.names}
        codes[at : at + batch.num_rows] = encoder.encode(columns, KEY)
        at += batch.num_rows
    if at != rows:
        raise SystemExit(f"{at} rows came, {rows} are there")
    return codes
