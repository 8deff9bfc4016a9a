"""Peers with a valid certificate that break the rules, or take their time."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from fed_audience.federation.transports.grpc import GrpcTransport, Limits
from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.protocol import SERVICE
from fed_audience.federation.transports.grpc.tls import split_address
from tests.federation.grpc import fuzz_port
from tests.federation.grpc.network import LIMITS, Federation, lines, until
from tests.federation.grpc.rogue import RawStream, hello, raw_stream

TIGHT = replace(LIMITS, chunk_bytes=10_000, body_bytes=50_000, control_bytes=10_000)
QUICK = replace(LIMITS, handshake_seconds=1.5, hello_seconds=1.5)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    found = Federation(tmp_path)
    for site in ("north", "rogue"):
        found.enrol(site)
    return found


@contextmanager
def coordinator(federation: Federation, limits: Limits) -> Iterator[GrpcTransport]:
    """With the site north, which is served all the while."""
    with (
        federation.transport(limits=limits) as transport,
        federation.link(transport.address, "north", limits=limits),
    ):
        assert transport.wait_for(["north"], 10) == []
        before = transport.connected()[0].since
        yield transport
        assert dict(transport.call(b"1", ["north"], 5)) == {"north": b"echo 1"}
        assert [one.since for one in transport.connected() if one.site == "north"] == [before]


@contextmanager
def rogue(federation: Federation, transport: GrpcTransport) -> Iterator[RawStream]:
    """An admitted stream of the site rogue."""
    files = federation.files_of("rogue")
    with raw_stream(transport.address, files) as stream:
        stream.send(hello("rogue", federation.identities["rogue"], files))
        assert stream.read().WhichOneof("content") == "welcome"
        until(lambda: "rogue" in transport.sites())
        yield stream


def reply(**fields: Any) -> pb.FromSite:
    return pb.FromSite(reply=pb.Chunk(**fields))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([b"\xff\xff\xff"], "bad_envelope"),
        ([b""], "bad_envelope"),
        ([pb.FromSite(hello=pb.Hello())], "bad_envelope"),
        ([reply(call=9, size=50_001)], "too_long"),
        ([reply(call=9, size=20_000, data=b"x" * 10_001)], "too_long"),
        ([reply(call=9, size=5, data=b"x" * 6)], "bad_chunk"),
        ([reply(call=9, size=5)], "bad_chunk"),
        ([reply(call=9, offset=1, size=5, data=b"x")], "bad_chunk"),
        ([reply(call=9, size=5, data=b"x"), reply(call=8, size=5, offset=1)], "bad_chunk"),
        ([reply(call=9, size=5, data=b"x"), reply(call=9, size=6, offset=1)], "bad_chunk"),
        ([reply(call=9, size=5, data=b"x")] * 2, "bad_chunk"),
        ([pb.FromSite(control=pb.Control(kind="x", body=b"x" * 10_001))], "too_long"),
    ],
)
def test_a_message_against_the_rules_ends_the_stream_with_its_reason(
    federation: Federation,
    caplog: pytest.LogCaptureFixture,
    messages: list[pb.FromSite | bytes],
    reason: str,
) -> None:
    with (
        coordinator(federation, TIGHT) as transport,
        rogue(federation, transport) as stream,
    ):
        stream.send(*messages)
        assert stream.refusal() == reason
        until(lambda: transport.sites() == ["north"])
    assert [r.__dict__["reason"] for r in lines(caplog, "turned_away")] == [reason]
    assert "agent rogue at 127.0.0.1" in caplog.text


@pytest.mark.parametrize(
    "first",
    [
        b"\xff\xff\xff",
        b"",
        reply(call=1, size=1, data=b"x"),
        pb.FromSite(hello=pb.Hello()),
        pb.FromSite(hello=pb.Hello(site="rogue\n", role=pb.ROLE_AGENT, process=b"x" * 16)),
        pb.FromSite(hello=pb.Hello(site="rogue" * 99, role=pb.ROLE_AGENT, process=b"x" * 16)),
    ],
)
def test_a_first_message_that_is_no_hello(
    federation: Federation, first: pb.FromSite | bytes
) -> None:
    with (
        coordinator(federation, LIMITS) as transport,
        raw_stream(transport.address, federation.files_of("rogue")) as stream,
    ):
        stream.send(first)
        assert stream.refusal() == "bad_envelope"


def test_replies_that_nobody_asked_for_are_forgotten(federation: Federation) -> None:
    with coordinator(federation, TIGHT) as transport, rogue(federation, transport) as stream:
        # Call 1 is none of the rogue's: only the site that was asked can answer.
        replies = transport.call(b"1", ["north"], 5)
        for call in (1, 2, 3, 2**64 - 1):
            for offset in range(0, 50_000, 10_000):
                stream.send(reply(call=call, offset=offset, size=50_000, data=b"x" * 10_000))
        assert dict(replies) == {"north": b"echo 1"}
        assert "rogue" in transport.sites()
        assert transport._listener.sessions["rogue"]._assembly._parts == []


def test_a_body_cut_short_is_given_up_with_the_stream(federation: Federation) -> None:
    with coordinator(federation, TIGHT) as transport:
        with rogue(federation, transport) as stream:
            replies = transport.call(b"1", ["rogue", "north"], 4)
            assert next(replies) == ("north", b"echo 1")
            call = stream.read().request.call
            stream.send(reply(call=call, size=40_000, data=b"x" * 10_000))
        until(lambda: transport.sites() == ["north"])
        assert list(replies) == []


def test_a_message_longer_than_a_chunk_is_refused_by_the_channel(federation: Federation) -> None:
    with coordinator(federation, TIGHT) as transport, rogue(federation, transport) as stream:
        stream.send(b"x" * 200_000)
        with pytest.raises(grpc.RpcError) as caught:
            stream.read()
        assert caught.value.code() in {
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.UNKNOWN,
            grpc.StatusCode.CANCELLED,
        }
        until(lambda: transport.sites() == ["north"])


def test_a_peer_that_never_shakes_hands_is_hung_up_on(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        coordinator(federation, QUICK) as transport,
        socket.create_connection(split_address(transport.address), timeout=5) as slow,
    ):
        assert slow.recv(1) == b""
    assert [r.__dict__["reason"] for r in lines(caplog, "turned_away")] == ["no_handshake"]


def test_a_peer_that_sends_its_handshake_byte_by_byte_has_no_more_time(
    federation: Federation,
) -> None:
    with coordinator(federation, QUICK) as transport:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        with socket.create_connection(split_address(transport.address), timeout=5) as slow:
            slow.settimeout(0.05)
            begun = 0
            for byte in outgoing.read():
                try:
                    slow.send(bytes([byte]))
                    if slow.recv(1) == b"":
                        break
                except TimeoutError:
                    begun += 1
                except OSError:
                    break
            assert 3 < begun < 60


def test_a_peer_that_shakes_hands_and_says_nothing_is_hung_up_on(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        coordinator(federation, QUICK) as transport,
        raw_stream(transport.address, federation.files_of("rogue")) as stream,
        pytest.raises(grpc.RpcError, match="UNAVAILABLE"),
    ):
        stream.read()
    assert [r.__dict__["reason"] for r in lines(caplog, "turned_away")] == ["no_hello"]


def test_many_slow_peers_give_way_to_one_that_hurries(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    limits = replace(LIMITS, handshake_seconds=20.0, strangers=8)
    with coordinator(federation, limits) as transport:
        address = split_address(transport.address)
        slow = [socket.create_connection(address, timeout=5) for _ in range(30)]
        with rogue(federation, transport):
            assert transport.sites() == ["north", "rogue"]
        closed = sum(one.recv(1) == b"" for one in slow[:22])
        for one in slow:
            one.close()
    assert closed == 22
    assert {r.__dict__["reason"] for r in lines(caplog, "turned_away")} == {"crowd"}


def test_a_peer_that_does_not_read_delays_nobody(federation: Federation) -> None:
    limits = replace(LIMITS, silence_seconds=60.0)
    with coordinator(federation, limits) as transport, rogue(federation, transport):
        replies = transport.call(b"x" * 30_000_000, ["rogue", "north"], 60)
        assert next(replies)[0] == "north"


def test_a_peer_that_leaves_too_much_unread_is_hung_up_on(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    limits = replace(LIMITS, silence_seconds=60.0, unread=2)
    with coordinator(federation, limits) as transport, rogue(federation, transport):
        for _ in range(3):
            assert not list(transport.call(b"x" * 8_000_000, ["rogue"], 0.2))
        until(lambda: transport.sites() == ["north"])
    assert [r.__dict__["reason"] for r in lines(caplog, "turned_away")] == ["not_reading"]


@pytest.mark.parametrize("dribble", [False, True])
def test_a_peer_that_begins_a_long_reply_and_dawdles_gives_way_to_those_who_wait(
    federation: Federation, caplog: pytest.LogCaptureFixture, *, dribble: bool
) -> None:
    """Its reply fills all the room there is; north's, in the same round, needs some of it."""
    limits = replace(TIGHT, opening_bytes=1_000, intake_bytes=30_000, stall_seconds=1.0)
    with coordinator(federation, limits) as transport, rogue(federation, transport) as stream:
        replies = transport.call(b"x" * 20_000, ["rogue"], 60)
        call = stream.read().request.call
        stream.send(reply(call=call, size=50_000, data=b"x" * 1_000))
        intake = transport._listener._intake
        until(lambda: intake.held == 50_000)
        if dribble:
            for offset in range(1_000, 1_040):
                stream.send(reply(call=call, offset=offset, size=50_000, data=b"x"))
                stream.send(pb.FromSite(pong=pb.Pong()))
        # Nobody else wants the room yet: it may take its time.
        time.sleep(1.5)
        assert transport.sites() == ["north", "rogue"]
        assert dict(transport.call(b"x" * 20_000, ["north"], 30)) == {
            "north": b"echo " + b"x" * 20_000
        }
        until(lambda: transport.sites() == ["north"])
        assert intake.held == 0
        del replies
    (told,) = lines(caplog, "turned_away")
    assert told.__dict__["reason"] == "stalled"
    assert "agent rogue at 127.0.0.1" in told.getMessage()
    assert "of 50,000 bytes of its reply came in 1 s" in told.getMessage()


def test_the_health_service_answers_and_reflection_does_not_exist(federation: Federation) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # noqa: PLC0415

    files = federation.files_of("rogue")
    credentials = grpc.ssl_channel_credentials(
        files.authority.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )
    with (
        coordinator(federation, LIMITS) as transport,
        grpc.secure_channel(transport.address, credentials) as channel,
    ):
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        status = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=5).status
        assert status == health_pb2.HealthCheckResponse.SERVING
        reflection = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        with pytest.raises(grpc.RpcError) as caught:
            next(reflection(iter([b""]), timeout=5))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_flood_of_refusals_leaves_few_lines(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with coordinator(federation, LIMITS) as transport:
        for _ in range(60):
            with socket.create_connection(split_address(transport.address), timeout=5) as plain:
                plain.sendall(b"GET / HTTP/1.1\r\n\r\n" * 3)
                plain.recv(100)
    assert len(lines(caplog, "turned_away")) == 10


def test_an_error_of_ours_ends_the_connection_that_met_it_and_no_other(
    federation: Federation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with coordinator(federation, LIMITS) as transport:
        monkeypatch.setattr(
            "fed_audience.federation.transports.grpc.gate.facts_of",
            lambda _: (_ for _ in ()).throw(ZeroDivisionError),
        )
        with (
            raw_stream(transport.address, federation.files_of("rogue")) as stream,
            pytest.raises(grpc.RpcError),
        ):
            stream.read()
    assert [r.__dict__["reason"] for r in lines(caplog, "turned_away")] == ["fault"]
    assert "ZeroDivisionError" in caplog.text


def test_a_peer_that_stops_grpc_from_accepting_stops_nobody(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    files = federation.files_of("rogue")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    with coordinator(federation, LIMITS) as transport:
        with (
            socket.create_connection(split_address(transport.address), timeout=5) as plain,
            context.wrap_socket(plain) as tls,
        ):
            tls.sendall(fuzz_port.PREFACE + fuzz_port.frame(4, 0, 0, b""))
            tls.sendall(fuzz_port.frame(1, 4, 1, fuzz_port.headers(b"/no\x9autf-8")))
            until(lambda: bool(lines(caplog, "server_replaced")))
        federation.enrol("west")
        with federation.link(transport.address, "west"):
            assert transport.wait_for(["north", "west"], 15) == []
    assert "(CN=rogue)" in lines(caplog, "server_replaced")[0].getMessage()
