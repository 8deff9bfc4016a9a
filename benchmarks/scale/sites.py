"""Many sites in one process, each with a connection of its own: python -m ... ORDER.

What they answer: ``echo`` the request itself, ``vector`` a level's sums of a given length, which
nobody computed, ``train`` what a site program makes of its share of a table.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.federation.loopback import LIMITS, SiteHome
from benchmarks.scale.table import KEY, share
from fed_audience.federation import SiteProgram
from fed_audience.federation import messages as m
from fed_audience.federation.transports.grpc import SiteLink
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite

if TYPE_CHECKING:
    from collections.abc import Callable

_MAKING: Final = threading.Lock()
SMALL_PARTS: Final = replace(LIMITS, chunk_bytes=2**20)
"""So that many sites of one process do not hold a long part each."""


def main(order: dict[str, Any]) -> None:
    """Serve the sites whose homes ``order`` names, until this process is killed."""
    for number, name in enumerate(order["homes"], order.get("first", 0)):
        home = SiteHome.read(Path(name))
        handle = _handler(order, home, number)
        SiteLink(order["address"], home.tls, home.identity, handle, limits=SMALL_PARTS).start()
    signal.pause()


def _handler(order: dict[str, Any], home: SiteHome, number: int) -> Callable[[bytes], bytes]:
    if order["answer"] == "echo":
        return bytes
    if order["answer"] == "vector":
        return lambda body: _vector(body, order["words"])
    rows = share(number, order["sites"], order["rows"])
    secure = SecureSite(home.identity, home.roster, SiteLedger(), accepts=OVERRIDES)
    return SiteProgram(home.name, rows, KEY, secure=secure).handle


def _vector(body: bytes, words: int) -> bytes:
    """Answer a level with ones; one copy for all sites of the process."""
    with _MAKING:
        return _ones(body, words)


@lru_cache(maxsize=1)
def _ones(body: bytes, words: int) -> bytes:
    slot = m.decode_request(body).slot
    return m.encode(m.LevelHistogram(slot=slot, words=np.ones(words, np.uint32)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
