"""IAB Europe's TC string, versions 2.2 and 2.3 of the Transparency and Consent Framework.

Fields and their sizes: IAB Tech Lab, "Consent string and vendor list formats v2"; the disclosed
vendors of 2.3 are its segment of type 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fed_audience.consent.bits import Bits, IdSet, malformed, read_ranges, read_vendors

VERSION: Final = 2
POLICIES: Final = {4: "2.2", 5: "2.3"}
"""Policy version of a string -> the version of the framework."""

PURPOSES: Final = 11
SPECIAL_FEATURES: Final = 2

_DISCLOSURE_REQUIRED: Final = datetime(2026, 3, 1, tzinfo=UTC)
"""From here on a string without disclosed vendors is invalid, whatever its policy version."""

_CORE, _DISCLOSED, _ALLOWED, _PUBLISHER = range(4)
_NOT_ALLOWED, _REQUIRE_CONSENT, _REQUIRE_INTEREST = range(3)


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a publisher lays down for some vendors and a purpose: 0 not at all, 1 only with
    consent, 2 only on legitimate interest.
    """  # noqa: D205 - one sentence

    purpose: int
    kind: int
    vendors: IdSet


@dataclass(frozen=True, slots=True)
class TcString:
    """What a TC string says. ``disclosed_vendors`` is None where the string has no such segment."""

    created: datetime
    updated: datetime
    cmp_id: int
    cmp_version: int
    language: str
    vendor_list_version: int
    policy_version: int
    is_service_specific: bool
    special_features: frozenset[int]
    purpose_consents: frozenset[int]
    purpose_interests: frozenset[int]
    publisher_country: str
    vendor_consents: IdSet
    vendor_interests: IdSet
    restrictions: tuple[Restriction, ...]
    disclosed_vendors: IdSet | None

    def refusal(self, vendor: int) -> str | None:
        """Say why ``vendor`` may rely on no consent of this string at all; None when it may."""
        if self.policy_version not in POLICIES:
            known = ", ".join(f"{policy} (TCF {name})" for policy, name in POLICIES.items())
            return f"policy version {self.policy_version} is not among {known}"
        if self.disclosed_vendors is None:
            if self.policy_version in POLICIES and (
                POLICIES[self.policy_version] == "2.3" or self.updated >= _DISCLOSURE_REQUIRED
            ):
                return "it does not say which vendors were disclosed"
        elif vendor not in self.disclosed_vendors:
            return f"vendor {vendor} was not disclosed to the person"
        if vendor not in self.vendor_consents:
            return f"vendor {vendor} has no consent"
        return None

    def consents(self, purpose: int, vendor: int) -> bool:
        """Tell whether the person consents to ``purpose`` by ``vendor``.

        Legitimate interest is no consent; a publisher that rules consent out is obeyed.
        """
        ruled_out = any(
            restriction.purpose == purpose
            and restriction.kind != _REQUIRE_CONSENT
            and vendor in restriction.vendors
            for restriction in self.restrictions
        )
        return purpose in self.purpose_consents and self.refusal(vendor) is None and not ruled_out


def decode_tcf(text: str) -> TcString:
    """Read a TC string; raises ConsentError for another version and for anything malformed."""
    core, *others = text.split(".")
    bits = Bits(core)
    if (version := bits.take(6)) != VERSION:
        raise malformed(f"version {version} is not {VERSION}")
    created, updated = (_instant(bits.take(36)) for _ in range(2))
    cmp_id, cmp_version, _screen = bits.take(12), bits.take(12), bits.take(6)
    language = bits.letters(2)
    vendor_list, policy = bits.take(12), bits.take(6)
    is_service_specific, _non_standard = bits.flag(), bits.flag()
    special, consents, interests = (bits.set_of(size) for size in (12, 24, 24))
    _one_treatment = bits.flag()
    country = bits.letters(2)
    vendor_consents, vendor_interests = read_vendors(bits), read_vendors(bits)
    return TcString(
        created=created,
        updated=updated,
        cmp_id=cmp_id,
        cmp_version=cmp_version,
        language=language,
        vendor_list_version=vendor_list,
        policy_version=policy,
        is_service_specific=is_service_specific,
        special_features=special,
        purpose_consents=consents,
        purpose_interests=interests,
        publisher_country=country,
        vendor_consents=vendor_consents,
        vendor_interests=vendor_interests,
        restrictions=_restrictions(bits),
        disclosed_vendors=_disclosed(others),
    )


def _restrictions(bits: Bits) -> tuple[Restriction, ...]:
    return tuple(
        Restriction(bits.take(6), bits.take(2), read_ranges(bits)) for _ in range(bits.take(12))
    )


def _disclosed(segments: list[str]) -> IdSet | None:
    found: IdSet | None = None
    seen: set[int] = set()
    for segment in segments:
        bits = Bits(segment)
        kind = bits.take(3)
        if kind in seen or kind not in {_DISCLOSED, _ALLOWED, _PUBLISHER}:
            raise malformed(f"a segment of type {kind} where none may be")
        seen.add(kind)
        if kind == _DISCLOSED:
            found = read_vendors(bits)
    return found


def _instant(deciseconds: int) -> datetime:
    # 36 bits end in the year 2187, so no string overflows.
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=100 * deciseconds)
