from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.privacy.masks import BLOCK_BYTES, RING_32, RING_64, Ring, masked
from fed_audience.privacy.refusals import SecureSumError

KEYS = [bytes([number]) * 32 for number in range(1, 6)]


def stream(key: bytes, size: int, ring: Ring) -> Any:
    """Each stretch from counter 2 behind its number."""
    zeros = bytes(size * ring.bytes)
    blocks = b""
    for number, start in enumerate(range(0, len(zeros), BLOCK_BYTES)):
        counter = modes.CTR(((number << 32) + 2).to_bytes(16, "big"))
        cipher = Cipher(algorithms.AES256(key), counter).encryptor()
        blocks += cipher.update(zeros[start : start + BLOCK_BYTES])
    return np.frombuffer(blocks, dtype=f"<u{ring.bytes}")


@pytest.mark.parametrize("ring", [RING_32, RING_64])
@pytest.mark.parametrize("size", [0, 1, 3, BLOCK_BYTES // 4, BLOCK_BYTES // 4 + 1, 100_003])
def test_a_stream_is_aes_256_in_counter_mode_from_two(size: int, ring: Ring) -> None:
    vector = masked(ring.elements(np.arange(size)), KEYS[:2], KEYS[2:3])
    first, second, third = (stream(key, size, ring) for key in KEYS[:3])
    expected = np.arange(size).astype(first.dtype) + first + second - third
    assert np.array_equal(vector, expected)


def test_the_stream_is_the_published_one() -> None:
    # SP 800-38D, 7.1 with a nonce of 96 zero bits: counter 1 is for the tag, the text's first is 2.
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counters = b"".join(counter.to_bytes(16, "big") for counter in (2, 3))
    blocks = Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(counters)  # noqa: S305 - the reference
    vector = masked(RING_64.elements(np.zeros(4, dtype=np.int64)), [key])
    assert vector.tobytes() == blocks


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20),
)
def test_what_is_added_and_taken_away_leaves_the_vector(wide: list[int], narrow: list[int]) -> None:
    for ring, numbers in ((RING_64, wide), (RING_32, narrow)):
        values = np.array(numbers, dtype=np.int64)
        there = masked(ring.elements(values), KEYS, [])
        assert np.array_equal(ring.integers(masked(there, [], KEYS)), values)


def test_masking_leaves_the_callers_vector_alone() -> None:
    values = np.arange(10)
    masked(RING_64.elements(values), KEYS)
    assert np.array_equal(values, np.arange(10))


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**40])
def test_a_value_beyond_32_bits_is_refused(value: int) -> None:
    with pytest.raises(SecureSumError) as caught:
        RING_32.elements(np.array([0, value]))
    assert caught.value.reason == "out_of_range"


def test_the_largest_values_of_each_ring_are_read_back() -> None:
    for ring in (RING_32, RING_64):
        edge = np.array([ring.largest, -ring.largest - 1, 0, -1])
        assert np.array_equal(ring.integers(ring.elements(edge)), edge)


def test_other_widths_are_refused() -> None:
    with pytest.raises(SecureSumError):
        Ring(48)


@pytest.mark.parametrize("keys", [[], KEYS])
def test_masks_are_written_where_the_caller_says(keys: list[bytes]) -> None:
    values = RING_64.elements(np.arange(10))
    out = np.empty_like(values)
    assert masked(values, keys, out=out) is out
    assert np.array_equal(out, masked(values, keys))
