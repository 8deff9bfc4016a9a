"""What the fields of an audit log's entries may hold: closed words, digests, bands, short text."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from fed_audience.audit.keys import VerifierKey
from fed_audience.config import StrictModel

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"

_BANDS: Final = (
    (10_000_000, "10,000,000 or more"),
    (1_000_000, "1,000,000 to 9,999,999"),
    (100_000, "100,000 to 999,999"),
    (10_000, "10,000 to 99,999"),
    (1_000, "1,000 to 9,999"),
    (100, "100 to 999"),
)
Band = Literal[
    "under 100",
    "100 to 999",
    "1,000 to 9,999",
    "10,000 to 99,999",
    "100,000 to 999,999",
    "1,000,000 to 9,999,999",
    "10,000,000 or more",
]


def figure(number: float) -> str:
    """Write ``number``, 0 or more, as a ``Figure``."""
    return f"{number:.6g}"


def band(count: int) -> Band:
    """Return the power of ten that ``count`` people or rows fall in; below 100 all look alike."""
    for least, name in _BANDS:
        if count >= least:
            return name  # type: ignore[return-value]  # the table holds the literals
    return "under 100"


def _no_person_in(text: str) -> str:
    """Refuse what looks like an address or a number that could name somebody."""
    if "@" in text:
        raise ValueError("an audit log holds no e-mail address; name the person or the document")
    if re.search(r"\d[\d \-./]{5,}\d", text) and not re.fullmatch(r".*\d{4}-\d{2}-\d{2}.*", text):
        raise ValueError("an audit log holds no long number, which could be somebody's")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("an audit log holds one line of text, without control characters")
    return text


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,62}$")]
Statement = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_no_person_in)]
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/\-]{1,200}$")]
Instant = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Figure = Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})?(e[+-]\d{2,3})?$")]
"""Six digits of a number that the parties chose or that follows from such, never of rows."""
MessageType = Annotated[str, Field(pattern="^[A-Z][A-Za-z]{0,62}$")]


def _is_verifier_key(text: str) -> str:
    VerifierKey.parse(text)
    return text


KeyText = Annotated[str, Field(max_length=300), AfterValidator(_is_verifier_key)]


class ProcessingRecord(StrictModel):
    """What GDPR Art. 30 asks a controller to keep on record, as the federation declares it.

    ``legal_basis`` names the ground and where it is kept; ``retention`` when data is erased.
    """

    purpose: Statement
    legal_basis: Statement
    controllers: tuple[Statement, ...] = Field(min_length=1)
    processors: tuple[Statement, ...] = ()
    data_subjects: tuple[Statement, ...] = Field(min_length=1)
    data_categories: tuple[Statement, ...] = Field(min_length=1)
    recipients: tuple[Statement, ...] = ()
    retention: Statement
    security: tuple[Statement, ...] = ()


class SiteRows(StrictModel):
    """How many rows a site trains on, and how many it left out for want of consent."""

    site: Name
    used: Band
    withdrawn: Band


class ReceivedMessage(StrictModel):
    """One reply of a round: who sent it, of which type, and its keyed digest."""

    site: Name
    kind: MessageType
    digest: Digest


def _fields_of(model: object) -> dict[str, Any]:
    if not isinstance(model, StrictModel):
        raise TypeError(f"{type(model).__name__} has no canonical form")
    return model.__dict__


_JSON: Final = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    allow_nan=False,
    check_circular=False,  # models are frozen: none holds itself
    default=_fields_of,
)


def canonical(document: Any) -> bytes:
    """Return canonical JSON of a document or a model: equal ones give equal bytes.

    Fields of a model are text, whole numbers, truth values, None, models, or tuples of these.
    """
    return _JSON.encode(document).encode("ascii")
