"""Finds any of many secrets in bytes, however they were written down, in one pass.

Each needle is looked for as text (UTF-8, UTF-16, JSON and URL escapes), as hexadecimal, inside
base64 at each of its three alignments, and, if it is a number, as its eight bytes in both orders.
Gzip and zlib streams are opened wherever they begin. The cost hardly grows with the needles:
each form is found by its rarest eight bytes, all of them at once.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

Needle = str | bytes | float | int

SHORTEST_BYTES = 4
"""Anything shorter is found by chance in any large body."""

_WORD = 8
_CHUNK = 1 << 17
_FILTER_BITS = 22
_MIXER = np.uint64(0x9E3779B97F4A7C15)
_GZIP = b"\x1f\x8b\x08"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_DEEPEST = 3
_LARGEST_STREAM = 1 << 28
_PIECE = 1 << 13
_SHORTEST_ENCODED = 6


@dataclass(frozen=True, slots=True)
class Find:
    """A needle found: its position among those given, the form it had, where it stands."""

    needle: int
    form: str
    offset: int
    within: str = ""


class Haystack:
    """Looks for ``needles`` in any number of bodies.

    Raises UsageError for a needle of fewer than four bytes, without showing it.
    """

    def __init__(self, needles: Sequence[Needle]) -> None:
        self._forms: list[tuple[bytes, int, str]] = []
        for index, needle in enumerate(needles):
            for form, written in _writings(needle, index):
                self._forms.append((written, index, form))
        self._short: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._anchored: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._index()
        self._anchors = _Lookup(self._anchored)
        self._exact = {length: _Lookup(words) for length, words in self._short.items()}

    def search(self, body: bytes) -> Iterator[Find]:
        """Yield every find in ``body``, and in the compressed streams inside it."""
        yield from self._search(body, "", 0)

    def _search(self, body: bytes, within: str, depth: int) -> Iterator[Find]:
        for start in range(0, len(body), _CHUNK):
            # Chunks overlap, so that no form falls between two of them.
            chunk = body[start : start + _CHUNK + _WORD - 1]
            for found in self._hits(chunk, body, start):
                yield Find(found.needle, found.form, found.offset, within)
        if depth < _DEEPEST:
            for offset, kind, content in _streams(body):
                place = f"{within} > {kind} at {offset}" if within else f"{kind} at {offset}"
                yield from self._search(content, place, depth + 1)

    def _hits(self, chunk: bytes, body: bytes, start: int) -> Iterator[Find]:
        words = _words(chunk)
        for offset, word in self._anchors.candidates(words[: len(chunk) - _WORD + 1]):
            for number, shift in self._anchored[word]:
                written, needle, form = self._forms[number]
                begin = start + offset - shift
                if begin >= 0 and body[begin : begin + len(written)] == written:
                    yield Find(needle, form, begin)
        for length, lookup in self._exact.items():
            mask = np.uint64((1 << (8 * length)) - 1)
            here = words[: max(0, min(len(chunk) - length + 1, _CHUNK))] & mask
            for offset, word in lookup.candidates(here):
                for number in self._short[length][word]:
                    _, needle, form = self._forms[number]
                    yield Find(needle, form, start + offset)

    def _index(self) -> None:
        """Choose for each long form the eight bytes that the fewest other forms hold."""
        lengths = np.array([len(written) for written, _, _ in self._forms])
        ends = np.cumsum(lengths)
        words = _words(b"".join(written for written, _, _ in self._forms))
        _, which, counts = np.unique(words, return_inverse=True, return_counts=True)
        shared = counts[which]
        for number, (length, end) in enumerate(zip(lengths, ends, strict=True)):
            begin = int(end - length)
            if length < _WORD:
                word = int.from_bytes(self._forms[number][0], "little")
                self._short[int(length)][word].append(number)
            else:
                shift = int(np.argmin(shared[begin : end - _WORD + 1]))
                self._anchored[int(words[begin + shift])].append((number, shift))


class _Lookup:
    """Which of many words are in a set: a bit filter first, then the set itself."""

    def __init__(self, words: Iterable[int]) -> None:
        self._words = set(words)
        known = np.fromiter(self._words, dtype=np.uint64, count=len(self._words))
        self._filter = np.zeros(1 << _FILTER_BITS, dtype=np.bool_)
        self._filter[_slots(known)] = True

    def candidates(self, words: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
        if not self._words or not len(words):
            return
        for offset in np.flatnonzero(self._filter[_slots(words)]):
            word = int(words[offset])
            if word in self._words:
                yield int(offset), word


def _slots(
    words: NDArray[np.uint64],
) -> NDArray[np.uint64]:
    return (words * _MIXER) >> np.uint64(64 - _FILTER_BITS)


def _words(chunk: bytes) -> NDArray[np.uint64]:
    """Return the eight bytes at every offset as numbers; zeros follow the end."""
    padded = chunk + bytes(_WORD)
    view = np.ndarray((len(chunk),), dtype="<u8", buffer=padded, strides=(1,))
    return view.astype(np.uint64)


def _writings(needle: Needle, index: int) -> Iterator[tuple[str, bytes]]:
    """Yield each distinct form in which ``needle`` could stand in a body."""
    plain = needle if isinstance(needle, bytes) else str(needle).encode()
    if len(plain) < SHORTEST_BYTES and not isinstance(needle, float):
        raise UsageError(
            "a needle is too short to mean anything when found",
            value=f"needle {index}",
            limit=f"{SHORTEST_BYTES} bytes or more",
            fix="plant longer ones",
        )
    seen: set[bytes] = set()
    for form, written in _all_writings(needle):
        if len(written) >= SHORTEST_BYTES and written not in seen:
            seen.add(written)
            yield form, written


def _all_writings(needle: Needle) -> Iterator[tuple[str, bytes]]:
    if isinstance(needle, bytes):
        yield "bytes", needle
        yield from _encodings("bytes", needle)
        return
    if isinstance(needle, int | float):
        yield "float64 little-endian", struct.pack("<d", needle)
        yield "float64 big-endian", struct.pack(">d", needle)
        yield from _encodings("float64 little-endian", struct.pack("<d", needle))
        if isinstance(needle, int) and -(2**63) <= needle < 2**63:
            yield "int64 little-endian", struct.pack("<q", needle)
            yield "int64 big-endian", struct.pack(">q", needle)
        needle = repr(needle)
    plain = needle.encode()
    yield "text", plain
    yield "utf-16 little-endian", needle.encode("utf-16-le")
    yield "utf-16 big-endian", needle.encode("utf-16-be")
    yield "json", json.dumps(needle)[1:-1].encode()
    yield "url", quote(needle, safe="").encode()
    yield from _encodings("text", plain)


def _encodings(what: str, plain: bytes) -> Iterator[tuple[str, bytes]]:
    if len(plain) < SHORTEST_BYTES:
        return
    yield f"hex of {what}", plain.hex().encode()
    yield f"hex of {what}", plain.hex().upper().encode()
    if len(plain) < _SHORTEST_ENCODED:
        return
    for alignment in range(3):
        # Only characters that the neighbours cannot change.
        first = -(-alignment * 8 // 6)
        last = (alignment + len(plain)) * 8 // 6
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            padded = bytes(alignment) + plain + bytes(2)
            yield f"base64 of {what}", alphabet(padded)[first:last]


def _streams(body: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Yield offset, kind and content of each compressed stream, wherever it begins."""
    for magic, kind, window in ((_GZIP, "gzip", 31), *((two, "zlib", 15) for two in _ZLIB)):
        offset = body.find(magic)
        while offset >= 0:
            content = _inflated(memoryview(body)[offset:], window)
            if content:
                yield offset, kind, content
            offset = body.find(magic, offset + 1)


def _inflated(compressed: memoryview, window: int) -> bytes:
    """Return as much as the stream gives, also of one that is cut short or breaks off."""
    stream = zlib.decompressobj(window)
    content = bytearray()
    for start in range(0, len(compressed), _PIECE):
        try:
            content += stream.decompress(compressed[start : start + _PIECE], _LARGEST_STREAM)
        except zlib.error:
            # Mostly bytes that only look like a stream; what came before the fault counts.
            break
        if stream.eof or len(content) >= _LARGEST_STREAM:
            break
    return bytes(content)
