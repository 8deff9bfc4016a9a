"""One disturbed run: who is killed when, and what became of the run."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fed_audience.gbdt.models.reader import load_booster, read_model
from fed_audience.privacy.ledger import FileLedger
from tests.chaos.federation import COORDINATOR, Members, Processes
from tests.federation.rounds.test_released_sums import Transcript
from tests.privacy.exact_rank import exposed

LONGEST: Final = 90.0
"""Seconds after which a run is lost: a hundred times what one takes."""

_POLL: Final = 0.004


@dataclass(frozen=True, slots=True)
class Blow:
    """``victims`` are hit ``after`` seconds from the start, and are back ``away`` seconds later.

    ``how``: killed, or stopped as by a network that is cut. Infinite ``away``: for good.
    """

    after: float
    victims: tuple[str, ...]
    how: str
    away: float

    def __str__(self) -> str:
        back = "for good" if self.away > LONGEST else f"for {self.away:.3f} s"
        return f"{self.after:.3f} s: {', '.join(self.victims)} {self.how} {back}"


@dataclass(slots=True)
class Outcome:
    """What became of a run; ``fault`` is empty when it is what was promised.

    ``growing``: seconds from the first tree to the last. ``left``: sites that were killed for good.
    """

    number: int
    blows: list[Blow]
    seconds: float
    growing: float
    kills: int
    left: int = 0
    sha256: str = ""
    stopped: str = ""
    cohort: int = 0
    trees: int = 0
    fault: str = ""

    def document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        blows = [str(blow) for blow in self.blows]
        seconds = {"seconds": round(self.seconds, 2), "growing": round(self.growing, 2)}
        return {**asdict(self), **seconds, "blows": blows}


def drawn_blows(sites: tuple[str, ...], seconds: float, draw: random.Random) -> list[Blow]:
    """Draw one to three blows within the ``seconds`` that a run takes; everybody comes back."""
    blows = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        victims = draw.choice(
            [
                (COORDINATOR,),
                (draw.choice(sites),),
                (COORDINATOR, draw.choice(sites)),
                tuple(draw.sample(sites, 2)),
                (COORDINATOR, *sites),
            ]
        )
        how = draw.choice(("killed", "killed", "killed", "stopped"))
        if how == "stopped":
            victims = victims[-1:]
        after, away = draw.uniform(0, seconds), draw.uniform(0, 0.3)
        blows.append(Blow(after, victims, how, away))
    return sorted(blows, key=lambda blow: blow.after)


def drawn_leaving(sites: tuple[str, ...], seconds: float, draw: random.Random) -> list[Blow]:
    """Draw sites that are killed for good, and in half of the runs a coordinator that is not."""
    gone = tuple(draw.sample(sites, draw.choice((1, 2, 3, 3, 3))))
    blows = [Blow(draw.uniform(0, seconds), gone, "killed", float("inf"))]
    if draw.random() < 0.5:
        blows.append(Blow(draw.uniform(0, seconds), (COORDINATOR,), "killed", 0.1))
    return sorted(blows, key=lambda blow: blow.after)


def disturbed(processes: Processes, blows: list[Blow], *, first_tree: bool = False) -> Outcome:
    """Run to the end under ``blows``; with ``first_tree`` their time begins when it is grown."""
    began, kills, gone = time.monotonic(), 0, 0
    grown: list[float] = []
    for name in (COORDINATOR, *processes.members.manifest.sites):
        processes.start(name)
    left, returning = list(blows), list[tuple[float, Blow]]()
    fault = ""
    try:
        while processes.outcome is None and not fault:
            at = time.monotonic()
            grown += [at] * (processes.trees - len(grown))
            zero = (grown[0] if grown else None) if first_tree else began
            while zero is not None and left and at >= zero + left[0].after:
                blow = left.pop(0)
                hit = _strike(processes, blow)
                kills += hit
                if blow.away < LONGEST:
                    returning.append((at + blow.away, blow))
                else:
                    gone += hit
            for due in [one for one in returning if at >= one[0]]:
                returning.remove(due)
                _bring_back(processes, due[1])
            fault = _fault(processes, at - began)
            time.sleep(_POLL)
    finally:
        processes.end()
    growing = grown[-1] - grown[0] if grown else 0.0
    return Outcome(0, blows, time.monotonic() - began, growing, kills, gone, fault=fault)


def _strike(processes: Processes, blow: Blow) -> int:
    hit = [name for name in blow.victims if name in processes.running]
    for name in hit:
        if blow.how == "killed":
            processes.kill(name)
        else:
            processes.signal(name, signal.SIGSTOP)
    return len(hit) if blow.how == "killed" else 0


def _bring_back(processes: Processes, blow: Blow) -> None:
    for name in blow.victims:
        if name not in processes.running:
            processes.start(name)
        else:
            processes.signal(name, signal.SIGCONT)


def _fault(processes: Processes, seconds: float) -> str:
    """Say what must not be: a process that ends by itself, or a run that does not end."""
    for name, process in processes.running.items():
        code = process.exitcode
        if code is not None and not (name == COORDINATOR and processes.outcome is not None):
            return f"{name} ended by itself ({code}): {processes.words(name)}"
    return f"not over after {LONGEST:g} s" if seconds > LONGEST else ""


def returning(members: Members, folder: Path, number: int, seconds: float, seed: int) -> Outcome:
    """Run number ``number``: everybody who is hit comes back; the bytes are those undisturbed."""
    draw = random.Random(f"{seed} {number}")  # noqa: S311 - which moment, no secret
    processes = Processes(members, folder / f"r{number}", 20.0, 2)
    blows = drawn_blows(members.manifest.sites, seconds, draw)
    outcome = disturbed(processes, blows)
    outcome.number = number
    _read(processes, outcome)
    _tidy(processes, outcome)
    return outcome


def leaving(members: Members, folder: Path, number: int, seconds: float, seed: int) -> Outcome:
    """Run number ``number``: sites leave for good once a tree is grown.

    The model is a model, no combination of what was summed says something of one site, and every
    site that is left has in its ledger whom it was summed with.
    """
    draw = random.Random(f"{seed} leaving {number}")  # noqa: S311 - which moment, no secret
    processes = Processes(members, folder / f"l{number}", 2.0, 0)
    blows = drawn_leaving(members.manifest.sites, seconds, draw)
    outcome = disturbed(processes, blows, first_tree=True)
    outcome.number = number
    found = _read(processes, outcome)
    if found is not None and not outcome.fault:
        outcome.fault = _broken_model(found["text"]) or _leak(processes) or _unbooked(processes)
    _tidy(processes, outcome)
    return outcome


def _read(processes: Processes, outcome: Outcome) -> dict[str, Any] | None:
    found = processes.outcome
    if found is not None:
        outcome.sha256, outcome.stopped = found["sha256"], found["stopped"]
        outcome.cohort, outcome.trees = len(found["cohort"]), found["text"].count("Tree=")
    return found


def _broken_model(text: str) -> str:
    trees = len(read_model(text).trees)
    if not trees or load_booster(text).num_trees() != trees:
        return "the model is no model"
    return ""


def _leak(processes: Processes) -> str:
    manifest = processes.members.manifest
    transcript = Transcript(manifest)
    for envelope in processes.messages():
        transcript(envelope)
    released = transcript.released()
    if not released:
        return "no sum was released"
    shown = exposed(released, manifest.sites)
    return f"sums say something of {shown} alone" if shown else ""


def _unbooked(processes: Processes) -> str:
    """Say which site lacks in its ledger the cohort that the last tree was summed over."""
    found = processes.outcome
    if found is None:
        return "the run did not end"
    cohort = tuple(found["cohort"])
    run = processes.members.manifest.run_id
    for site in cohort:
        record = FileLedger(processes.folder / site / "ledger")._read_run(run)
        if record is None or cohort not in record.opened:
            return f"the ledger of {site} does not name its cohort"
    return ""


def _tidy(processes: Processes, outcome: Outcome) -> None:
    """Remove what a good run left; what a bad one left stays to be looked at."""
    if not outcome.fault:
        shutil.rmtree(processes.folder)
