"""One site with its rows in memory, in a process of its own: python -m ... ORDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.datasets import generated
from benchmarks.federation.loopback import LIMITS, SiteHome
from benchmarks.learners import Task
from benchmarks.learners.ours import KEY, Held, arrow, manifest
from fed_audience.federation import InProcessTransport, SiteProgram, train
from fed_audience.federation.transports.grpc import SiteLink
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite


def main(order: dict[str, Any]) -> None:
    """Warm up, hold the rows, and serve the coordinator until this process is killed."""
    warm_up(Path(order["tables"]))
    table = generated(Path(order["tables"]), "mixed", order["rows"], 1)
    home = SiteHome.read(Path(order["home"]))
    secure = SecureSite(home.identity, home.roster, SiteLedger(), accepts=OVERRIDES)
    rows = Held([arrow(table, order["start"], order["stop"])])
    program = SiteProgram(home.name, rows, KEY, threads=1, secure=secure)
    SiteLink(order["address"], home.tls, home.identity, program.handle, limits=LIMITS).run()


def warm_up(tables: Path) -> None:
    """Load libraries and link kernels, as every learner may before its clock starts."""
    small = generated(tables, "mixed", 2_000, 0)
    names = ("a", "b", "c")
    programs = {
        name: SiteProgram(name, Held([arrow(small, start, start + 600)]), KEY)
        for name, start in zip(names, (0, 600, 1_200), strict=True)
    }
    train(InProcessTransport(programs), manifest(small, Task(2), names))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
