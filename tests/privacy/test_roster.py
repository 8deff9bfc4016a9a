from __future__ import annotations

import pytest

from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.roster import Roster, enrol

SITES = [SiteIdentity.generate(name) for name in ("ada", "ben", "cem")]


def refusal(roster: Roster) -> str:
    with pytest.raises(SecureSumError) as caught:
        roster.check()
    return caught.value.reason


def test_a_roster_that_everyone_approved_is_good_and_survives_its_file() -> None:
    roster = enrol(SITES)
    roster.check()
    again = Roster.from_json(roster.to_json())
    again.check()
    assert (again, again.sha256) == (roster, roster.sha256)


def test_approvals_do_not_change_what_is_approved() -> None:
    roster = enrol(SITES)
    assert Roster(roster.keys).sha256 == roster.sha256


def test_a_site_that_has_not_approved_is_named() -> None:
    roster = Roster({site.name: site.public_key for site in SITES})
    for site in SITES[:2]:
        roster = roster.approved(site)
    with pytest.raises(SecureSumError, match="cem") as caught:
        roster.check()
    assert caught.value.reason == "unapproved_roster"


def test_an_approval_is_for_one_roster_only() -> None:
    small, large = enrol(SITES[:2]), enrol(SITES)
    mixed = Roster(large.keys, {**large.approvals, "ada": small.approvals["ada"]})
    assert refusal(mixed) == "bad_signature"


def test_a_changed_key_undoes_every_approval() -> None:
    roster = enrol(SITES)
    swapped = {**roster.keys, "cem": SiteIdentity.generate("cem").public_key}
    assert refusal(Roster(swapped, roster.approvals)) == "bad_signature"


def test_a_stranger_cannot_approve() -> None:
    roster = enrol(SITES)
    with pytest.raises(SecureSumError) as caught:
        roster.approved(SiteIdentity.generate("dee"))
    assert caught.value.reason == "unknown_site"
    assert refusal(Roster(roster.keys, {**roster.approvals, "dee": b"x" * 64})) == "unknown_site"


def test_two_sites_cannot_share_a_key_nor_have_a_short_one() -> None:
    key = SITES[0].public_key
    for keys in ({"ada": key, "ben": key}, {"ada": key[:-1]}, {"": key}):
        with pytest.raises(SecureSumError) as caught:
            Roster(keys)
        assert caught.value.reason == "bad_roster"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1, "sites": []}', '{"version": 1, "sites": {"a": {}}}']
)
def test_a_text_that_is_no_roster_is_refused(text: str) -> None:
    with pytest.raises(SecureSumError) as caught:
        Roster.from_json(text)
    assert caught.value.reason == "bad_roster"


def test_another_version_is_refused() -> None:
    text = enrol(SITES).to_json().replace('"version": 1', '"version": 2')
    with pytest.raises(SecureSumError, match="version 2"):
        Roster.from_json(text)
