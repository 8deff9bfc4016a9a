"""Identifiers as each destination wants them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.activation import Contact, Hashing, IdentifierRule, usable_identifier
from fed_audience.activation.identifiers import (
    hashed,
    identify,
    masked,
    normalise_email,
    normalise_phone,
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  Ada@Example.COM\n", "ada@example.com"),
        ("a.d.a+shop@gmail.com", "a.d.a+shop@gmail.com"),
        ("ada@sub.example.co.uk", "ada@sub.example.co.uk"),
        ("ZOE\u0308@example.com", "zo\u00eb@example.com"),
        (None, None),
        ("", None),
        ("   ", None),
        ("ada", None),
        ("ada@", None),
        ("@example.com", None),
        ("ada@localhost", None),
        ("ada@@example.com", None),
        ("a da@example.com", None),
        ("ada@example..com", None),
        ("ada@example.com,bob@example.com", None),
        ("ada\u200b@example.com", None),
        (f"{'a' * 65}@example.com", None),
        (f"a@{'b' * 250}.com", None),
    ],
)
def test_an_address_is_trimmed_and_lowered_or_refused(raw: str | None, expected: Any) -> None:
    assert normalise_email(raw) == expected


@pytest.mark.parametrize(
    ("raw", "options", "expected"),
    [
        ("a.d.a+x@gmail.com", {"gmail_dots": True}, "ada+x@gmail.com"),
        ("a.d.a@googlemail.com", {"gmail_dots": True}, "ada@googlemail.com"),
        ("a.d.a+x@example.com", {"gmail_dots": True}, "a.d.a+x@example.com"),
        ("ada+x@example.com", {"plus_tag": "drop"}, "ada@example.com"),
        ("ada+x@example.com", {"plus_tag": "drop_at_gmail"}, "ada+x@example.com"),
        ("a.da+x@gmail.com", {"gmail_dots": True, "plus_tag": "drop_at_gmail"}, "ada@gmail.com"),
        ("+x@example.com", {"plus_tag": "drop"}, None),
        ("...@gmail.com", {"gmail_dots": True}, None),
    ],
)
def test_each_destination_has_its_own_rule(raw: str, options: Any, expected: Any) -> None:
    assert normalise_email(raw, **options) == expected


@pytest.mark.parametrize(
    ("raw", "country", "expected"),
    [
        ("+44 (0)20 7946 0958", None, "+442079460958"),
        ("0044 20 7946 0958", None, "+442079460958"),
        ("020 7946 0958", "44", "+442079460958"),
        ("020 7946 0958", None, None),
        ("+1 (415) 555-2671", None, "+14155552671"),
        ("06 6982 1234", "39", "+390669821234"),
        ("\uff0b49 30 123456", None, "+4930123456"),
        ("+0 123 4567", None, None),
        ("+49 0000000", None, None),
        ("+1234", None, None),
        ("+1234567890123456", None, None),
        ("+49 30 12x456", None, None),
        ("", "49", None),
        (None, "49", None),
    ],
)
def test_a_phone_is_international_or_refused(raw: Any, country: Any, expected: Any) -> None:
    assert normalise_phone(raw, country_code=country) == expected


def test_hashes_are_of_the_normalised_value() -> None:
    digest = hashlib.sha256(b"ada@example.com").digest()
    person = Contact("c", " Ada@Example.com ", "+44 20 7946 0958")
    rules = (
        IdentifierRule("email", "EMAIL", Hashing.SHA256_HEX),
        IdentifierRule("email", "em", Hashing.SHA256_BASE64),
        IdentifierRule("phone", "PHONE", plus_sign=False),
        IdentifierRule("customer_id", "customer_id"),
    )
    assert identify(person, rules) == {
        "EMAIL": digest.hex(),
        "em": base64.b64encode(digest).decode(),
        "PHONE": "442079460958",
        "customer_id": "c",
    }


@given(st.one_of(st.none(), st.text(max_size=20)))
def test_nothing_empty_or_malformed_is_ever_hashed(raw: str | None) -> None:
    rule = IdentifierRule("email", "e", Hashing.SHA256_HEX)
    value = rule.value_of(Contact("c", raw))
    assert value != hashlib.sha256(b"").hexdigest()
    assert (value is None) == (normalise_email(raw) is None)


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing(raw: str) -> None:
    once = normalise_email(raw)
    assert once is None or normalise_email(once) == once
    phone = normalise_phone(raw, country_code="44")
    assert phone is None or normalise_phone(phone, country_code="44") == phone


def test_an_empty_value_cannot_be_hashed() -> None:
    with pytest.raises(ValueError, match="never hashed"):
        hashed("", Hashing.SHA256_HEX)


def test_a_person_is_usable_with_any_one_identifier() -> None:
    rules = (IdentifierRule("email", "e"), IdentifierRule("phone", "p"))
    assert usable_identifier(Contact("c", None, "+4930123456"), rules)
    assert not usable_identifier(Contact("c", "x", "y"), rules)
    assert usable_identifier(Contact("c"), ())


def test_a_masked_identifier_shows_one_character() -> None:
    assert masked({"email": "ada@example.com"}) == {"email": "a…(15)"}
