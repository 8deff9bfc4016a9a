"""What is measured of warehouses: each block one module, run alone in a fresh process."""

from __future__ import annotations

from typing import Final

from benchmarks.privacy.plan import Measurement

BLOCKS: Final = {
    "codes": "reading features from a warehouse into one byte each, 1M x 60, six of them text, a "
    "missing value in every tenth place",
    "scoring": "scoring at home, 1M x 60, 100 trees of up to 63 leaves: rows read, scored and "
    "written back, beside LightGBM's predict alone on a matrix that is ready in memory",
    "build": "`dbt build` of the package with all its data tests, 1M customers, 10M events, 3M "
    "orders, DuckDB",
    "request_latency": "from the hook of a `dbt run` that queues a training to its claim by "
    "another process, 20 builds on one DuckDB file; dbt holds the file until it ends",
}
"""Block -> what it measures, and on what."""


def measurements() -> tuple[Measurement, ...]:
    """Return the whole plan, in order."""
    return tuple(Measurement(block, block, part="warehouse") for block in BLOCKS)
