"""Many sites in one process, each with a connection of its own: python -m ... ORDER.

What they answer: ``echo`` the request itself, ``vector`` a level's sums of a given length, which
nobody computed, ``train`` what a site program makes of its share of a table; the sites of one
process compute in turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.federation.loopback import LIMITS, SiteHome
from benchmarks.scale.streams import serve
from benchmarks.scale.table import KEY, share
from fed_audience.federation import SiteProgram
from fed_audience.federation import messages as m
from fed_audience.federation.transports.grpc.channel import Way
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite

if TYPE_CHECKING:
    from benchmarks.scale.streams import Answer


def main(order: dict[str, Any]) -> None:
    """Serve the sites whose homes ``order`` names, until this process is killed."""
    first = order.get("first", 0)
    homes = [SiteHome.read(Path(name)) for name in order["homes"]]
    with ThreadPoolExecutor(1) as turns:
        sites = [
            (
                Way(home.name, order["address"], home.tls, home.identity, LIMITS),
                _answer(order, home, number, turns),
            )
            for number, home in enumerate(homes, first)
        ]
        asyncio.run(serve(sites))


def _answer(
    order: dict[str, Any], home: SiteHome, number: int, turns: ThreadPoolExecutor
) -> Answer:
    async def echo(body: bytes) -> bytes:
        return body

    async def vector(body: bytes) -> bytes:
        return _ones(body, order["words"])

    if order["answer"] != "train":
        return echo if order["answer"] == "echo" else vector
    rows = share(range(number, number + 1), order["sites"], order["rows"])
    secure = SecureSite(home.identity, home.roster, SiteLedger(), accepts=OVERRIDES)
    program = SiteProgram(home.name, rows, KEY, secure=secure)

    async def computed(body: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(turns, program.handle, body)

    return computed


@lru_cache(maxsize=1)
def _ones(body: bytes, words: int) -> bytes:
    """Answer a level with ones; one copy for all sites of the process."""
    slot = m.decode_request(body).slot
    return m.encode(m.LevelHistogram(slot=slot, words=np.ones(words, np.uint32)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
