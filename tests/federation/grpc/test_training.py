"""The same training over sockets: what travels differs in nothing from what is handed over."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import Envelope, SiteProgram, train
from fed_audience.federation import messages as m
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


def test_a_message_of_another_run_ends_its_run_by_name_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    federation = Federation(tmp_path)
    for site in SITES:
        federation.enrol(site)
    earlier: list[bytes] = []
    lying = threading.Event()
    with federation.transport() as transport, ExitStack() as stack:
        found = secure_programs(federation, rows=300)

        def north(body: bytes) -> bytes:
            reply = found["north"].handle(body)
            earlier.append(reply)
            return earlier[3] if lying.is_set() else reply

        for site, program in found.items():
            handle = north if site == "north" else program.handle
            stack.enter_context(federation.link(transport.address, site, handle))
        assert transport.wait_for(SITES, 10) == []
        since = [one.since for one in transport.connected()]
        few = {"n_estimators": 1, "max_depth": 2, "num_leaves": 4}
        first = train(transport, manifest(SITES, **few))
        lying.set()
        with pytest.raises(FederationError, match="site north answered another question"):
            train(transport, manifest(SITES, run_id="2", **few))
        lying.clear()
        # A request of another run is refused by the sites, which name it.
        stale = m.encode(m.FinishTraining(**closing("3")))
        answers = [m.decode_reply(body) for _, body in transport.call(stale, SITES, 5)]
        assert [getattr(answer, "reason", "") for answer in answers] == ["wrong_run"] * 3
        assert "a message belongs to another run" in caplog.text
        again = train(transport, manifest(SITES, run_id="4", **few))
        assert [one.since for one in transport.connected()] == since
    assert again.model_text == first.model_text


def closing(run_id: str) -> dict[str, Any]:
    """Fields of a request that closes nothing."""
    return {
        "slot": m.Slot(run=run_id, tree=1, level=0),
        "split_nodes": np.zeros((0, 4), np.int32),
        "split_rules": np.zeros((0, 3), np.int32),
        "left_codes": np.zeros((0, 32), np.uint8),
        "leaf_nodes": np.zeros((0, 2), np.int32),
        "leaf_values": np.zeros(0),
    }
