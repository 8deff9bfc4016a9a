"""Inspects a recording of what crossed the sites' borders, message by message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fed_audience.errors import DataError, FederationError, UsageError
from fed_audience.federation import messages as m
from fed_audience.federation.messages import wire
from fed_audience.federation.messages.overlap import OVERLAP_MESSAGES
from fed_audience.federation.recording import read_recording
from fed_audience.testing.needles import Haystack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fed_audience.federation.transport import Envelope
    from fed_audience.testing.needles import Needle

OUTSIDE = "outside the catalogue"
_LEAVING = {kind.kind: kind for kind in (*m.REPLIES, *OVERLAP_MESSAGES)}


@dataclass(frozen=True, slots=True)
class KindInspection:
    """All messages of one type in one direction. ``reveals``: what a reader of one learns."""

    direction: str
    kind: str
    sites: tuple[str, ...]
    messages: int
    bytes: int
    largest: int
    reveals: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a message should not have been sent. ``message``: its number in the file, from 1."""

    message: int
    site: str
    direction: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a recording: nothing is wrong with it when ``complaints`` is empty."""

    kinds: tuple[KindInspection, ...]
    complaints: tuple[Complaint, ...]
    needles: int

    def leaving(self) -> tuple[int, int]:
        """Return messages and bytes that left the sites."""
        rows = [kind for kind in self.kinds if kind.direction == "from_site"]
        return sum(row.messages for row in rows), sum(row.bytes for row in rows)


class _Inspector:
    def __init__(self, needles: Sequence[Needle]) -> None:
        self._haystack = Haystack(needles) if needles else None
        self._asked: dict[str, m.Request] = {}
        self._lengths: dict[m.Slot, tuple[str, int]] = {}
        self.sizes: dict[tuple[str, str], list[tuple[str, int]]] = {}
        self.complaints: list[Complaint] = []

    def look(self, number: int, envelope: Envelope) -> None:
        kind, why = self._read(envelope)
        self.sizes.setdefault((envelope.direction, kind), []).append(
            (envelope.site, len(envelope.body))
        )
        found = [why] if why else []
        for find in self._haystack.search(envelope.body) if self._haystack else ():
            within = f" of {find.within}" if find.within else ""
            found.append(
                f"holds needle {find.needle + 1} as {find.form}, byte {find.offset}{within}"
            )
        self.complaints += [
            Complaint(number, envelope.site, envelope.direction, kind, one) for one in found
        ]

    def _read(self, envelope: Envelope) -> tuple[str, str]:
        """Return a message's type and what is wrong with it, if anything is."""
        try:
            if envelope.direction == "to_site":
                request = m.decode_request(envelope.body)
                self._asked[envelope.site] = request
                return type(request).__name__, ""
            leaving = wire.decode(envelope.body, _LEAVING)
        except FederationError as error:
            return OUTSIDE, f"is no message that may go there: {error.what}"
        fault = self._fault(envelope.site, leaving) if isinstance(leaving, m.Reply) else ""
        return type(leaving).__name__, fault

    def _fault(self, site: str, reply: m.Reply) -> str:
        if isinstance(reply, m.Refused):
            return ""
        asked = self._asked.get(site)
        if asked is None or asked.slot != reply.slot:
            return "answers a round that the site was not asked"
        if isinstance(reply, m.VectorReply):
            first, length = self._lengths.setdefault(reply.slot, (site, len(reply.words)))
            if len(reply.words) != length:
                return f"has {len(reply.words):,} numbers where {first} sent {length:,}"
        return ""


def inspect_recording(path: Path, needles: Sequence[Needle] = ()) -> Inspection:
    """Check every message of a recording against the catalogue, and look for ``needles`` in it.

    A message is complained of when it does not decode to a type that may go its way, answers
    what was not asked, has another length than the other sites' in its round, or holds a needle
    in any of the forms that ``Haystack`` knows. Raises DataError for a recording that is empty or
    damaged.
    """
    inspector = _Inspector(needles)
    for number, envelope in enumerate(read_recording(path), start=1):
        inspector.look(number, envelope)
    if not inspector.sizes:
        raise DataError(
            "the recording is empty, so nothing is shown by it",
            looked=str(path),
            fix="record a run in which sites answer",
        )
    kinds = [_summary(*key, sizes) for key, sizes in inspector.sizes.items()]
    kinds.sort(key=lambda row: (row.direction, -row.bytes, row.kind))
    return Inspection(tuple(kinds), tuple(inspector.complaints), len(needles))


def read_needles(path: Path) -> list[Needle]:
    """Read values that must not appear, one a line; a decimal number is looked for as such too.

    Raises UsageError for a file without a line, and for one that cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "the needles cannot be read",
            value=getattr(error, "strerror", None) or "not UTF-8 text",
            looked=str(path),
            fix="give a text file, one value a line",
        ) from None
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not texts:
        raise UsageError(
            "there is no needle in the file", looked=str(path), fix="write one value a line"
        )
    numbers = [number for number in map(_decimal, texts) if number is not None]
    return [*texts, *numbers]


def _decimal(text: str) -> float | None:
    try:
        return float(text) if "." in text else None
    except ValueError:
        return None


def _summary(direction: str, kind: str, sizes: list[tuple[str, int]]) -> KindInspection:
    lengths = [length for _, length in sizes]
    types: dict[str, Any] = {one.__name__: one for one in (*m.REQUESTS, *_LEAVING.values())}
    return KindInspection(
        direction=direction,
        kind=kind,
        sites=tuple(sorted({site for site, _ in sizes})),
        messages=len(lengths),
        bytes=sum(lengths),
        largest=max(lengths),
        reveals=types[kind].reveals if kind in types else "Unknown: it is not in the catalogue.",
    )
