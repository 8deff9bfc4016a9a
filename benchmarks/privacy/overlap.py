"""The overlap of two lists: processor time of both brands a pair, by number of processes."""

from __future__ import annotations

import importlib.util
import os
import time
from typing import Any

from benchmarks.learners import UnavailableError
from fed_audience.privacy.overlap.exchange import answer, ask, result
from fed_audience.privacy.overlap.points import Workers
from fed_audience.privacy.overlap.terms import Policy, Terms

SALT = b"a salt that two brands share"


def measure(people: int = 50_000, processes: tuple[int, ...] = (1, 2)) -> list[dict[str, Any]]:
    """Compare two lists of ``people``, half of them on both, with each number of processes.

    A pair is one person on each list. Raises SystemExit unless the count beneath the noise is
    exact.
    """
    if importlib.util.find_spec("rbcl") is None:
        raise UnavailableError("rbcl is not installed; it comes with fed-audience[overlap]")
    ours = [f"person{number}@example.org" for number in range(people)]
    theirs = [f"person{number}@example.org" for number in range(people // 2, people * 3 // 2)]
    return [_row(ours, theirs, count) for count in processes]


def _row(ours: list[str], theirs: list[str], processes: int) -> dict[str, Any]:
    terms = Terms("benchmark", "fashion", "grocery", Policy("share_partner"))
    began = _clocks()
    with Workers(processes) as workers:
        asked, question = ask(terms, ours, SALT, workers)
        answered, reply = answer(terms, question, theirs, SALT, workers)
        found = result(terms, asked, reply, workers)
    wall, cpu = (now - then for now, then in zip(_clocks(), began, strict=True))
    if found.for_partner - asked.noise - answered.noise != len(set(ours) & set(theirs)):
        raise SystemExit("the count beneath the noise is not exact")
    return {
        "people_a_list": len(ours),
        "processes": processes,
        "cpu_us_a_pair": round(1e6 * cpu / len(ours), 1),
        "wall_us_a_pair": round(1e6 * wall / len(ours), 1),
        "question_bytes_a_person": round(question.points.nbytes / len(ours), 1),
        "answer_bytes_a_person": round((reply.raised.nbytes + reply.points.nbytes) / len(ours), 1),
    }


def _clocks() -> tuple[float, float]:
    """Elapsed seconds, and processor seconds of this process and of those it has ended."""
    return time.perf_counter(), sum(os.times()[:4])
