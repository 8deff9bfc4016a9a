"""The profile by phases: every phase is found, booked once, and left as it was."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.datasets import generated
from benchmarks.learners import Task
from benchmarks.learners.ours import fit
from benchmarks.phases import PHASES, Phases
from fed_audience.federation import InProcessTransport


def test_inner_phase_is_taken_off_the_outer_one() -> None:
    phases = Phases()
    inner = phases.wrap("inner", lambda: time.sleep(0.05))
    phases.wrap("outer", inner)()
    assert phases.wall["inner"] >= 0.05
    assert phases.wall["outer"] < 0.05


def test_training_runs_through_every_phase(tmp_path: Path) -> None:
    phases, untouched = Phases(), InProcessTransport.call
    with phases.watched() as absent:
        fit(generated(tmp_path, "mixed", 2_000), Task(trees=2))
    assert absent == []
    assert phases.wall.keys() == PHASES.keys()
    assert InProcessTransport.call is untouched
