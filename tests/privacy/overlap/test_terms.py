from __future__ import annotations

from dataclasses import replace

import pytest

from fed_audience.privacy.overlap.refusals import OverlapError
from fed_audience.privacy.overlap.terms import Policy, Terms

SECRET = b"sixteen bytes it"
POLICY = Policy("share_partner")
TERMS = Terms("three", "fashion", "grocery", POLICY)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minimum_list": 999}, "minimum_list 999; allowed: 1,000 or more"),
        ({"threshold": 49}, "threshold 49; allowed: 50 or more"),
        ({"rounding": 0}, "rounding 0"),
        ({"rounding": 60}, "rounding 60"),
        ({"epsilon": 0.001}, r"epsilon 0\.001; allowed: 0\.01 to 1"),
        ({"epsilon": 2.0}, r"epsilon 2\.0"),
    ],
)
def test_rules_can_be_stricter_and_not_laxer(changes: dict[str, float], words: str) -> None:
    with pytest.raises(OverlapError, match=words) as caught:
        Policy("share_partner", **changes)  # type: ignore[arg-type]
    assert caught.value.reason == "bad_terms"


def test_partners_who_differ_are_told_in_what() -> None:
    POLICY.require_equal(Policy("share_partner"))
    with pytest.raises(OverlapError, match="threshold 80; allowed: threshold 50"):
        POLICY.require_equal(replace(POLICY, threshold=80))
    with pytest.raises(OverlapError, match="purpose share_model"):
        POLICY.require_equal(replace(POLICY, purpose="share_model"))


def test_each_query_has_a_salt_of_its_own() -> None:
    other = replace(TERMS, query="0" * 32)
    assert len(TERMS.salt(SECRET)) == 64
    assert TERMS.salt(SECRET) != other.salt(SECRET)
    assert TERMS.salt(SECRET) != TERMS.salt(SECRET[::-1])
    assert TERMS.salt_check(SECRET) != TERMS.salt_check(SECRET[::-1])
    assert TERMS.salt(SECRET).hex() not in TERMS.salt_check(SECRET)
    with pytest.raises(OverlapError, match="a salt of 15 bytes"):
        TERMS.salt(SECRET[:15])


@pytest.mark.parametrize("name", ["", "Grocery", "a/b", "..", "a" * 64, "grocery\n"])
def test_names_are_those_that_files_and_logs_can_have(name: str) -> None:
    for place in ("federation", "asking", "answering"):
        with pytest.raises(OverlapError, match="the name") as caught:
            replace(TERMS, **{place: name})  # type: ignore[arg-type]
        assert caught.value.reason == "bad_terms"


def test_terms_come_back_from_their_document() -> None:
    again = Terms.from_document(TERMS.to_document())
    assert again == TERMS
    assert again.sha256 == TERMS.sha256 != replace(TERMS, restricted=True).sha256
    assert len(TERMS.query) == 32
    assert Terms("three", "fashion", "grocery", POLICY).query != TERMS.query
