"""E-mail and phone as each destination wants them: normalised, then hashed, at send time.

There is no single normalisation: each destination states its own rule. Nothing is ever hashed
that is empty, malformed or a placeholder, for such a hash would match strangers.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fed_audience.activation.members import Contact, Member

_EMAIL = re.compile(r"^[^\s@,;<>()\[\]\"]+@(?:[^\s@.,;<>]+\.)+[^\s@.,;<>]{2,}$")
_EMAIL_LENGTH = 254
_LOCAL_LENGTH = 64
_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_PHONE_NOISE = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]")
_E164 = re.compile(r"^[1-9][0-9]{6,14}$")
# Italy, San Marino and Vatican dial the leading zero also from abroad.
_KEEPS_ZERO = frozenset({"39", "378"})


class Hashing(StrEnum):
    """How a normalised value leaves; hashed or not, it stays personal data."""

    NONE = "none"
    SHA256_HEX = "sha256"
    SHA256_BASE64 = "sha256_base64"


@dataclass(frozen=True, slots=True)
class IdentifierRule:
    """One identifier of a destination.

    ``field`` is its name in the payload. For e-mail, ``gmail_dots`` removes dots at Gmail and
    ``plus_tag`` the part from '+' on. For phone, ``plus_sign`` keeps the sign and
    ``country_code`` (digits) completes national numbers; without it they cannot be used.
    """

    kind: Literal["email", "phone", "customer_id"]
    field: str
    hashing: Hashing = Hashing.NONE
    gmail_dots: bool = False
    plus_tag: Literal["keep", "drop", "drop_at_gmail"] = "keep"
    plus_sign: bool = True
    country_code: str | None = None

    def value_of(self, person: Contact | Member) -> str | None:
        """Return the identifier as it is sent, or None when there is nothing usable."""
        if self.kind == "email":
            plain = normalise_email(
                person.email, gmail_dots=self.gmail_dots, plus_tag=self.plus_tag
            )
        elif self.kind == "phone":
            plain = normalise_phone(person.phone, country_code=self.country_code)
            plain = plain.removeprefix("+") if plain and not self.plus_sign else plain
        else:
            plain = person.customer_id or None
        return hashed(plain, self.hashing) if plain else None


def identify(person: Contact | Member, rules: Sequence[IdentifierRule]) -> dict[str, str]:
    """Return every usable identifier of ``person`` under its field's name."""
    found = {}
    for rule in rules:
        value = rule.value_of(person)
        if value is not None:
            found[rule.field] = value
    return found


def usable_identifier(person: Contact | Member, rules: Sequence[IdentifierRule]) -> bool:
    """Tell whether the destination can recognise the person; True where it asks for nothing."""
    return not rules or any(rule.value_of(person) is not None for rule in rules)


def normalise_email(
    raw: str | None,
    *,
    gmail_dots: bool = False,
    plus_tag: Literal["keep", "drop", "drop_at_gmail"] = "keep",
) -> str | None:
    """Trim, compose (NFC) and lower-case an address; None when it is empty or malformed."""
    if raw is None:
        return None
    text = unicodedata.normalize("NFC", raw).strip().lower()
    if len(text) > _EMAIL_LENGTH or not text.isprintable() or not _EMAIL.match(text):
        return None
    local, _, domain = text.partition("@")
    at_gmail = domain in _GMAIL
    if plus_tag == "drop" or (plus_tag == "drop_at_gmail" and at_gmail):
        local = local.partition("+")[0]
    if gmail_dots and at_gmail:
        local = local.replace(".", "")
    if not local or len(local) > _LOCAL_LENGTH:
        return None
    return f"{local}@{domain}"


def normalise_phone(raw: str | None, *, country_code: str | None = None) -> str | None:
    """Return the number as '+' and 7 to 15 digits (ITU-T E.164), or None when that cannot be.

    A national number, one without '+' or '00', needs ``country_code``; its trunk zero goes.
    A number that ends in seven equal digits is a placeholder.
    """
    if raw is None:
        return None
    text = _PHONE_NOISE.sub("", unicodedata.normalize("NFKC", raw).replace("(0)", ""))
    if text.startswith("+"):
        digits = text[1:]
    elif text.startswith("00"):
        digits = text[2:]
    elif country_code is None or not text:
        return None
    elif country_code in _KEEPS_ZERO:
        digits = country_code + text
    else:
        digits = country_code + text.removeprefix("0")
    if not digits.isascii() or not _E164.match(digits) or len(set(digits[-7:])) == 1:
        return None
    return f"+{digits}"


def hashed(plain: str, hashing: Hashing) -> str:
    """Encode a non-empty normalised value; raises ValueError when it is empty."""
    if not plain:
        message = "an empty identifier is never hashed"
        raise ValueError(message)
    if hashing is Hashing.NONE:
        return plain
    digest = hashlib.sha256(plain.encode())
    if hashing is Hashing.SHA256_HEX:
        return digest.hexdigest()
    return base64.b64encode(digest.digest()).decode("ascii")


def masked(identifiers: Mapping[str, str]) -> dict[str, str]:
    """Return the identifiers as a person may see them on a screen: first character and length."""
    return {field: f"{value[:1]}…({len(value)})" for field, value in identifiers.items()}
