"""What an operator does to running programs: look, pause, go on, stop in a run, revoke."""

from __future__ import annotations

import re
import signal
import time
import urllib.request

import pytest

from fed_audience.audit.verification import verify
from fed_audience.jobs.run_training import WISH_SECONDS
from tests.jobs.running_programs import OPERATOR, Programs, programs
from tests.jobs.three_organisations import SITES, Organisations

TREES = 20
"""Enough for a run that began to be met before it ends."""


def metric(running: Programs, name: str) -> dict[str, float]:
    """Values of a gauge by the text of its labels, from the page itself."""
    address = f"http://127.0.0.1:{running.metrics}/metrics"
    with urllib.request.urlopen(address, timeout=30) as page:
        text = page.read().decode()
    return {
        labels: float(value)
        for labels, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
    }


def watched(running: Programs) -> str:
    """Meet a run on its way, at whatever level; look at it from all sides."""
    run = str(running.until(lambda status: status["run"])["run"])
    # Without an answer of this brand nothing moves, however fast the machine is.
    running.signal("bee", signal.SIGSTOP)
    for who in ("ant", OPERATOR):
        told = running.command(who, "federation", "status")
        assert re.search(rf"run {run} is under way, \d+ of {TREES} trees", told)
        for site in SITES:
            assert re.search(rf"{site}  connected, signed, version \S+, seen", told)
        # Found at the brand itself; the operator hears nothing of it.
        unknown = "to be trained again: unknown without FED_AUDIENCE_STATE_KEY"
        assert (unknown in told) == (who == "ant")
    assert metric(running, "fed_audience_run_under_way") == {"": 1.0}
    assert metric(running, "fed_audience_site_connected") == {
        f'{{site="{site}"}}': 1.0 for site in SITES
    }
    return run


def test_a_run_is_watched_paused_stopped_in_the_middle_and_ends_and_a_site_is_revoked(
    organisations: Organisations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FED_AUDIENCE_STATE_KEY", raising=False)
    organisations.edit("operator", "n_estimators: 3", f"n_estimators: {TREES}")
    organisations.sign_all()
    with programs(organisations) as running:
        run = watched(running)
        running.command(OPERATOR, "federation", "pause", run)
        time.sleep(3 * WISH_SECONDS)
        running.signal("bee", signal.SIGCONT)
        rested = running.until(lambda status: status["run"] is None)
        assert [one["stage"] for one in rested["runs"]] == ["training"]
        assert metric(running, "fed_audience_run_under_way") == {"": 0.0}

        # A disk that is full for a while ends neither the coordinator nor the run.
        with running.full_disk(OPERATOR):
            time.sleep(0.5)
            last = running.status()
            running.command(OPERATOR, "federation", "resume", run)
            time.sleep(2.0)
            assert running.running[OPERATOR].is_alive()
            assert running.status() == last, "it is written at every step where there is room"

        # Both ends are stopped in the middle of it, orderly, and go on where they were.
        running.until(lambda status: status["run"] == run)
        running.signal("bee", signal.SIGSTOP)
        running.signal(OPERATOR, signal.SIGTERM)
        running.signal("bee", signal.SIGCONT)
        assert running.ended(OPERATOR) == 0
        assert running.stop("bee") == [0]
        running.start(OPERATOR, "bee", once=True)
        assert [running.ended(OPERATOR), running.ended("bee")] == [0, 0]
        (digest,) = set(organisations.models().values())
        assert f"{run}: model {digest}" in running.printed(OPERATOR)

        running.start(OPERATOR)
        connected = {"ant": True, "bee": False, "cat": True}
        running.until(
            lambda status: {one["site"]: one["connected"] for one in status["sites"]} == connected
        )
        assert "1 kept checkpoints are continued" in running.command("cat", "audit", "fetch", run)
        running.command(OPERATOR, "federation", "revoke", "cat")
        assert running.ended("cat") != 0
        running.start("cat")
        assert running.ended("cat") != 0
        assert "roster" in running.printed("cat").splitlines()[-1]
        left = running.until(lambda status: len(status["sites"]) == 2)["sites"]
        assert {one["site"]: one["connected"] for one in left} == {"ant": True, "bee": False}
        assert running.stop(OPERATOR, "ant") == [0, 0]
    log = organisations.folder / OPERATOR / "audit" / f"{run}.jsonl"
    kept = organisations.folder / "cat" / "audit" / "federation"
    assert verify(log, pinned=kept / "trusted.keys", kept=[kept]).unchecked == ()
