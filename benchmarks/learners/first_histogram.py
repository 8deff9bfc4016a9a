"""From the start of a process to the first histogram that leaves a site, imports included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.learners import Fit, Task
from benchmarks.learners.ours import KEY, Streamed, manifest
from benchmarks.measuring import Seconds, peak_bytes, restart_peak, since_process_start
from fed_audience.federation import Envelope, InProcessTransport, SiteProgram, train
from fed_audience.federation.events import BinsAgreed, TrainingEvent

if TYPE_CHECKING:
    from benchmarks.datasets import Table


class _SeenError(Exception):
    """The histogram left; nothing after it is measured."""


def fit(table: Table, task: Task) -> Fit:
    """Begin a run over one site and stop at its first histogram; ``boosting`` is the time."""
    agreed: list[bool] = []
    seen: list[Seconds] = []

    def note(event: TrainingEvent) -> None:
        if isinstance(event, BinsAgreed):
            agreed.append(True)

    def watch(message: Envelope) -> None:
        if agreed and message.direction == "from_site":
            seen.append(since_process_start())
            raise _SeenError

    baseline = restart_peak()
    site = SiteProgram("s0", Streamed(table, 0, table.rows), KEY, threads=task.threads)
    try:
        train(
            InProcessTransport({"s0": site}, watch), manifest(table, task, ("s0",)), on_event=note
        )
    except _SeenError:
        return Fit(
            binning=None, boosting=seen[0], baseline=baseline, peak=peak_bytes(), quality=0.0
        )
    raise AssertionError("a training ended without a histogram")
