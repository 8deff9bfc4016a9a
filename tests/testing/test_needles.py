"""Whatever form a secret takes, it is found; and nothing else is."""

from __future__ import annotations

import base64
import gzip
import json
import os
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import UsageError
from fed_audience.testing.needles import _CHUNK, Haystack

SECRET = "zoë.canary@mail.example"
NUMBER = 0.123456789012345


def found(needles: Any, body: bytes) -> set[int]:
    return {find.needle for find in Haystack(needles).search(body)}


@pytest.mark.parametrize(
    "write",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: json.dumps({"e": text}).encode(),
        lambda text: text.encode().hex().encode(),
        lambda text: text.encode().hex().upper().encode(),
        lambda text: text.replace("ë", "%C3%AB").replace("@", "%40").encode(),
        lambda text: base64.b64encode(text.encode()),
        lambda text: base64.b64encode(b"x" + text.encode() + b"y"),
        lambda text: base64.b64encode(b"xy" + text.encode() + b"\xff\xff"),
        lambda text: base64.urlsafe_b64encode(b"\xfb\xff" + text.encode()),
        lambda text: gzip.compress(text.encode()),
        lambda text: zlib.compress(text.encode(), 9),
        lambda text: (
            b"header" + gzip.compress(b"x" + gzip.compress(base64.b64encode(text.encode())))
        ),
    ],
)
def test_a_text_is_found_in_every_form(write: Callable[[str], bytes]) -> None:
    body = os.urandom(1_000) + write(SECRET) + os.urandom(1_000)
    assert found([SECRET], body) == {0}


@pytest.mark.parametrize("order", ["<d", ">d"])
@pytest.mark.parametrize("wrap", [bytes, gzip.compress, base64.b64encode])
def test_a_float_is_found_as_its_bytes(order: str, wrap: Callable[[bytes], bytes]) -> None:
    if order == ">d" and wrap is base64.b64encode:
        order = "<d"
    body = os.urandom(64) + wrap(b"abc" + struct.pack(order, NUMBER) + b"de") + os.urandom(64)
    assert found([NUMBER], body) == {0}


def test_a_float_is_found_as_text() -> None:
    assert found([NUMBER], b'{"score":0.123456789012345}') == {0}


def test_an_integer_is_found_in_both_orders() -> None:
    value = 0x1122334455667788
    assert found([value], struct.pack("<q", value)) == {0}
    assert found([value], struct.pack(">q", value)) == {0}


@pytest.mark.parametrize("at", [_CHUNK - 4, _CHUNK - 1, _CHUNK, _CHUNK + 3])
@pytest.mark.parametrize("needle", ["long enough a needle", "C-1234", "C-12"])
def test_nothing_falls_between_two_chunks(at: int, needle: str) -> None:
    body = bytearray(b"." * (_CHUNK + 100))
    body[at : at + len(needle)] = needle.encode()
    finds = list(Haystack([needle]).search(bytes(body)))
    assert [find.offset for find in finds] == [at]


@pytest.mark.parametrize("needle", ["C-12", "C-123", "C-1234", "C-12345", "C-123456"])
def test_short_needles_are_found_at_the_very_end(needle: str) -> None:
    assert found([needle], b"...." + needle.encode()) == {0}
    assert found([needle], needle.encode()) == {0}
    assert found([needle], needle.encode()[:-1]) == set()


def test_many_needles_alike_are_told_apart() -> None:
    needles = [f"customer-{number:06d}@mail.example" for number in range(5_000)]
    body = b" ".join(needles[number].encode() for number in (7, 4_321))
    assert found(needles, body) == {7, 4_321}


def test_a_clean_body_is_clean() -> None:
    needles = [f"customer-{number:06d}@mail.example" for number in range(500)]
    numbers = [number + 0.123456789 for number in range(500)]
    assert found([*needles, *numbers], os.urandom(1 << 20)) == set()


def test_a_needle_without_meaning_is_refused_unseen() -> None:
    with pytest.raises(UsageError, match="needle 1") as caught:
        Haystack(["long enough", "ab"])
    assert "'ab'" not in str(caught.value)


def test_a_cut_stream_still_gives_what_it_holds() -> None:
    whole = gzip.compress(SECRET.encode() + os.urandom(10_000))
    assert found([SECRET], whole[:5_000]) == {0}


@given(
    st.text(min_size=6, max_size=30).filter(lambda text: len(text.encode("utf-8", "ignore")) >= 6),
    st.binary(max_size=50),
    st.binary(max_size=50),
)
def test_whatever_surrounds_it(text: str, before: bytes, after: bytes) -> None:
    try:
        plain = text.encode()
    except UnicodeEncodeError:
        return
    for body in (before + plain + after, base64.b64encode(before + plain + after)):
        assert 0 in found([text], body)
