"""Three agents and their coordinator as one process: `python -m tests.jobs.agents_beside_dbt`."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from tests.jobs.three_organisations import SITES, Organisations

MOST_SECONDS = 120.0


def main(folder: Path, ready: Path, stop: Path) -> None:
    """Say by ``ready`` that work begins; greet and train until ``stop`` is there, and a model."""
    organisations = Organisations(folder)
    for site in SITES:
        organisations.start(site)
    program = organisations.coordinator()
    model, deadline = None, time.monotonic() + MOST_SECONDS
    ready.touch()
    while time.monotonic() < deadline and not (model and stop.exists()):
        record = program.step()
        if record is not None and record.stage == "settled":
            model = record.model_sha256
        # A run that met dbt for too long is proposed again a minute later, by this clock.
        organisations.now += timedelta(seconds=30)
        time.sleep(0.1)
    for desk in organisations.desks.values():
        desk.close()
    print(json.dumps({"model": model}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
