"""Some sites in one process that answer a request with itself: python -m ... ORDER."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from benchmarks.federation.loopback import LIMITS, SiteHome
from fed_audience.federation.transports.grpc import SiteLink


def main(order: dict[str, Any]) -> None:
    """Serve the sites whose homes ``order`` names, until this process is killed."""
    for name in order["homes"]:
        home = SiteHome.read(Path(name))
        SiteLink(order["address"], home.tls, home.identity, bytes, limits=LIMITS).start()
    signal.pause()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
