"""Where our own time goes: seconds of one training by phase, elapsed and processor.

python -m benchmarks.phases --data .bench --kind mixed --rows 1000000 --threads 2 --sites 3
"""

from __future__ import annotations

import argparse
import functools
import importlib
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.datasets import SHAPES, generated
from benchmarks.learners import Task
from benchmarks.learners.ours import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PHASES: Final = {
    "read rows, hash categories": "federation.site.opening:read_rows",
    "count values": "federation.site.rows:SiteRows.count",
    "encode rows": "federation.site.rows:SiteRows.encode",
    "choose cuts": "federation.rounds.binning:BinningRounds.run",
    "start trees": "gbdt.growing.booster:RowBooster.start_rooting",
    "gradients": "gbdt.objectives.binary:Binary.gradient_pairs",
    "plan moves": "gbdt.kernels.partition:RowPartition.plan",
    "move rows, sum histograms": "gbdt.growing.booster:RowBooster.start_growing",
    "move rows, add scores": "gbdt.growing.booster:RowBooster.finish_trees",
    "validation loss": "gbdt.growing.booster:RowBooster.validation_loss",
    "grow, choose": "gbdt.growing.lockstep:LockstepGrowth.advance",
    "subtract, find splits": "gbdt.growing.grower:find_splits",
    "write messages": "federation.messages:encode",
    "read requests": "federation.messages:decode_request",
    "read replies": "federation.messages:decode_reply",
    "add replies": "federation.rounds.coordinator:Coordinator.sum",
    "mask, write replies": "federation.site.program:SiteProgram._release",
    "sites, the rest": "federation.transports.in_process:InProcessTransport.call",
    "write the model": "federation.train:to_text",
}
"""Phase -> the function that is it. Time inside another phase's function is that phase's."""


class Phases:
    """Time of each phase, by thread: the time of an inner phase is taken off the outer one."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._open = threading.local()

    def wrap(self, phase: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call`` with its time booked under ``phase``."""

        @functools.wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            stack: list[list[float]] = self._open.__dict__.setdefault("stack", [])
            inner = [0.0, 0.0]
            stack.append(inner)
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
                stack.pop()
                if stack:
                    stack[-1][0] += wall
                    stack[-1][1] += cpu
                with self._lock:
                    self.wall[phase] += wall - inner[0]
                    self.cpu[phase] += cpu - inner[1]

        return timed

    @contextmanager
    def watched(self) -> Iterator[list[str]]:
        """Wrap the function of every phase; give the phases whose function is not there."""
        absent: list[str] = []
        with ExitStack() as undo:
            for phase, place in PHASES.items():
                module, _, path = place.partition(":")
                outer, _, name = path.rpartition(".")
                try:
                    holder: Any = importlib.import_module(f"fed_audience.{module}")
                    holder = getattr(holder, outer) if outer else holder
                    call = getattr(holder, name)
                except (ImportError, AttributeError):
                    absent.append(f"{phase} ({place})")
                    continue
                setattr(holder, name, self.wrap(phase, call))
                undo.callback(setattr, holder, name, call)
            yield absent


def main() -> None:
    """Train once and print the phases, largest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".bench"))
    parser.add_argument("--kind", choices=SHAPES, default="mixed")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sites", type=int, default=1)
    chosen = parser.parse_args()
    rows = generated(chosen.data, chosen.kind, chosen.rows)
    fit(generated(chosen.data, chosen.kind, 2_000), Task(2, chosen.threads, chosen.sites))
    phases = Phases()
    with phases.watched() as absent:
        done = fit(rows, Task(chosen.trees, chosen.threads, chosen.sites))
    assert done.binning is not None  # noqa: S101 - ours always bins apart
    print(
        f"{chosen.kind} {chosen.rows:,} rows, {chosen.threads} threads, {chosen.sites} sites: "
        f"binning {done.binning.wall:.2f} s ({done.binning.cpu:.2f} cpu), "
        f"boosting {done.boosting.wall:.2f} s ({done.boosting.cpu:.2f} cpu), AUC {done.quality:.5f}"
    )
    print(f"{'phase':32}{'elapsed':>9}{'thread cpu':>12}   (pool threads' kernels: elapsed only)")
    for phase, wall in sorted(phases.wall.items(), key=lambda item: -item[1]):
        print(f"{phase:32}{wall:9.3f}{phases.cpu[phase]:12.3f}")
    for phase in absent:
        print(f"not there: {phase}")


if __name__ == "__main__":
    main()
