"""fed-audience itself: sites of this process, trained through the real protocol."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.datasets import BLOCK_ROWS, Table
from benchmarks.learners import Fit, Task, UnavailableError, quality
from benchmarks.measuring import Seconds, peak_bytes, restart_peak
from fed_audience.federation import InProcessTransport, Manifest, SiteProgram, TrainingResult, train
from fed_audience.federation.events import BinsAgreed, TrainingEvent
from fed_audience.federation.manifest import overrides_for
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.kernels.codes import row_stride
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY: Final = b"the sites of a benchmark"


def arrow(table: Table, start: int, stop: int) -> pa.RecordBatch:
    """Rows as a warehouse would hand them over: null for a gap, whole numbers for categories."""
    values = table.values(start, stop)
    columns: dict[str, Any] = {}
    for feature, column in enumerate(values):
        gaps = _lent(column, pa.float64(), np.packbits(~np.isnan(column), bitorder="little"))
        columns[f"f{feature}"] = gaps.cast(pa.int64()) if feature in table.categorical else gaps
    columns["label"] = _lent(table.labels(start, stop).astype(np.int32), pa.int32())
    columns["key"] = _lent(np.arange(start, stop), pa.int64())
    return pa.RecordBatch.from_pydict(columns)


def _lent(values: Any, kind: Any, valid: Any = None) -> Any:
    """NumPy's memory as an Arrow array; ``pa.array`` would import pandas, as no warehouse does."""
    return pa.Array.from_buffers(
        kind, len(values), [None if valid is None else pa.py_buffer(valid), pa.py_buffer(values)]
    )


@dataclass(frozen=True, slots=True)
class Streamed:
    """Rows read from disk in batches: nothing is held here."""

    table: Table
    start: int
    stop: int

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, at most ``BLOCK_ROWS`` at a time."""
        for begin in range(self.start, self.stop, BLOCK_ROWS):
            yield arrow(self.table, begin, min(begin + BLOCK_ROWS, self.stop))


@dataclass(frozen=True, slots=True)
class Held:
    """Rows that are in memory before the clock starts."""

    rows: list[pa.RecordBatch]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows."""
        yield from self.rows


@dataclass(slots=True)
class Clock:
    """Reads the clocks and the peak when the bins are agreed: before is binning, after boosting."""

    began: Seconds = field(default_factory=Seconds.here)
    agreed: Seconds | None = None
    binning_peak: int = 0

    def note(self, event: TrainingEvent) -> None:
        """Listen to a training."""
        if isinstance(event, BinsAgreed):
            self.agreed = Seconds.here()
            self.binning_peak = peak_bytes()
            restart_peak()


def manifest(table: Table, task: Task, sites: tuple[str, ...]) -> Manifest:
    """Return the run of a benchmark: the product's own defaults, but for the number of trees.

    Raises UnavailableError for an objective that this version does not train.
    """
    options: dict[str, Any] = {"n_estimators": task.trees, "learning_rate": task.learning_rate}
    kind: Any = "propensity"
    if task.objective != "binary":
        if "objective" not in {field.name for field in fields(TrainingParameters)}:
            raise UnavailableError(f"this version does not train the objective {task.objective}")
        options["objective"], kind = task.objective, "demand"
    return Manifest(
        run_id="benchmark",
        model_name="benchmark",
        task=kind,
        features=tuple(
            Feature(f"f{f}", categorical=f in table.categorical) for f in range(table.features)
        ),
        label="label",
        row_key="key",
        sites=sites,
        overrides=overrides_for(sites, sites),
        parameters=TrainingParameters(**options),
    )


def fit(table: Table, task: Task) -> Fit:
    """Train over ``task.sites`` sites of equal size in this process."""
    borders = np.linspace(0, table.rows, task.sites + 1).astype(int).tolist()
    programs = {}
    for number, (start, stop) in enumerate(itertools.pairwise(borders)):
        rows = Streamed(table, start, stop)
        source = rows if task.streamed else Held(list(rows.batches()))
        name = f"s{number}"
        programs[name] = SiteProgram(name, source, KEY, threads=task.threads)
    transport = InProcessTransport(programs)
    run = manifest(table, task, tuple(programs))
    baseline = restart_peak()
    clock = Clock()
    result = train(transport, run, on_event=clock.note, threads=task.threads)
    ended, boosting_peak = Seconds.here(), peak_bytes()
    assert clock.agreed is not None  # noqa: S101 - a run that ended has agreed its bins
    return Fit(
        binning=clock.agreed.since(clock.began),
        boosting=ended.since(clock.agreed),
        baseline=baseline,
        peak=max(clock.binning_peak, boosting_peak),
        boosting_peak=boosting_peak,
        codes=table.rows * (row_stride(table.features) + table.features),
        quality=quality(table, task, partial(predictions, result, table, task)),
        model=result.sha256,
    )


def predictions(result: TrainingResult, table: Table, task: Task, start: int, stop: int) -> Any:
    """Scores of rows as a site computes them: raw for binary, expected counts for poisson."""
    rows = arrow(table, start, stop)
    columns = {name: rows.column(name) for name in rows.schema.names}
    raw = raw_scores(result.model, result.encoder.encode(columns, KEY))
    return raw if task.objective == "binary" else np.exp(raw)
