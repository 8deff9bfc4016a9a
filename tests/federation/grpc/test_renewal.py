"""Certificates are renewed in their files while everybody runs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fed_audience.federation.development_authority import DevelopmentAuthority
from fed_audience.federation.transports.grpc.tls import ServerContext
from tests.federation.grpc.network import Federation, lines, until
from tests.federation.grpc.test_rounds import cut


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fed_audience.federation.transports.grpc.tls._LOOK_SECONDS", 0.0)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    found = Federation(tmp_path)
    found.enrol("north")
    return found


def test_a_site_comes_back_with_its_renewed_certificate(federation: Federation) -> None:
    with federation.transport() as transport, federation.link(transport.address, "north"):
        transport.wait_for(["north"], 10)
        before = transport.connected()[0]
        federation.authority.issue_site("north", federation.folder / "north", days=99)
        cut(transport, "north")
        until(lambda: bool(transport.connected()) and transport.connected()[0] != before)
        expires = transport.connected()[0].certificate_expires
    assert (expires - before.certificate_expires).days == 69


def test_the_coordinators_renewed_certificate_is_shown_to_the_next_site(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with federation.transport() as transport, federation.link(transport.address, "north"):
        transport.wait_for(["north"], 10)
        # A whole new authority: north, already connected, stays; south knows only the new one.
        federation.authority = DevelopmentAuthority.create()
        federation.coordinator_files()
        federation.enrol("south")
        with federation.link(transport.address, "south"):
            assert transport.wait_for(["north", "south"], 10) == []
    assert lines(caplog, "certificate_renewed")


def test_files_that_are_half_renewed_are_not_used(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    files = federation.coordinator_files()
    served = ServerContext(files)
    first = served.current()
    assert served.current() is first
    old_key = files.key.read_bytes()
    federation.coordinator_files()
    new_key = files.key.read_bytes()
    files.key.write_bytes(old_key)
    assert served.current() is first
    assert "the renewed certificate is not used, the earlier one is: the private key" in caplog.text
    caplog.clear()
    assert served.current() is first
    assert caplog.text == ""
    files.key.write_bytes(new_key)
    assert served.current() is not first
