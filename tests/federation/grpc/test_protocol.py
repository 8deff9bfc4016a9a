from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.federation.transports.grpc import envelope_pb2 as pb
from fed_audience.federation.transports.grpc.protocol import (
    Assembly,
    EnvelopeError,
    Limits,
    Versions,
    chunks,
)

LIMITS = Limits(chunk_bytes=7, body_bytes=60)
ranges = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
    lambda ends: Versions(min(ends), max(ends))
)


@given(ranges, ranges)
def test_the_common_version_is_the_newest_that_both_speak(one: Versions, other: Versions) -> None:
    both = set(range(one.oldest, one.newest + 1)) & set(range(other.oldest, other.newest + 1))
    assert one.common(other) == (max(both) if both else None)
    assert other.common(one) == one.common(other)


def test_a_range_that_is_upside_down_has_nothing_in_common() -> None:
    assert Versions(1, 3).common(Versions(3, 1)) is None


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_bodies_that_follow_each_other_come_out_as_they_went_in(bodies: list[bytes]) -> None:
    assembly = Assembly(LIMITS)
    found = [
        whole
        for call, body in enumerate(bodies)
        for chunk in chunks(call, body, LIMITS.chunk_bytes)
        if (whole := assembly.add(pb.Chunk.FromString(chunk.SerializeToString()))) is not None
    ]
    assert found == bodies


@given(st.binary(min_size=8, max_size=60))
def test_a_body_that_nobody_wants_is_counted_and_not_kept(body: bytes) -> None:
    assembly = Assembly(LIMITS)
    for chunk in chunks(1, body, LIMITS.chunk_bytes):
        assembly.add(chunk, wanted=False)
        assert assembly._parts == []
    assert assembly.add(pb.Chunk(call=2, size=1, data=b"x")) == b"x"


chunk = st.builds(
    pb.Chunk,
    call=st.integers(0, 2),
    offset=st.integers(0, 20),
    size=st.integers(0, 80),
    data=st.binary(max_size=9),
)


@given(st.lists(chunk, max_size=30))
def test_whatever_chunks_come_no_more_is_held_than_the_limit(found: list[pb.Chunk]) -> None:
    assembly = Assembly(LIMITS)
    try:
        for one in found:
            body = assembly.add(one)
            assert body is None or len(body) == one.size <= LIMITS.body_bytes
            assert sum(map(len, assembly._parts)) <= LIMITS.body_bytes
    except EnvelopeError as error:
        assert error.reason in {"too_long", "bad_chunk"}  # noqa: PT017 - which one is for others


@pytest.mark.parametrize("length", [7, 8, 14, 15])
def test_only_a_longer_body_is_cut(length: int) -> None:
    parts = list(chunks(3, b"x" * length, 7))
    assert [len(part.data) for part in parts] == [7] * (length // 7) + [length % 7] * (
        length % 7 > 0
    )
    assert {part.size for part in parts} == {length}


@given(st.binary(max_size=60), st.integers(1, 9))
def test_a_short_opening_tells_the_length_of_a_longer_body(body: bytes, opening: int) -> None:
    parts = list(chunks(3, body, LIMITS.chunk_bytes, opening))
    assembly = Assembly(LIMITS)
    assert [whole for part in parts if (whole := assembly.add(part)) is not None] == [body]
    assert len(parts[0].data) == min(len(body), opening, LIMITS.chunk_bytes)
    assert parts[0].size == len(body)


@pytest.mark.parametrize(
    ("peers", "window"), [(0, 700), (1, 700), (2, 500), (4, 250), (1_000_000, 2**16)]
)
def test_windows_of_all_peers_share_what_there_is(peers: int, window: int) -> None:
    scaled = Limits(chunk_bytes=700 * 2**10, window_bytes=1_000 * 2**10)
    assert scaled.window(peers) == (window * 2**10 if window != 2**16 else window)
