"""What both brands must say alike before their customers are compared."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any, Final, Literal, Self

from fed_audience.privacy.overlap.refusals import OverlapError
from fed_audience.privacy.statements import statement

TERMS_VERSION: Final = 1
LEAST_THRESHOLD: Final = 50
LEAST_LIST: Final = 1_000
ROUNDING: Final = 10
EPSILON: Final = 0.1
SHORTEST_SALT: Final = 16
_EPSILONS: Final = (0.01, 1.0)
_QUERY_BYTES: Final = 16
_NAME: Final = re.compile("[a-z][a-z0-9_]{0,62}")

Identifier = Literal["email", "phone"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a collaboration; each brand keeps its own copy, and both must be equal.

    ``purpose``: of the consent that each person on a list has given. ``minimum_list``: people on
    either list, ``threshold``: least count that is told, ``rounding``: to multiples of it.
    ``epsilon``: of the noise in each count. Raises OverlapError (bad_terms).
    """

    purpose: str
    identifier: Identifier = "email"
    minimum_list: int = LEAST_LIST
    threshold: int = LEAST_THRESHOLD
    rounding: int = ROUNDING
    epsilon: float = EPSILON

    def __post_init__(self) -> None:
        low, high = _EPSILONS
        for name, holds, limit in (
            ("minimum_list", self.minimum_list >= LEAST_LIST, f"{LEAST_LIST:,} or more"),
            ("threshold", self.threshold >= LEAST_THRESHOLD, f"{LEAST_THRESHOLD} or more"),
            ("rounding", 1 <= self.rounding <= self.threshold, "1 to the threshold"),
            ("epsilon", low <= self.epsilon <= high, f"{low:g} to {high:g}"),
        ):
            if not holds:
                value = f"{name} {getattr(self, name)}"
                raise OverlapError("bad_terms", detail=value, limit=limit)

    @property
    def exact_epsilon(self) -> Fraction:
        """Epsilon as the decimal that was written."""
        return Fraction(str(self.epsilon))

    def require_equal(self, other: Policy) -> None:
        """Raise OverlapError (other_terms) naming the first value of ``other`` that differs."""
        for one in fields(self):
            own, theirs = getattr(self, one.name), getattr(other, one.name)
            if own != theirs:
                raise OverlapError(
                    "other_terms", detail=f"{one.name} {theirs}", limit=f"{one.name} {own}"
                )


@dataclass(frozen=True, slots=True)
class Terms:
    """One query: who asks whom, under which rules.

    ``restricted``: the asking brand compares an audience, not all its customers. ``query``: 16
    random bytes, hexadecimal. Raises OverlapError (bad_terms) for what is no name of a brand.
    """

    federation: str
    asking: str
    answering: str
    policy: Policy
    restricted: bool = False
    query: str = field(default_factory=lambda: secrets.token_hex(_QUERY_BYTES))

    def __post_init__(self) -> None:
        for name in (self.federation, self.asking, self.answering):
            if not _NAME.fullmatch(name):
                limit = "small letters, digits and _, at most 63"
                raise OverlapError("bad_terms", detail=f"the name {name[:63]!r}", limit=limit)

    @property
    def sha256(self) -> str:
        """Hash of all of it, hexadecimal."""
        return hashlib.sha256(self._text("overlap terms")).hexdigest()

    def salt(self, secret: bytes) -> bytes:
        """Return the salt of this query's points, from the ``secret`` of the two brands; 64 bytes.

        Raises OverlapError (bad_terms) for a secret that is too short to be one.
        """
        if len(secret) < SHORTEST_SALT:
            detail = f"a salt of {len(secret)} bytes"
            raise OverlapError("bad_terms", detail=detail, limit=f"{SHORTEST_SALT} or more")
        return hmac.digest(secret, self._text("overlap salt"), "sha512")

    def salt_check(self, secret: bytes) -> str:
        """Return what tells whether both brands have one salt, hexadecimal, and nothing of it."""
        return hmac.digest(self.salt(secret), b"check", "sha256").hex()

    def to_document(self) -> dict[str, Any]:
        """Return the terms as JSON knows them."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read ``to_document`` back; raises TypeError or KeyError for another form."""
        return cls(**{**document, "policy": Policy(**document["policy"])})

    def _text(self, purpose: Literal["overlap terms", "overlap salt"]) -> bytes:
        return statement(purpose, version=TERMS_VERSION, terms=self.to_document())
