"""The same training over sockets: what travels differs in nothing from what is handed over."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from fed_audience.federation import Envelope, SiteProgram, train
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.roster import enrol
from fed_audience.privacy.run_keys import OVERRIDES
from fed_audience.privacy.site import SecureSite
from tests.federation.example import manifest, programs, run, split, table
from tests.federation.grpc.network import Federation

SITES = ("north", "south", "west")


def secure_programs(federation: Federation, rows: int = 900) -> dict[str, SiteProgram]:
    found = programs(split(table(rows), np.arange(rows) % len(SITES), SITES))
    roster = enrol(federation.identities.values())
    for name, program in found.items():
        identity = federation.identities[name]
        program.enrol(SecureSite(identity, roster, SiteLedger(), accepts=OVERRIDES))
    return found


def test_a_model_trained_over_mutual_tls_has_the_bytes_of_the_one_trained_in_process(
    tmp_path: Path,
) -> None:
    federation = Federation(tmp_path)
    for site in SITES:
        federation.enrol(site)
    left: list[Envelope] = []
    seen: list[Envelope] = []
    with federation.transport(on_message=seen.append) as transport, ExitStack() as stack:
        for site, program in secure_programs(federation).items():
            link = federation.link(transport.address, site, program.handle, on_message=left.append)
            stack.enter_context(link)
        assert transport.wait_for(SITES, 10) == []
        over_sockets = train(transport, manifest(SITES))
    in_process = run(split(table(900), np.arange(900) % len(SITES), SITES))
    assert over_sockets.model_text == in_process.model_text
    assert over_sockets.rounds == in_process.rounds
    assert over_sockets.protection.secure
    # Each end of the wire saw the same bytes cross the border.
    for site in SITES:
        assert [e for e in left if e.site == site] == [e for e in seen if e.site == site]
