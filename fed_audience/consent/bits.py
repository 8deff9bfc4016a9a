"""Consent strings as bits: base64url text read field by field, refused as soon as it is short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConsentError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALPHABET: Final = {
    letter: value
    for value, letter in enumerate(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
}
_LONGEST: Final = 100_000
"""Characters; a string that lists every vendor there can be is shorter."""

_ID_BITS: Final = 16
_COUNT_BITS: Final = 12


def malformed(what: str) -> ConsentError:
    """Return the error of a string that cannot be read; it never quotes the string."""
    return ConsentError(
        f"a consent string cannot be read: {what}",
        fix="take the string as the consent platform wrote it; it counts as a refusal",
    )


class Bits:
    """Reads fields from the front of a segment, base64url without padding."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise malformed(f"it has {len(text):,} characters")
        number = 0
        for letter in text:
            if (value := _ALPHABET.get(letter)) is None:
                raise malformed("a character is none of base64url")
            number = number << 6 | value
        self._number = number
        self._left = 6 * len(text)

    @property
    def left(self) -> int:
        """How many bits were not read yet."""
        return self._left

    def take(self, bits: int) -> int:
        """Read an unsigned number of so many bits; raises ConsentError where they are not there."""
        if bits > self._left:
            raise malformed("it ends too early")
        self._left -= bits
        value = self._number >> self._left
        self._number &= (1 << self._left) - 1
        return value

    def flag(self) -> bool:
        """Read one bit."""
        return bool(self.take(1))

    def letters(self, count: int) -> str:
        """Read capital letters of six bits each, A being 0."""
        return "".join(chr(ord("A") + self.take(6)) for _ in range(count))

    def set_of(self, size: int) -> frozenset[int]:
        """Read a field of bits; return the places that are set, the first being 1."""
        return frozenset(place for place in range(1, size + 1) if self.flag())

    def fibonacci(self) -> int:
        """Read a number in Fibonacci coding: sums of 1, 2, 3, 5, 8, ..., ended by two ones."""
        total, earlier, current = 0, 1, 1
        was_set = False
        while True:
            is_set = self.flag()
            if is_set and was_set:
                return total
            total += current if is_set else 0
            earlier, current = current, earlier + current
            was_set = is_set


@dataclass(frozen=True, slots=True)
class IdSet:
    """Ids of vendors as ranges, for a short string may name millions."""

    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, number: object) -> bool:
        return any(
            isinstance(number, int) and first <= number <= last for first, last in self.ranges
        )

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)


def read_vendors(bits: Bits) -> IdSet:
    """Read a vendor section: MaxVendorId, then a field of bits or ranges (TCF v2, vendors)."""
    most = bits.take(_ID_BITS)
    if bits.flag():
        return read_ranges(bits)
    if most > bits.left:
        raise malformed("it ends too early")
    return IdSet(tuple((number, number) for number in sorted(bits.set_of(most))))


def read_ranges(bits: Bits) -> IdSet:
    """Read NumEntries, then for each a vendor id, or the first and last of a range of them."""
    found = []
    for _ in range(bits.take(_COUNT_BITS)):
        is_range = bits.flag()
        first = bits.take(_ID_BITS)
        last = bits.take(_ID_BITS) if is_range else first
        if not 0 < first <= last:
            raise malformed("a range of vendors ends before it begins")
        found.append((first, last))
    return IdSet(tuple(found))
