"""The recorder of what left a site."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from fed_audience.federation import messages
from fed_audience.federation.messages.wire import encode
from fed_audience.federation.site.steps import Steps
from fed_audience.federation.transport import Envelope
from fed_audience.federation.transports.in_process import InProcessTransport
from fed_audience.testing import EgressRecorder

CANARY = "canary.person@mail.example"


class Program:
    """A site that answers every request with the same bytes."""

    enrolled = True

    def __init__(self, reply: bytes) -> None:
        self._reply = reply

    def steps(self, _: bytes) -> Steps[bytes]:
        yield from ()
        return self._reply


def request() -> bytes:
    slot = messages.Slot(run="run-1", tree=0, level=0)
    return encode(
        messages.FixBins(
            slot=slot,
            sizes=(2,),
            thresholds=np.array([0.25, 0.5]),
            prefixes=np.array([], dtype=np.uint32),
        )
    )


def recorded(reply: bytes) -> EgressRecorder:
    recorder = EgressRecorder(describe=lambda body: "FixBins" if body == request() else "Answer")
    programs = {"fashion": Program(reply), "grocery": Program(b"x" * 10)}
    transport = InProcessTransport(programs, recorder)  # type: ignore[arg-type]
    list(transport.call(request(), ["fashion", "grocery"], 1.0))
    return recorder


def test_every_byte_both_ways_is_kept_and_summed_by_type() -> None:
    recorder = recorded(b"y" * 100)
    assert recorder.bytes_sent == 110
    assert recorder.largest is not None
    assert (recorder.largest.site, recorder.largest.kind) == ("fashion", "Answer")
    rows = {(row.site, row.direction, row.kind): row for row in recorder.summary()}
    assert rows["fashion", "from_site", "Answer"].bytes == 100
    assert rows["grocery", "to_site", "FixBins"].count == 1


def test_a_federation_message_is_named_by_its_type() -> None:
    recorder = EgressRecorder()
    recorder(Envelope("fashion", "to_site", request()))
    assert recorder.departures[0].kind == "FixBins"
    recorder.assert_absent([CANARY])
    with pytest.raises(AssertionError, match="float64 little-endian"):
        recorder.assert_absent([0.25])


@pytest.mark.parametrize(
    "reply",
    [
        CANARY.encode(),
        CANARY.encode("utf-16-le"),
        CANARY.encode().hex().encode(),
        b"z" + gzip.compress(CANARY.encode()),
        struct.pack("<d", 0.123456789),
        struct.pack(">d", 0.123456789),
    ],
    ids=["text", "utf-16", "hex", "gzip", "little-endian", "big-endian"],
)
def test_a_planted_canary_is_found_and_not_shown(reply: bytes) -> None:
    recorder = recorded(b"head" + reply + b"tail")
    with pytest.raises(AssertionError, match="of fashion") as caught:
        recorder.assert_absent(["something else", CANARY, 0.123456789])
    assert CANARY not in str(caught.value)
    recorder.assert_absent(["something else"])


def test_nothing_recorded_or_nothing_asked_proves_nothing() -> None:
    with pytest.raises(AssertionError, match="nothing was recorded"):
        EgressRecorder().assert_absent([CANARY])
    with pytest.raises(AssertionError, match="no needle"):
        recorded(b"x").assert_absent([])


def test_bodies_of_http_requests_are_recorded_too() -> None:
    recorder = EgressRecorder()
    recorder.record(CANARY.encode(), site="fashion", kind="webhook")
    with pytest.raises(AssertionError, match="webhook of fashion"):
        recorder.assert_absent([CANARY])
