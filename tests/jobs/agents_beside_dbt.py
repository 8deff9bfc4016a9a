"""Three agents and their coordinator as one process: `python -m tests.jobs.agents_beside_dbt`."""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

from tests.jobs.three_organisations import SITES, Organisations

MOST_SECONDS = 120.0


def main(folder: Path, stop: Path) -> None:
    """Greet and train until there is a model and ``stop`` is there; print what was done."""
    organisations = Organisations(folder)
    for site in SITES:
        organisations.start(site)
    program = organisations.coordinator()
    model, steps, deadline = None, 0, time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline and not (model and stop.exists()):
        record = program.step()
        steps += 1
        if record is not None and record.stage == "settled":
            model = record.model_sha256
        # A run that met dbt for too long is proposed again a minute later, by this clock.
        organisations.now += timedelta(seconds=30)
        time.sleep(0.02)
    for desk in organisations.desks.values():
        desk.close()
    print(json.dumps({"steps": steps, "model": model}))  # noqa: T201 - a program


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
