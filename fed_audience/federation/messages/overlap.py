"""What two brands send each other to count the customers they have in common.

A message is a file: a recording of one message that left a site, so that `inspect-egress` reads it
before it is handed over.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.federation.messages import wire
from fed_audience.federation.messages.wire import ArrayType, WireModel
from fed_audience.privacy.overlap.refusals import OverlapError
from fed_audience.privacy.overlap.terms import Identifier, Policy, Terms
from fed_audience.privacy.statements import statement

if TYPE_CHECKING:
    from fed_audience.audit.keys import Signer, VerifierKey

PointTable = Annotated[NDArray[np.uint8], ArrayType("|u1", 2)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Signature = Annotated[str, Field(pattern="^([0-9a-f]{128})?$")]
QueryId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Word = Annotated[str, Field(min_length=1, max_length=100)]
Size = Annotated[int, Field(ge=0, le=2**31 - 1)]


class OverlapTerms(StrictModel):
    """Who asks whom under which rules; both brands must state the same."""

    federation: Word
    asking: Word
    answering: Word
    query: QueryId
    restricted: bool
    purpose: Word
    identifier: Identifier
    minimum_list: Size
    threshold: Size
    rounding: Size
    epsilon: float

    @classmethod
    def of(cls, terms: Terms) -> OverlapTerms:
        """Return ``terms`` as they are sent."""
        document = terms.to_document()
        return cls(**document.pop("policy"), **document)

    def terms(self) -> Terms:
        """Return them as the protocol has them. Raises OverlapError (bad_terms)."""
        own = self.model_dump()
        rules = {name: own.pop(name) for name in (one.name for one in fields(Policy))}
        return Terms(policy=Policy(**rules), **own)


class OverlapMessage(WireModel):
    """A message of one brand to another, under the sender's Ed25519 signature."""

    signature: Signature = ""

    @property
    def signed_text(self) -> bytes:
        """What is signed: all of the message but the signature."""
        plain = wire.encode(self.model_copy(update={"signature": ""}))
        return statement("overlap message", sha256=hashlib.sha256(plain).hexdigest())


class OverlapQuestion(OverlapMessage):
    """The asking brand's customers, each as a point of the group ristretto255.

    Nobody can tell one from a random point without the brand's secret of this query, ``public``
    being its public key. They ascend, with random points to fill up. ``salt_check`` is a hash of
    the salt bound to the query: equal where salts are.
    """

    kind = 129
    reveals = (
        "How many people the asking brand compares, rounded up to two digits; whether they are an "
        "audience or all its customers; whether its salt equals the partner's."
    )
    terms: OverlapTerms
    salt_check: Digest
    public: Digest
    points: PointTable


class OverlapAnswer(OverlapMessage):
    """Both brands' customers, the asking one's (``raised``) under both brands' secrets.

    They ascend, with decoys in both that add noise to what they have in common.
    """

    kind = 130
    reveals = (
        "How many customers the answering brand compares, rounded up to two digits; and, to the "
        "asking brand alone, how many both have in common, with noise."
    )
    query: QueryId
    terms_sha256: Digest
    raised: PointTable
    points: PointTable


class OverlapResult(OverlapMessage):
    """The count that the asking brand read, under further noise of its own, for the partner."""

    kind = 131
    reveals = "To the answering brand alone, how many both have in common, with noise."
    query: QueryId
    terms_sha256: Digest
    count: Annotated[int, Field(ge=-(2**53), le=2**53)]


OVERLAP_MESSAGES: Final[tuple[type[OverlapMessage], ...]] = (
    OverlapQuestion,
    OverlapAnswer,
    OverlapResult,
)
OVERLAP_KINDS: Final = {kind.kind: kind for kind in OVERLAP_MESSAGES}
MessageT = TypeVar("MessageT", bound=OverlapMessage)


def signed(message: MessageT, signer: Signer) -> MessageT:
    """Return ``message`` under the signature of its sender."""
    return message.model_copy(update={"signature": signer.sign(message.signed_text).hex()})


def check_signed(message: OverlapMessage, key: VerifierKey) -> None:
    """Raise OverlapError (bad_signature) unless ``key`` signed ``message``."""
    signature = bytes.fromhex(message.signature)
    if not signature or not key.verifies(message.signed_text, signature):
        raise OverlapError("bad_signature", detail=key.name)


def read_overlap(body: bytes, kind: type[MessageT]) -> MessageT:
    """Read a message of type ``kind``.

    Raises OverlapError (not_for_us) for another step's, FederationError for other bytes.
    """
    message = wire.decode(body, OVERLAP_KINDS)
    if not isinstance(message, kind):
        raise OverlapError("not_for_us", detail=type(message).__name__, limit=kind.__name__)
    return message
