"""Rounds over lost connections, slow and failing sites, bodies of any length."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fed_audience.errors import FederationError
from tests.federation.grpc.network import LIMITS, Federation, lines, until

SMALL_CHUNKS = replace(LIMITS, chunk_bytes=1000, body_bytes=20_000)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    found = Federation(tmp_path)
    for site in ("north", "south"):
        found.enrol(site)
    return found


def cut(transport: Any, site: str) -> None:
    """Cut the connection of ``site`` as a broken network does: nobody says goodbye."""
    name = next(
        name
        for name, one in transport._gate._connections.items()
        if one.peer == transport._listener.sessions[site].admitted.caller.address
    )
    connection = transport._gate._connections[name]
    connection.tls._sslobj = None
    connection.tls.shutdown(2)


@pytest.mark.parametrize("length", [0, 1, 999, 1000, 1001, 9_990])
def test_a_body_arrives_whole_whatever_its_length(federation: Federation, length: int) -> None:
    body = bytes(i % 251 for i in range(length))
    with (
        federation.transport(limits=SMALL_CHUNKS) as transport,
        federation.link(
            transport.address, "north", lambda got: got[::-1] + got, limits=SMALL_CHUNKS
        ),
    ):
        transport.wait_for(["north"], 10)
        assert dict(transport.call(body, ["north"], 5)) == {"north": body[::-1] + body}


def test_bodies_of_rounds_at_the_same_time_do_not_mix(federation: Federation) -> None:
    with (
        federation.transport(limits=SMALL_CHUNKS) as transport,
        federation.link(transport.address, "north", bytes, limits=SMALL_CHUNKS),
    ):
        transport.wait_for(["north"], 10)
        bodies = [bytes([number]) * 15_000 for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda one: list(transport.call(one, ["north"], 10)), bodies))
    assert found == [[("north", body)] for body in bodies]


def test_coordinators_of_one_process_do_not_mix_their_bytes(federation: Federation) -> None:
    """Each has a thread that carries bytes, and both are busy at the same time."""
    sites = ("north", "south")
    with ExitStack() as stack:
        transports = {site: stack.enter_context(federation.transport()) for site in sites}
        for site, transport in transports.items():
            stack.enter_context(federation.link(transport.address, site, bytes))
            transport.wait_for([site], 10)

        def wrong(site: str) -> int:
            bodies = [site.encode() * (200_000 + number) for number in range(30)]
            answers = [dict(transports[site].call(body, [site], 20)) for body in bodies]
            return sum(answer != {site: body} for answer, body in zip(answers, bodies, strict=True))

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(wrong, sites)) == [0, 0]


def test_long_replies_wait_at_their_sites_until_there_is_room(tmp_path: Path) -> None:
    """Replies of 600 kB, room for one of them: what is held never grows with the sites."""
    federation = Federation(tmp_path)
    names = [f"s{number}" for number in range(6)]
    for name in names:
        federation.enrol(name)
    narrow = replace(
        LIMITS,
        chunk_bytes=100_000,
        opening_bytes=10_000,
        intake_bytes=700_000,
        window_bytes=2**16,
    )
    reply = bytes(range(250)) * 2_400
    with federation.transport(limits=narrow) as transport, ExitStack() as stack:
        for name in names:
            stack.enter_context(
                federation.link(transport.address, name, lambda _: reply, limits=narrow)
            )
        assert transport.wait_for(names, 60) == []
        intake = transport._listener._intake
        seen = set()
        for site, found in transport.call(b"?", names, 60):
            assert found == reply
            assert intake.held == len(reply)
            seen.add(site)
        assert seen == set(names)
        assert intake.held == 0
        # A round that is left early gives the room back, of whole replies and of begun ones.
        left = transport.call(b"!", names, 60)
        next(left)
        left.close()  # type: ignore[attr-defined]
        until(lambda: intake.held == 0, 60)
        assert len(dict(transport.call(b"?", names, 60))) == len(names)


def test_replies_come_as_the_sites_give_them(federation: Federation) -> None:
    let_go = threading.Event()

    def slow(body: bytes) -> bytes:
        let_go.wait(10)
        return b"late"

    with federation.transport() as transport, ExitStack() as stack:
        stack.enter_context(federation.link(transport.address, "north", slow))
        stack.enter_context(federation.link(transport.address, "south"))
        transport.wait_for(["north", "south"], 10)
        replies = transport.call(b"?", ["north", "south"], 10)
        assert next(replies) == ("south", b"echo ?")
        let_go.set()
        assert next(replies) == ("north", b"late")


def test_calls_travel_together_before_any_is_waited_for(federation: Federation) -> None:
    both = threading.Barrier(2)

    def met(body: bytes) -> bytes:
        both.wait(60)
        return body

    with federation.transport() as transport, ExitStack() as stack:
        for site in ("north", "south"):
            stack.enter_context(federation.link(transport.address, site, met))
        transport.wait_for(["north", "south"], 60)
        under_way = [transport.call(site.encode(), [site], 60) for site in ("north", "south")]
        assert [list(replies) for replies in under_way] == [
            [("north", b"north")],
            [("south", b"south")],
        ]


def test_an_answer_counts_that_comes_before_the_caller_has_its_next_turn(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        federation.transport() as transport,
        federation.link(transport.address, "north"),
    ):
        transport.wait_for(["north"], 60)
        at_once = transport._loop.call_soon_threadsafe

        def answered_first(work: Any, *arguments: Any, **options: Any) -> Any:
            handle = at_once(work, *arguments, **options)
            if work == transport._begin:
                until(lambda: not arguments[0].waiting, 60)
            return handle

        monkeypatch.setattr(transport._loop, "call_soon_threadsafe", answered_first)
        assert dict(transport.call(b"?", ["north"], 60)) == {"north": b"echo ?"}


def test_a_call_that_nobody_reads_ends_when_it_is_let_go(federation: Federation) -> None:
    with (
        federation.transport() as transport,
        federation.link(transport.address, "north"),
    ):
        transport.wait_for(["north"], 60)
        unread = transport.call(b"?", ["north"], 60)
        until(lambda: transport._calls._under_way != {}, 60)
        del unread
        until(lambda: transport._calls._under_way == {}, 60)
        assert dict(transport.call(b"!", ["north"], 60)) == {"north": b"echo !"}


def test_a_silent_site_is_left_out_and_its_late_reply_forgotten(federation: Federation) -> None:
    let_go = threading.Event()
    asked: list[bytes] = []

    def slow_once(body: bytes) -> bytes:
        asked.append(body)
        if len(asked) == 1:
            let_go.wait(10)
        return b"to " + body

    with federation.transport() as transport, ExitStack() as stack:
        stack.enter_context(federation.link(transport.address, "north", slow_once))
        stack.enter_context(federation.link(transport.address, "south"))
        transport.wait_for(["north", "south"], 10)
        assert dict(transport.call(b"1", ["north", "south"], 0.3)) == {"south": b"echo 1"}
        let_go.set()
        # The reply to the first call arrives now and must not be taken for one to the second.
        assert dict(transport.call(b"2", ["north"], 10)) == {"north": b"to 2"}
        assert asked == [b"1", b"2"]


def test_a_site_that_fails_is_left_out_at_once_and_named(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(body: bytes) -> bytes:
        raise ZeroDivisionError("a row of somebody")

    with federation.transport() as transport, ExitStack() as stack:
        stack.enter_context(federation.link(transport.address, "north", broken))
        stack.enter_context(federation.link(transport.address, "south"))
        transport.wait_for(["north", "south"], 10)
        assert dict(transport.call(b"1", ["north", "south"], 60)) == {"south": b"echo 1"}
    assert [r.getMessage() for r in lines(caplog, "site_failed")] == [
        "site north failed in a round: ZeroDivisionError; its own log says more"
    ]


def test_a_connection_lost_in_a_round_is_made_anew_and_the_round_goes_on(
    federation: Federation,
) -> None:
    entered, let_go = threading.Event(), threading.Event()
    asked: list[bytes] = []

    def slow(body: bytes) -> bytes:
        asked.append(body)
        entered.set()
        let_go.wait(10)
        return b"the same bytes"

    with federation.transport() as transport, ExitStack() as stack:
        stack.enter_context(federation.link(transport.address, "north", slow))
        transport.wait_for(["north"], 10)
        found: dict[str, bytes] = {}
        calling = threading.Thread(target=lambda: found.update(transport.call(b"1", ["north"], 20)))
        calling.start()
        assert entered.wait(10)
        before = transport.connected()[0].since
        cut(transport, "north")
        until(lambda: bool(transport.connected()) and transport.connected()[0].since > before)
        let_go.set()
        calling.join(20)
    assert found == {"north": b"the same bytes"}
    assert asked == [b"1", b"1"]


def test_a_site_that_is_away_when_a_round_begins_may_still_answer_it(
    federation: Federation,
) -> None:
    with federation.transport() as transport:
        replies = transport.call(b"1", ["north"], 20)
        starting = threading.Timer(0.3, federation.link(transport.address, "north").start)
        starting.start()
        assert next(replies) == ("north", b"echo 1")


def test_a_restarted_coordinator_finds_its_sites_again(federation: Federation) -> None:
    with federation.transport() as transport:
        link = federation.link(transport.address, "north")
        link.start()
        transport.wait_for(["north"], 10)
        listen = transport.address
    with federation.transport(listen=listen) as transport:
        assert transport.wait_for(["north"], 20) == []
        assert dict(transport.call(b"1", ["north"], 5)) == {"north": b"echo 1"}
        link.stop()


def test_closing_the_transport_ends_a_round_that_waits(federation: Federation) -> None:
    with federation.transport() as transport:
        closing = threading.Timer(0.2, transport.close)
        closing.start()
        with pytest.raises(FederationError, match="the transport was closed during a round"):
            list(transport.call(b"1", ["north"], 20))
        closing.join()


def test_a_round_can_be_left_before_its_end(federation: Federation) -> None:
    with federation.transport() as transport, ExitStack() as stack:
        for site in ("north", "south"):
            stack.enter_context(federation.link(transport.address, site))
        transport.wait_for(["north", "south"], 10)
        replies = transport.call(b"1", ["north", "south"], 10)
        next(replies)
        replies.close()  # type: ignore[attr-defined]
        until(lambda: not transport._calls._under_way)
        assert len(dict(transport.call(b"2", ["north", "south"], 10))) == 2


def test_a_site_outside_the_roster_is_named_before_anything_is_sent(
    federation: Federation,
) -> None:
    with (
        federation.transport() as transport,
        pytest.raises(FederationError, match="not in this federation's roster; value: west"),
    ):
        next(transport.call(b"1", ["north", "west"], 1))


def test_stopping_a_site_lets_it_finish_and_send_the_round_under_way(
    federation: Federation,
) -> None:
    entered = threading.Event()

    def slow(body: bytes) -> bytes:
        entered.set()
        threading.Event().wait(0.5)
        return b"done" * 1000

    with federation.transport(limits=SMALL_CHUNKS) as transport:
        link = federation.link(transport.address, "north", slow, limits=SMALL_CHUNKS)
        link.start()
        transport.wait_for(["north"], 10)

        def stop_when_asked() -> None:
            entered.wait(10)
            link.stop()

        stopping = threading.Thread(target=stop_when_asked)
        stopping.start()
        assert dict(transport.call(b"1", ["north"], 10)) == {"north": b"done" * 1000}
        stopping.join(10)
        until(lambda: transport.sites() == [])


def test_control_messages_are_answered_while_a_round_is_computed(federation: Federation) -> None:
    entered, let_go = threading.Event(), threading.Event()

    def slow(body: bytes) -> bytes:
        entered.set()
        let_go.wait(10)
        return b"done"

    with (
        federation.transport() as transport,
        federation.link(transport.address, "north", slow) as link,
    ):
        transport.on("status", lambda caller, _: f"{caller.site} {caller.role}".encode())

        def cancel(body: bytes) -> bytes:
            let_go.set()
            return b"cancelled " + body

        link.on("cancel", cancel)
        transport.wait_for(["north"], 10)
        replies = transport.call(b"1", ["north"], 10)
        answered: list[tuple[str, bytes]] = []
        calling = threading.Thread(target=lambda: answered.extend(replies))
        calling.start()
        assert entered.wait(10)
        assert link.ask("status", b"") == b"north agent"
        assert transport.ask("north", "cancel", b"run 7") == b"cancelled run 7"
        calling.join(10)
        assert answered == [("north", b"done")]


def test_an_error_of_a_handler_reaches_the_other_end_as_its_sentence(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_body: bytes) -> bytes:
        raise FederationError(
            "the contract differs", value="secret", looked="/home/me", fix="sign it anew"
        )

    def fail(_body: bytes) -> bytes:
        raise KeyError("a row of somebody")

    with federation.transport() as transport, federation.link(transport.address, "north") as link:
        link.on("propose", refuse)
        link.on("broken", fail)
        transport.wait_for(["north"], 10)
        with pytest.raises(FederationError) as caught:
            transport.ask("north", "propose", b"")
        assert str(caught.value) == (
            "site north refused the message propose: the contract differs. To mend it: sign it anew"
        )
        with pytest.raises(FederationError, match="it failed; the log of the other end"):
            transport.ask("north", "broken", b"")
        with pytest.raises(FederationError, match="no such kind of message"):
            transport.ask("north", "unheard of", b"")
        with pytest.raises(FederationError, match="site south is not connected"):
            transport.ask("south", "propose", b"")


def test_a_control_message_without_an_answer_is_not_waited_for_forever(
    federation: Federation,
) -> None:
    let_go = threading.Event()
    with federation.transport() as transport, federation.link(transport.address, "north") as link:
        link.on("slow", lambda _: bytes(let_go.wait(10)))
        transport.on("slow", lambda _caller, _body: bytes(let_go.wait(10)))
        transport.wait_for(["north"], 10)
        with pytest.raises(
            FederationError, match=r"did not answer the message slow; value: 0\.2 s"
        ):
            transport.ask("north", "slow", b"", timeout=0.2)
        with pytest.raises(
            FederationError, match=r"did not answer the message slow; value: 0\.2 s"
        ):
            link.ask("slow", b"", timeout=0.2)
        let_go.set()


def test_a_site_that_hangs_up_while_it_is_asked_is_named(federation: Federation) -> None:
    """Whoever asks may have found the stream just before it ended, or wait for its answer."""
    let_go = threading.Event()
    with federation.transport() as transport:
        with federation.link(transport.address, "north") as link:
            link.on("slow", lambda _: bytes(let_go.wait(60)))
            transport.wait_for(["north"], 10)
            found = transport._listener.sessions["north"]
            with ThreadPoolExecutor(1) as other:
                waiting = other.submit(transport.ask, "north", "slow", b"", 60)
                until(lambda: bool(found._asks))
                transport.remove("north", "it left")
                with pytest.raises(FederationError, match="north hung up before it answered"):
                    waiting.result(60)
            let_go.set()
        until(lambda: transport.sites() == [])
        with pytest.raises(FederationError, match="north hung up before it answered"):
            transport._run(found.ask("slow", b"", 10))


def test_a_port_that_is_taken_is_named(federation: Federation) -> None:
    with (
        federation.transport() as transport,
        pytest.raises(Exception, match=f"cannot listen there.*{transport.address}"),
    ):
        federation.transport(listen=transport.address, limits=LIMITS).__enter__()


def test_rounds_and_bytes_are_counted_for_prometheus(federation: Federation) -> None:
    prometheus = pytest.importorskip("prometheus_client", reason="needs fed-audience[grpc]")

    def count(name: str, **labels: str) -> float:
        found = prometheus.REGISTRY.get_sample_value(f"fed_audience_transport_{name}", labels)
        return found or 0.0

    def counts() -> list[float]:
        return [
            count("rounds_total"),
            count("bytes_total", site="north", direction="to_site"),
            count("bytes_total", site="north", direction="from_site"),
            count("replies_total", site="north"),
            count("reconnections_total", site="north"),
        ]

    before = counts()
    with federation.transport() as transport, federation.link(transport.address, "north"):
        transport.wait_for(["north"], 10)
        assert count("connected_sites") == 1
        list(transport.call(b"1234", ["north"], 10))
        since = transport.connected()[0].since
        cut(transport, "north")
        until(lambda: bool(transport.connected()) and transport.connected()[0].since > since)
        until(lambda: counts()[4] > before[4])
    assert [after - early for after, early in zip(counts(), before, strict=True)] == [1, 4, 9, 1, 1]
