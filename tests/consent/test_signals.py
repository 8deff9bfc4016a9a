"""Consent strings mean what the IAB's own codecs say; what cannot be read grants nothing."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.consent.gpp import decode_gpp, decode_us_national
from fed_audience.consent.signals import TCF_FLAGS, US_FLAGS, decode_signal
from fed_audience.consent.tcf import decode_tcf
from fed_audience.errors import ConsentError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "vectors.json").read_text())
DISCLOSURE_REQUIRED = "2026-03-01"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
VENDOR = 755


def by_hand(vector: dict[str, Any], vendor: int) -> set[str]:
    """What a TC string grants, from what the IAB's codec read out of it."""
    disclosed = vector["disclosed_vendors"]
    is_required = vector["policy_version"] == 5 or vector["created"] >= DISCLOSURE_REQUIRED
    if (
        vector["policy_version"] not in {4, 5}
        or vendor not in vector["vendor_consents"]
        or (disclosed is None and is_required)
        or (disclosed is not None and vendor not in disclosed)
    ):
        return set()
    ruled_out = {p for p, kind, who in vector["restrictions"] if kind != 1 and vendor in who}
    granted = {f"tcf_purpose_{p}" for p in vector["purpose_consents"] if p not in ruled_out}
    return granted | {f"tcf_special_feature_{f}" for f in vector["special_features"]}


@pytest.mark.parametrize("vector", VECTORS["tcf"], ids=lambda one: one["text"][:40])
def test_a_tc_string_reads_as_the_iab_reads_it(vector: dict[str, Any]) -> None:
    found = decode_tcf(vector["text"])
    assert found.policy_version == vector["policy_version"]
    assert found.created == datetime.fromisoformat(vector["created"])
    assert (found.cmp_id, found.language, found.publisher_country, found.vendor_list_version) == (
        vector["cmp_id"],
        vector["language"],
        vector["country"],
        vector["vendor_list_version"],
    )
    assert sorted(found.purpose_consents) == vector["purpose_consents"]
    assert sorted(found.purpose_interests) == vector["purpose_interests"]
    assert sorted(found.special_features) == vector["special_features"]
    assert list(found.vendor_consents) == vector["vendor_consents"]
    assert list(found.vendor_interests) == vector["vendor_interests"]
    disclosed = found.disclosed_vendors
    assert (None if disclosed is None else list(disclosed)) == vector["disclosed_vendors"]
    for purpose, kind, vendors in vector["restrictions"]:
        (restriction,) = [one for one in found.restrictions if one.purpose == purpose]
        assert restriction.kind == kind
        assert all(vendor in restriction.vendors for vendor in vendors)


@pytest.mark.parametrize("vendor", [2, 12, VENDOR, 61, 9_999])
def test_a_purpose_needs_the_person_and_a_disclosed_vendor(vendor: int) -> None:
    granted = []
    for vector in VECTORS["tcf"]:
        signal = decode_signal("tcf", vector["text"], vendor=vendor)
        assert signal.granted == by_hand(vector, vendor), vector["text"]
        assert [flag.name for flag in signal.flags] == list(TCF_FLAGS)
        assert all(flag.why for flag in signal.flags if not flag.granted)
        granted.append(signal.granted)
    assert any(granted) == (vendor in {2, 12, VENDOR})


@pytest.mark.parametrize("vector", VECTORS["gpp"], ids=lambda one: one["text"][:40])
def test_a_national_section_reads_as_the_iab_reads_it(vector: dict[str, Any]) -> None:
    sections = decode_gpp(vector["text"]).sections
    assert list(sections) == vector["sections"]
    found = decode_us_national(sections[7])
    for name, value in vector["usnat"].items():
        mine = getattr(found, name)
        assert (list(mine) if isinstance(mine, tuple) else mine) == value, name


@pytest.mark.parametrize("vector", VECTORS["gpp"], ids=lambda one: one["text"][:40])
def test_nothing_is_granted_beside_a_state_a_child_or_a_browsers_refusal(
    vector: dict[str, Any],
) -> None:
    national = vector["usnat"]
    expected = {
        f"usnat_{what}"
        for what in ("sale", "sharing", "targeted_advertising")
        if national[f"{what}_opt_out"] == 2 and national[f"{what}_opt_out_notice"] == 1
    }
    is_alone = set(vector["sections"]) <= {2, 7}
    if not is_alone or national["gpc"] or any(national["known_child"]):
        expected = set()
    signal = decode_signal("gpp", vector["text"], vendor=VENDOR)
    assert {name for name in signal.granted if name.startswith("usnat")} == expected
    if not is_alone:
        assert all("single states are not read" in flag.why for flag in signal.flags)


def test_the_european_section_of_a_gpp_string_is_read_too() -> None:
    (vector,) = [one for one in VECTORS["gpp"] if 2 in one["sections"]]
    signal = decode_signal("gpp", vector["text"], vendor=VENDOR)
    assert {f"tcf_purpose_{number}" for number in range(1, 12)} <= signal.granted
    assert signal.policy_version == "4+usnat2"
    stranger = decode_signal("gpp", vector["text"], vendor=13)
    assert not any(name.startswith("tcf") for name in stranger.granted)


def with_field(text: str, start: int, size: int, value: int) -> str:
    """Overwrite bits of the first segment."""
    first, dot, rest = text.partition(".")
    bits = "".join(f"{LETTERS.index(letter):06b}" for letter in first)
    bits = bits[:start] + f"{value:0{size}b}" + bits[start + size :]
    coded = "".join(LETTERS[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))
    return coded + dot + rest


def test_an_unknown_version_grants_nothing_and_says_so() -> None:
    text = VECTORS["tcf"][-1]["text"]
    for version in (0, 1, 3, 63):
        signal = decode_signal("tcf", with_field(text, 0, 6, version), vendor=VENDOR)
        assert signal.granted == frozenset()
        assert f"version {version} is not 2" in signal.flags[0].why
    for policy in (0, 2, 3, 6, 63):
        signal = decode_signal("tcf", with_field(text, 132, 6, policy), vendor=VENDOR)
        assert signal.granted == frozenset()
        assert f"policy version {policy} is not among 4 (TCF 2.2)" in signal.flags[0].why
    section = VECTORS["gpp"][0]["text"].partition("~")[2]
    for version in (0, 3):
        header = VECTORS["gpp"][0]["text"].partition("~")[0]
        text = f"{header}~{with_field(section, 0, 6, version)}"
        signal = decode_signal("gpp", text, vendor=VENDOR)
        assert signal.granted == frozenset()
        assert f"version {version} of the national section" in signal.flags[0].why


@given(st.text(alphabet=LETTERS + ".~ é", max_size=60), st.sampled_from(["tcf", "gpp"]))
def test_no_text_breaks_it(text: str, kind: Any) -> None:
    signal = decode_signal(kind, text, vendor=VENDOR)
    assert {flag.name for flag in signal.flags} <= {*TCF_FLAGS, *US_FLAGS}
    assert signal.flags
    assert all(flag.granted or flag.why for flag in signal.flags)


@given(
    st.sampled_from([*VECTORS["tcf"], *VECTORS["gpp"]]),
    st.integers(0, 400),
    st.sampled_from([*LETTERS, ".", "~", ""]),
)
def test_a_broken_string_breaks_nothing(vector: dict[str, Any], at: int, letter: str) -> None:
    text = vector["text"]
    at %= len(text)
    broken = text[:at] + letter + text[at + 1 :]
    kind: Any = "gpp" if "usnat" in vector else "tcf"
    assert decode_signal(kind, broken, vendor=VENDOR).flags


@given(st.sampled_from(VECTORS["tcf"]), st.integers(1, 400))
def test_a_string_that_was_cut_grants_nothing(vector: dict[str, Any], kept: int) -> None:
    """Less than its core is refused; with its core, only what was disclosed can be missing."""
    core = vector["text"].partition(".")[0]
    kept %= len(core) - 3
    assert decode_signal("tcf", core[:kept], vendor=VENDOR).granted == frozenset()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ends too early"),
        ("A" * 100_001, "100,001 characters"),
        ("C*", "none of base64url"),
        (VECTORS["tcf"][-1]["text"] + ".IAAA.IAAA", "segment of type 1"),
        (VECTORS["tcf"][0]["text"] + ".AAAA", "segment of type 0"),
    ],
)
def test_what_is_wrong_is_said_and_the_string_is_not_quoted(text: str, says: str) -> None:
    with pytest.raises(ConsentError, match=says) as caught:
        decode_tcf(text)
    assert not text or text[:30] not in str(caught.value)


def test_a_few_letters_cannot_name_millions() -> None:
    """4,095 ranges of all vendors: read in no time, asked in no time."""
    entries = "1" + f"{1:016b}" + f"{65_535:016b}"
    core = f"{2:06b}" + "0" * 72 + "0" * 54 + f"{5:06b}" + "0" * 75 + "0" * 12
    bits = core + f"{65_535:016b}" + "1" + f"{4_095:012b}" + entries * 2_000
    bits += "0" * (-len(bits) % 6)
    text = "".join(LETTERS[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))
    assert decode_signal("tcf", text, vendor=VENDOR).granted == frozenset()


def test_a_header_that_names_too_many_sections_is_refused() -> None:
    bits = f"{3:06b}{1:06b}{1:012b}" + "1" + "11" + "00000000000000011"
    bits += "0" * (-len(bits) % 6)
    text = "".join(LETTERS[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))
    with pytest.raises(ConsentError, match="too many sections"):
        decode_gpp(text + "~A")
