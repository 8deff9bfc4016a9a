"""Runs cells, each in a fresh process, and keeps every finished sample on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from benchmarks.plan import PACKAGES, PEERS, Cell
from benchmarks.privacy.plan import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Planned = Cell | Measurement
"""What is run in a process of its own and gives samples."""

PlannedT = TypeVar("PlannedT", bound=Planned)
ROOT: Final = Path(__file__).resolve().parent.parent
PEERS_PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
_LONGEST: Final = 1_800
"""Seconds after which a cell is given up."""


class Samples:
    """Finished samples, one JSON line each, in the order in which they were measured.

    Those of another ``commit`` are not taken up again.
    """

    def __init__(self, path: Path, commit: str = "", *, resume: bool) -> None:
        self._path = path
        self._commit = commit
        self._done: dict[str, dict[str, Any]] = {}
        if resume and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                one = json.loads(line)
                if one["commit"] == commit:
                    self._done[one["run"]] = one["sample"]
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("", encoding="utf-8")

    def get(self, cell: Planned, repeat: int) -> dict[str, Any] | None:
        """Return the sample of an earlier run, if there is one."""
        return self._done.get(_run(cell, repeat))

    def add(self, cell: Planned, repeat: int, sample: dict[str, Any]) -> None:
        """Keep a sample; a failed one is measured again by the next run."""
        run = _run(cell, repeat)
        self._done[run] = sample
        if "failed" in sample:
            return
        with self._path.open("a", encoding="utf-8") as file:
            line = {"run": run, "commit": self._commit, "sample": sample}
            file.write(json.dumps(line) + "\n")


def in_turn(cells: Sequence[PlannedT]) -> Iterator[tuple[PlannedT, int]]:
    """Yield each cell with the number of the repeat: A B C, C B A, A B C, block by block.

    A machine that grows slower or faster while it runs does so for all of them.
    """
    for _, group in groupby(cells, key=lambda cell: cell.block):
        block = list(group)
        for repeat in range(max(cell.repeats for cell in block)):
            for cell in block if repeat % 2 == 0 else block[::-1]:
                if repeat < cell.repeats:
                    yield cell, repeat


def run(
    cells: Sequence[PlannedT],
    home: Path,
    samples: Samples,
    on_cell: Callable[[PlannedT, int, dict[str, Any]], None],
) -> dict[PlannedT, list[dict[str, Any]]]:
    """Run what is not yet in ``samples`` and return all samples by cell."""
    found: dict[PlannedT, list[dict[str, Any]]] = {cell: [] for cell in cells}
    for cell, repeat in in_turn(cells):
        sample = samples.get(cell, repeat)
        if sample is None:
            sample = measure(cell, home)
            samples.add(cell, repeat, sample)
        found[cell].append(sample)
        on_cell(cell, repeat, sample)
    return found


def measure(cell: Planned, home: Path) -> dict[str, Any]:
    """Run one cell in a process of its own; {"failed": why} when it does not end well."""
    if isinstance(cell, Measurement):
        module = f"benchmarks.{cell.part}.{cell.module}"
        order: dict[str, Any] = {"module": module, "options": cell.options}
        with _environment(home) as environment:
            return _asked(Path(sys.executable), "benchmarks.privacy.worker", order, environment)
    python = PEERS_PYTHON if cell.learner in PEERS else Path(sys.executable)
    if not python.exists():
        return {"unavailable": "the environment .venv-bench is absent: make bench-peers"}
    order = {
        "learner": cell.learner,
        "packages": PACKAGES[cell.learner],
        "table": cell.table,
        "rows": cell.rows,
        "seed": cell.seed,
        "cold": cell.cold,
        "home": str(home.resolve()),
        "task": asdict(cell.task),
    }
    with _environment(home, cell.task.threads, uncompiled=cell.uncompiled) as environment:
        return _asked(python, "benchmarks.worker", order, environment)


def _asked(
    python: Path, module: str, order: dict[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-m", module],
            input=json.dumps(order),
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no end after {_LONGEST} s"}
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        return {"failed": f"exit {done.returncode}: {said[-1] if said else 'no word'}"}
    sample: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return sample


@contextmanager
def _environment(
    home: Path, threads: int = 1, *, uncompiled: bool = False
) -> Iterator[dict[str, str]]:
    """Python's own compiled sources are found in ``home``: an installation brings its with it."""
    paths = [str(ROOT), str(ROOT / "connectors"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(home.resolve() / "bytecode"),
    }
    if not uncompiled:
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="kernels-") as empty:
        yield {**environment, "NUMBA_CACHE_DIR": empty}


def _run(cell: Planned, repeat: int) -> str:
    return json.dumps([asdict(cell), repeat], sort_keys=True)
