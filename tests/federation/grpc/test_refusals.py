"""Who is turned away: by name at both ends, while the other sites go on."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fed_audience.errors import FederationError
from fed_audience.federation.certificates import TlsFiles
from fed_audience.federation.development_authority import DevelopmentAuthority
from fed_audience.federation.transports.grpc import (
    GrpcTransport,
    Limits,
    SiteLink,
    StreamRefused,
    ask_coordinator,
    channel,
)
from fed_audience.federation.transports.grpc.protocol import Versions
from fed_audience.federation.transports.grpc.tls import diagnose
from fed_audience.privacy.identity import SiteIdentity
from tests.federation.grpc.network import Federation, lines, until
from tests.federation.grpc.rogue import said_by_tls


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    found = Federation(tmp_path)
    for site in ("north", "south"):
        found.enrol(site)
    return found


@contextmanager
def undisturbed(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> Iterator[GrpcTransport]:
    """A coordinator with the site north, whose stream must live through what happens."""
    caplog.set_level(logging.INFO)
    with federation.transport() as transport, federation.link(transport.address, "north") as link:
        assert link.wait_connected(10)
        transport.wait_for(["north"], 10)
        before = transport.connected()[0].since
        yield transport
        assert dict(transport.call(b"still there?", ["north"], 5)) == {
            "north": b"echo still there?"
        }
        assert transport.connected()[0].since == before


def ended(link: SiteLink) -> FederationError:
    """Run ``link`` until it gives up; return why."""
    with pytest.raises(FederationError) as caught:
        link.run()
    return caught.value


def logged(caplog: pytest.LogCaptureFixture, reason: str) -> str:
    found = [r for r in lines(caplog, "turned_away") if r.__dict__["reason"] == reason]
    assert found, caplog.text
    return found[0].getMessage()


def signed_elsewhere(federation: Federation, site: str) -> TlsFiles:
    """Files of ``site`` from another authority, which the site's own side trusts as well."""
    elsewhere = DevelopmentAuthority.create()
    files = elsewhere.issue_site(site, federation.folder / "elsewhere")
    files.authority.write_bytes(elsewhere.pem + federation.authority.pem)
    return files


def test_a_certificate_of_another_authority(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with undisturbed(federation, caplog) as transport:
        files = signed_elsewhere(federation, "south")
        error = ended(federation.link(transport.address, "south", tls=files))
    assert "comes from an authority that the coordinator does not trust" in str(error)
    assert "unable to get local issuer certificate" in logged(caplog, "certificate")


@pytest.mark.parametrize(
    ("days", "begins", "ours", "theirs"),
    [
        (1, -3, "the certificate has expired", "it has expired, by the coordinator's clock"),
        (9, +3, "the certificate is not yet valid", "it is not valid yet"),
    ],
)
def test_a_certificate_out_of_its_time(
    federation: Federation,
    caplog: pytest.LogCaptureFixture,
    days: int,
    begins: int,
    ours: str,
    theirs: str,
) -> None:
    with undisturbed(federation, caplog) as transport:
        start = datetime.now(UTC) + timedelta(days=begins)
        federation.authority.issue_site("south", federation.folder / "south", days=days, now=start)
        # The site's own program looks before it connects ...
        assert ours in str(ended(federation.link(transport.address, "south")))
        # ... and a peer that does not look is told by the coordinator.
        with pytest.raises(FederationError, match=theirs):
            diagnose(transport.address, federation.files_of("south"), 5)
    assert ours.removeprefix("the ") in logged(caplog, "certificate")


def test_a_key_that_belongs_to_another_certificate(federation: Federation) -> None:
    south, north = federation.files_of("south"), federation.files_of("north")
    files = TlsFiles(south.certificate, north.key, south.authority)
    error = ended(federation.link("127.0.0.1:1", "south", tls=files))
    assert "the private key belongs to another certificate" in str(error)


def test_the_certificate_of_another_site(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with undisturbed(federation, caplog) as transport:
        files = federation.files_of("north")
        error = ended(federation.link(transport.address, "south", tls=files))
    assert "site south came with the certificate of CN=north, its own is south" in str(error)
    assert "agent" not in logged(caplog, "wrong_subject")


def test_a_certificate_in_a_sites_name_without_its_roster_key(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with undisturbed(federation, caplog) as transport:
        # Even the federation's authority cannot make somebody a member.
        federation.identities["south"] = SiteIdentity.generate("south")
        error = ended(federation.link(transport.address, "south"))
    assert "not endorsed by its key in the roster" in str(error)
    assert "site south" in logged(caplog, "wrong_key")


def test_a_site_that_is_in_no_roster(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with undisturbed(federation, caplog) as transport:
        del federation.members["south"]
        error = ended(federation.link(transport.address, "south"))
    assert "site south is not in the roster of this federation" in str(error)
    assert "site south" in logged(caplog, "unknown_site")


@pytest.mark.parametrize(
    ("name", "reason", "what"),
    [
        ("ENVELOPE", "envelope_version", "the envelope"),
        ("MESSAGES", "message_version", "messages"),
    ],
)
def test_versions_that_do_not_overlap_are_both_named(
    federation: Federation,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reason: str,
    what: str,
) -> None:
    with undisturbed(federation, caplog) as transport:
        monkeypatch.setattr(channel, name, Versions(7, 9))
        error = ended(federation.link(transport.address, "south"))
    words = f"it speaks versions 7 to 9 of {what}, this coordinator 1 to 1"
    assert words in str(error)
    assert words in logged(caplog, reason)


def test_a_newer_site_that_still_speaks_the_old_version_is_let_in(
    federation: Federation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with undisturbed(federation, caplog) as transport:
        monkeypatch.setattr(channel, "ENVELOPE", Versions(1, 9))
        with federation.link(transport.address, "south"):
            assert transport.wait_for(["south"], 10) == []


def test_a_second_agent_of_a_site(federation: Federation, caplog: pytest.LogCaptureFixture) -> None:
    with undisturbed(federation, caplog) as transport:
        error = ended(federation.link(transport.address, "north"))
    assert "site north has an agent already, from 127.0.0.1:" in str(error)
    assert "agent north at 127.0.0.1:" in logged(caplog, "second_agent")


def test_a_site_that_was_removed_does_not_come_back(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with undisturbed(federation, caplog) as transport:
        link = federation.link(transport.address, "south")
        with link:
            transport.wait_for(["south"], 10)
            del federation.members["south"]
            transport.remove("south", "its owner left the federation")
            until(lambda: link.failure is not None)
            assert isinstance(link.failure, StreamRefused)
            assert "(removed): its owner left the federation" in str(link.failure)
        assert transport.sites() == ["north"]


@pytest.mark.parametrize(
    ("certificate", "version", "answer", "reason", "words"),
    [
        (False, ssl.TLSVersion.TLSv1_3, "CERTIFICATE_REQUIRED", "certificate", "no certificate"),
        (True, ssl.TLSVersion.TLSv1_2, "PROTOCOL_VERSION", "tls_version", "TLS 1.3"),
    ],
)
def test_a_peer_without_certificate_or_tls_1_3(
    federation: Federation,
    caplog: pytest.LogCaptureFixture,
    *,
    certificate: bool,
    version: ssl.TLSVersion,
    answer: str,
    reason: str,
    words: str,
) -> None:
    with undisturbed(federation, caplog) as transport:
        files = federation.files_of("south") if certificate else None
        assert said_by_tls(transport.address, files, version=version).endswith(answer)
    assert words in logged(caplog, reason)


@pytest.mark.parametrize(
    ("hosts", "days", "words"),
    [
        (["coordinator.example"], 9, "it is for another address"),
        (["127.0.0.1"], 0, "it has expired"),
    ],
)
def test_a_coordinator_whose_certificate_is_wrong_is_not_joined(
    federation: Federation,
    monkeypatch: pytest.MonkeyPatch,
    hosts: list[str],
    days: int,
    words: str,
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    files = federation.authority.issue_coordinator(
        hosts, federation.folder / "wrong", days=days, now=start
    )
    monkeypatch.setattr(federation, "coordinator_files", lambda: files)
    if days == 0:
        with pytest.raises(FederationError, match="the certificate has expired"):
            federation.transport().__enter__()
        monkeypatch.setattr(
            "fed_audience.federation.transports.grpc.tls.check_files", lambda *_: None
        )
    with federation.transport() as transport:
        error = ended(federation.link(transport.address, "south"))
    assert f"the coordinator's certificate is refused: {words}" in str(error)


def test_a_coordinator_of_another_authority_is_not_joined(federation: Federation) -> None:
    own = DevelopmentAuthority.create()
    files = own.issue_site("south", federation.folder / "south")
    with federation.transport() as transport:
        error = ended(federation.link(transport.address, "south", tls=files))
    assert "an authority that this site does not trust" in str(error)


def test_a_guest_may_send_what_is_meant_for_guests_and_nothing_else(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = federation.authority.issue_site("stranger", federation.folder / "stranger")
    with undisturbed(federation, caplog) as transport:
        transport.on(
            "join", lambda caller, body: f"{caller.role} {caller.site}".encode() + body, guests=True
        )
        transport.on("status", lambda _caller, _body: b"fine")
        joined = ask_coordinator(transport.address, stranger, "join", b"!", site="stranger")
        assert joined == b"guest stranger!"
        with pytest.raises(FederationError, match="refused the message status: there is no such"):
            ask_coordinator(transport.address, stranger, "status", b"", site="stranger")
        visited = ask_coordinator(
            transport.address,
            federation.files_of("south"),
            "status",
            b"",
            site="south",
            identity=federation.identities["south"],
        )
        assert visited == b"fine"
        assert transport.sites() == ["north"]


def test_what_is_too_long_for_a_control_message_is_not_sent(federation: Federation) -> None:
    with pytest.raises(FederationError, match=r"the control message join is too long.*1,048,577"):
        ask_coordinator(
            "127.0.0.1:1", federation.files_of("south"), "join", b"x" * (2**20 + 1), site="south"
        )


def test_no_coordinator_at_the_address_is_tried_again_until_stopped(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with federation.link("127.0.0.1:1", "south", limits=Limits(handshake_seconds=1)) as link:
        assert not link.wait_connected(1)
    assert "the coordinator cannot be reached" in lines(caplog, "link_lost")[0].getMessage()
