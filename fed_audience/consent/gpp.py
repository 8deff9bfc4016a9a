"""The Global Privacy Platform's string: its header, and the section of the United States.

Fields and their sizes: IAB Tech Lab, "Global Privacy Platform" and "US National Privacy Technical
Specification", versions 1 and 2. Sections of single states are named, not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fed_audience.consent.bits import Bits, malformed

TCF_EU: Final = 2
USP: Final = 6
US_NATIONAL: Final = 7
FIRST_STATE: Final = 8

_HEADER_TYPE: Final = 3
_HEADER_VERSION: Final = 1
_GPC: Final = 1
_MOST_SECTIONS: Final = 100
_SENSITIVE: Final = {1: 12, 2: 16}
"""Version of the section -> kinds of sensitive data that it tells apart."""

_CHILDREN: Final = {1: 2, 2: 3}
_ANSWERS: Final = 2
"""Largest answer: 0 does not apply, 1 yes, 2 no."""


@dataclass(frozen=True, slots=True)
class UsNational:
    """The national section. Answers: 0 does not apply, 1 yes, 2 no.

    ``*_opt_out`` 1 means that the person opted out. ``gpc``: the browser's Global Privacy Control,
    None where the section does not say.
    """

    version: int
    sharing_notice: int
    sale_opt_out_notice: int
    sharing_opt_out_notice: int
    targeted_advertising_opt_out_notice: int
    sale_opt_out: int
    sharing_opt_out: int
    targeted_advertising_opt_out: int
    sensitive_data: tuple[int, ...]
    known_child: tuple[int, ...]
    personal_data_consents: int
    gpc: bool | None

    @property
    def is_child(self) -> bool:
        """Whether the person is known to be a child, with a parent's consent or without."""
        return any(self.known_child)


@dataclass(frozen=True, slots=True)
class GppString:
    """The sections of a string by id, as text."""

    sections: dict[int, str]

    @property
    def states(self) -> tuple[int, ...]:
        """Ids of sections of the United States that are not read."""
        return tuple(one for one in self.sections if one == USP or one >= FIRST_STATE)


def decode_gpp(text: str) -> GppString:
    """Read the header; raises ConsentError for another version and for anything malformed."""
    header, *sections = text.split("~")
    bits = Bits(header)
    if (kind := bits.take(6)) != _HEADER_TYPE:
        raise malformed(f"type {kind} of the header is not {_HEADER_TYPE}")
    if (version := bits.take(6)) != _HEADER_VERSION:
        raise malformed(f"version {version} of the header is not {_HEADER_VERSION}")
    ids = _section_ids(bits)
    if len(ids) != len(sections):
        raise malformed(f"the header names {len(ids)} sections, {len(sections)} follow")
    return GppString(dict(zip(ids, sections, strict=True)))


def decode_us_national(text: str) -> UsNational:
    """Read section 7; raises ConsentError for another version and for anything malformed."""
    core, *others = text.split(".")
    bits = Bits(core)
    version = bits.take(6)
    if version not in _SENSITIVE:
        raise malformed(f"version {version} of the national section is not 1 or 2")
    notices = [_answer(bits) for _ in range(4)]
    for _ in range(2):  # the notices on sensitive data
        _answer(bits)
    sale, sharing, advertising = (_answer(bits) for _ in range(3))
    sensitive = tuple(_answer(bits) for _ in range(_SENSITIVE[version]))
    children = tuple(_answer(bits) for _ in range(_CHILDREN[version]))
    personal = _answer(bits)
    for _ in range(3):  # of the multi-state privacy agreement
        _answer(bits)
    return UsNational(
        version=version,
        sharing_notice=notices[0],
        sale_opt_out_notice=notices[1],
        sharing_opt_out_notice=notices[2],
        targeted_advertising_opt_out_notice=notices[3],
        sale_opt_out=sale,
        sharing_opt_out=sharing,
        targeted_advertising_opt_out=advertising,
        sensitive_data=sensitive,
        known_child=children,
        personal_data_consents=personal,
        gpc=_gpc(others),
    )


def _section_ids(bits: Bits) -> list[int]:
    found: list[int] = []
    last = 0
    for _ in range(bits.take(12)):
        is_range = bits.flag()
        first = last + bits.fibonacci()
        last = first + bits.fibonacci() if is_range else first
        if last - first >= _MOST_SECTIONS or len(found) >= _MOST_SECTIONS:
            raise malformed("the header names too many sections")
        found += range(first, last + 1)
    return found


def _answer(bits: Bits) -> int:
    answer = bits.take(2)
    if answer > _ANSWERS:
        raise malformed("an answer is none of 0, 1, 2")
    return answer


def _gpc(segments: list[str]) -> bool | None:
    found: bool | None = None
    for segment in segments:
        bits = Bits(segment)
        kind = bits.take(2)
        if kind != _GPC or found is not None:
            raise malformed(f"a segment of type {kind} where none may be")
        found = bits.flag()
    return found
