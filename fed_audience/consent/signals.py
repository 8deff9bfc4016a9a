"""What consent strings say, as flags that a brand's mapping may give a meaning to.

A flag is granted only where the string says so in a version that is known; whatever cannot be read
grants nothing, and says why. Which purpose of ours a flag stands for is decided in the seed
`consent_mapping`, never here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fed_audience.consent.gpp import TCF_EU, US_NATIONAL, decode_gpp, decode_us_national
from fed_audience.consent.tcf import PURPOSES, SPECIAL_FEATURES, decode_tcf
from fed_audience.errors import ConsentError

if TYPE_CHECKING:
    from fed_audience.consent.gpp import UsNational

TCF_FLAGS: Final = (
    *(f"tcf_purpose_{number}" for number in range(1, PURPOSES + 1)),
    *(f"tcf_special_feature_{number}" for number in range(1, SPECIAL_FEATURES + 1)),
)
US_FLAGS: Final = ("usnat_sale", "usnat_sharing", "usnat_targeted_advertising")

Kind = Literal["tcf", "gpp"]


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that a person may have allowed, and why it is not granted where it is not."""

    name: str
    granted: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """A decoded string. ``policy_version`` is empty where it could not be read."""

    policy_version: str
    flags: tuple[Flag, ...]

    @property
    def granted(self) -> frozenset[str]:
        """Names of the flags that are granted."""
        return frozenset(flag.name for flag in self.flags if flag.granted)


def decode_signal(kind: Kind, text: str, *, vendor: int) -> Signal:
    """Decode a string; never raises for what stands in it. ``vendor``: the brand's TCF vendor id.

    The section of TCF in a GPP string is read too. A section of a single state is not: it may hold
    an opt-out that we cannot see, so nothing of the national section is granted beside it.
    """
    if kind == "tcf":
        return _tcf(text, vendor)
    try:
        sections = decode_gpp(text)
    except ConsentError as error:
        return Signal("", _refused((*US_FLAGS, *TCF_FLAGS), error.what))
    parts: list[Signal] = []
    if TCF_EU in sections.sections:
        parts.append(_tcf(sections.sections[TCF_EU], vendor))
    if sections.states:
        listed = ", ".join(map(str, sections.states))
        why = f"sections {listed} of single states are not read and may hold an opt-out"
        parts.append(Signal("", _refused(US_FLAGS, why)))
    elif US_NATIONAL in sections.sections:
        parts.append(_us_national(sections.sections[US_NATIONAL]))
    if not parts:
        return Signal("", _refused(US_FLAGS, "no section that is read is in it"))
    versions = "+".join(part.policy_version for part in parts if part.policy_version)
    return Signal(versions, tuple(flag for part in parts for flag in part.flags))


def _tcf(text: str, vendor: int) -> Signal:
    try:
        found = decode_tcf(text)
    except ConsentError as error:
        return Signal("", _refused(TCF_FLAGS, error.what))
    why = found.refusal(vendor)
    if why is not None:
        return Signal(str(found.policy_version), _refused(TCF_FLAGS, why))
    flags = [
        _flag(f"tcf_purpose_{number}", found.consents(number, vendor), "no consent to it")
        for number in range(1, PURPOSES + 1)
    ]
    flags += [
        _flag(f"tcf_special_feature_{number}", number in found.special_features, "not opted in")
        for number in range(1, SPECIAL_FEATURES + 1)
    ]
    return Signal(str(found.policy_version), tuple(flags))


def _us_national(text: str) -> Signal:
    try:
        found = decode_us_national(text)
    except ConsentError as error:
        return Signal("", _refused(US_FLAGS, error.what))
    version = f"usnat{found.version}"
    if found.gpc:
        return Signal(version, _refused(US_FLAGS, "the browser sends Global Privacy Control"))
    if found.is_child:
        return Signal(version, _refused(US_FLAGS, "the person is known to be a child"))
    return Signal(version, tuple(_us_flags(found)))


def _us_flags(found: UsNational) -> list[Flag]:
    asked = (
        ("usnat_sale", found.sale_opt_out_notice, found.sale_opt_out),
        ("usnat_sharing", found.sharing_opt_out_notice, found.sharing_opt_out),
        (
            "usnat_targeted_advertising",
            found.targeted_advertising_opt_out_notice,
            found.targeted_advertising_opt_out,
        ),
    )
    yes, no = 1, 2
    return [
        _flag(
            name,
            notice == yes and opt_out == no,
            "opted out" if opt_out == yes else "no notice was given, or it does not apply",
        )
        for name, notice, opt_out in asked
    ]


def _flag(name: str, granted: bool, why: str) -> Flag:  # noqa: FBT001 - what the flag is about
    return Flag(name, granted, "" if granted else why)


def _refused(names: tuple[str, ...], why: str) -> tuple[Flag, ...]:
    return tuple(Flag(name, granted=False, why=why) for name in names)
