from __future__ import annotations

import sys

import pytest

from fed_audience.errors import ResourceError
from fed_audience.privacy.overlap import group
from fed_audience.privacy.overlap.group import HashToPoint


def test_texts_become_the_points_of_rfc_9497() -> None:
    """Appendix A.1.1, ristretto255-SHA512 in mode OPRF, test vectors 1 and 2."""
    hashing = HashToPoint(b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512")
    blind = bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706")
    for text, blinded in (
        (b"\x00", "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c"),
        (b"\x5a" * 17, "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418"),
    ):
        product = group.times(blind, hashing.point(text))
        assert product is not None
        assert product.hex() == blinded


def test_a_salt_or_a_domain_makes_other_points() -> None:
    one = HashToPoint(b"domain", b"salt" * 16).point(b"text")
    assert one == HashToPoint(b"domain", b"salt" * 16).point(b"text")
    assert one != HashToPoint(b"domain", b"tlas" * 16).point(b"text")
    assert one != HashToPoint(b"domaim", b"salt" * 16).point(b"text")
    assert one != HashToPoint(b"domain").point(b"text")


def test_secrets_commute_and_belong_to_their_public_key() -> None:
    a, b, point = group.new_scalar(), group.new_scalar(), group.random_point()
    one, other = group.times(a, point), group.times(b, point)
    assert one is not None
    assert other is not None
    assert group.times(b, one) == group.times(a, other)
    assert group.times(a, group.public_of(b)) == group.times(b, group.public_of(a))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rbcl", None)
    group.sodium.cache_clear()
    try:
        with pytest.raises(ResourceError, match=r"pip install 'fed-audience\[overlap\]'"):
            group.new_scalar()
    finally:
        group.sodium.cache_clear()
