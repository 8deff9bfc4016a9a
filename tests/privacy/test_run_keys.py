from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import Round
from fed_audience.privacy.run_keys import (
    KeyCard,
    RunTerms,
    check_cards,
    pair_secrets,
    round_key,
    self_mask_seed,
)
from tests.privacy.consortium import Consortium


def refusal(consortium: Consortium, cards: dict[str, KeyCard]) -> str:
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].agree(cards)
    return caught.value.reason


def secrets_of(terms: RunTerms) -> dict[str, dict[str, bytes]]:
    keys = {name: X25519PrivateKey.from_private_bytes(name.encode() * 8) for name in terms.sites}
    cards = {
        name: KeyCard(name, 1, key.public_key().public_bytes_raw(), b"")
        for name, key in keys.items()
    }
    return {name: pair_secrets(name, keys[name], cards, terms) for name in terms.sites}


def test_both_ends_of_a_pair_derive_the_same_secret_and_no_two_pairs_do() -> None:
    terms = RunTerms("run", "m", "r", ("s000", "s001", "s002"), ("s000", "s001", "s002"))
    held = secrets_of(terms)
    assert held["s000"]["s001"] == held["s001"]["s000"]
    assert len({secret for own in held.values() for secret in own.values()}) == 3


def test_a_secret_is_bound_to_the_terms() -> None:
    names = ("s000", "s001", "s002")
    terms = RunTerms("run", "m", "r", names, names)
    seen = {secrets_of(terms)["s000"]["s001"]}
    for change in (
        {"run": "run 2"},
        {"manifest_sha256": "n"},
        {"roster_sha256": "q"},
        {"overrides": ("two_sites",)},
        {"fixed_cohort": True},
    ):
        seen.add(secrets_of(replace(terms, **change))["s000"]["s001"])
    assert len(seen) == 6


def pair(letter: bytes) -> hmac.HMAC:
    return hmac.new(letter * 32, digestmod="sha256")


def test_a_round_key_is_bound_to_everything_that_names_the_round() -> None:
    asked, cohort = Round("run", 1, 2, 3), ("a", "b", "c")
    keys = {
        round_key(pair(b"k"), *arguments)
        for arguments in (
            (asked, cohort, 64),
            (asked, cohort, 32),
            (asked, ("a", "b", "d"), 64),
            (replace(asked, run="run2"), cohort, 64),
            (replace(asked, tree=2), cohort, 64),
            (replace(asked, level=3), cohort, 64),
            (replace(asked, attempt=4), cohort, 64),
        )
    } | {round_key(pair(b"l"), asked, cohort, 64)}
    assert len(keys) == 8
    assert {len(key) for key in keys} == {32}
    assert round_key(pair(b"l"), asked, cohort, 64) in keys


def test_a_self_mask_seed_is_bound_to_its_slot_and_given_back_after_a_restart() -> None:
    asked = Round("run", 1, 0)
    assert self_mask_seed(b"s" * 32, asked) == self_mask_seed(b"s" * 32, asked)
    others = [replace(asked, tree=2), replace(asked, attempt=1), replace(asked, run="x")]
    assert len({self_mask_seed(b"s" * 32, one) for one in [asked, *others]}) == 4


def test_every_site_arrives_at_the_same_hash_of_the_cards() -> None:
    consortium = Consortium(3)
    cards = consortium.present()
    assert len({site.agree(cards) for site in consortium.sites.values()}) == 1


def test_a_coordinator_in_the_middle_is_refused_unsigned_key() -> None:
    consortium = Consortium(3)
    cards = dict(consortium.present())
    own = X25519PrivateKey.generate().public_key().public_bytes_raw()
    cards["s001"] = replace(cards["s001"], public_key=own)
    assert refusal(consortium, cards) == "bad_signature"


def test_an_unknown_site_is_refused() -> None:
    consortium = Consortium(3)
    cards = dict(consortium.present())
    stranger = SiteIdentity.generate("s999")
    text = consortium.terms.text("s999", 1, b"k" * 32)
    cards["s999"] = KeyCard("s999", 1, b"k" * 32, stranger.sign(text))
    assert refusal(consortium, cards) == "unknown_site"


def test_a_missing_card_is_refused() -> None:
    consortium = Consortium(3)
    cards = dict(consortium.present())
    del cards["s002"]
    assert refusal(consortium, cards) == "missing_key"


def test_a_key_shown_for_two_sites_is_refused() -> None:
    """Unsigned copies fail by their signature; a site that signs another's key is refused too."""
    consortium = Consortium(3)
    cards = dict(consortium.present())
    key = cards["s001"].public_key
    text = consortium.terms.text("s002", 1, key)
    cards["s002"] = KeyCard("s002", 1, key, consortium.identities["s002"].sign(text))
    assert refusal(consortium, cards) == "repeated_key"


def test_a_card_of_another_run_is_refused() -> None:
    consortium = Consortium(3)
    cards = dict(consortium.present())
    other = consortium.make_terms(run="run 2")
    cards["s001"] = consortium.sites["s001"].present(other, consortium.roster)
    assert refusal(consortium, cards) == "bad_signature"


def test_cards_are_checked_against_the_roster_given() -> None:
    consortium = Consortium(3)
    cards = consortium.present()
    with pytest.raises(SecureSumError) as caught:
        check_cards(cards, consortium.terms, Consortium(3).roster)
    assert caught.value.reason == "bad_signature"


def test_a_key_of_small_order_is_refused() -> None:
    consortium = Consortium(3)
    cards = dict(consortium.present())
    text = consortium.terms.text("s001", 1, bytes(32))
    cards["s001"] = KeyCard("s001", 1, bytes(32), consortium.identities["s001"].sign(text))
    assert refusal(consortium, cards) == "bad_signature"
