"""A whole demo with canaries: values planted in every raw table that nobody else has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fed_audience.demo.generate import DemoData
from fed_audience.demo.run import DemoRun, run_demo
from fed_audience.jobs.pipeline import Listeners
from fed_audience.testing.egress import EgressRecorder

CUSTOMERS = 6_000
CANARY_ROWS = 5
"""Rows of each raw table that are given canaries."""


@dataclass(frozen=True)
class FinishedDemo:
    """A demo run, what crossed its sites' borders while training, and the canaries it held."""

    run: DemoRun
    egress: EgressRecorder
    texts: tuple[str, ...]
    numbers: tuple[float, ...]


def run_with_canaries(folder: Path) -> FinishedDemo:
    recorder = EgressRecorder()
    planted: list[tuple[list[str], list[float]]] = []
    run = run_demo(
        folder,
        customers=CUSTOMERS,
        seed=11,
        setting="kindred",
        listeners=Listeners(on_message=recorder),
        on_generated=lambda data: planted.append(plant(data)),
    )
    texts, numbers = planted[0]
    return FinishedDemo(run, recorder, tuple(texts), tuple(numbers))


def plant(data: DemoData) -> tuple[list[str], list[float]]:
    """Overwrite free text and measures in some rows of every raw table of every brand."""
    texts: list[str] = []
    numbers: list[float] = []
    for brand in data.brands:
        for path in sorted(brand.raw.glob("*.parquet")):
            table = pq.read_table(path)
            rows = np.linspace(0, table.num_rows - 1, CANARY_ROWS, dtype=int)
            for name in table.column_names:
                column = table[name].combine_chunks().to_pylist()
                kind = table.schema.field(name).type
                for row in rows:
                    word = f"canary-{brand.name}-{path.stem}-{name}-{row}"
                    if name == "email" and column[row] is not None:
                        column[row] = f"{word}@example.com"
                        texts.append(column[row])
                    elif name in FREE_TEXT:
                        column[row] = '{"note": "' + word + '"}' if name == "properties" else word
                        texts.append(word)
                    elif pa.types.is_float64(kind) and column[row] is not None:
                        column[row] = round(column[row]) + 0.0001234567 * (len(numbers) + 1)
                        numbers.append(column[row])
                if name == "email" or name in FREE_TEXT or pa.types.is_float64(kind):
                    position = table.column_names.index(name)
                    table = table.set_column(position, name, pa.array(column, kind))
            pq.write_table(table, path)
    return texts, numbers


FREE_TEXT = {
    "_source_system",
    "campaign",
    "coupon",
    "evidence_ref",
    "message_id",
    "product_id",
    "properties",
    "raw_signal",
    "region",
    "session_id",
}
"""Text columns whose values no rule of the package reads, and that name nobody."""
