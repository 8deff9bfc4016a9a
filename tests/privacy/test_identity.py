from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fed_audience.privacy.identity import SiteIdentity, check_signature
from fed_audience.privacy.refusals import SecureSumError


def test_a_signature_verifies_under_the_signers_key_and_text_only() -> None:
    ada, ben = SiteIdentity.generate("ada"), SiteIdentity.generate("ben")
    signature = ada.sign(b"text")
    check_signature("ada", ada.public_key, signature, b"text")
    for key, text in ((ben.public_key, b"text"), (ada.public_key, b"texu"), (b"short", b"text")):
        with pytest.raises(SecureSumError) as caught:
            check_signature("ada", key, signature, text)
        assert caught.value.reason == "bad_signature"


def test_what_was_verified_once_says_nothing_of_anything_else() -> None:
    """One process remembers good signatures: never a bad one, nor for another key or text."""
    ada = SiteIdentity.generate("ada")
    signature = ada.sign(b"text")
    for _ in range(2):
        check_signature("ada", ada.public_key, signature, b"text")
        flipped = bytes([signature[0] ^ 1]) + signature[1:]
        for wrong in (flipped, signature[:-1], b""):
            with pytest.raises(SecureSumError, match="ada"):
                check_signature("ada", ada.public_key, wrong, b"text")


def test_an_identity_is_read_back_from_its_file(tmp_path: Path) -> None:
    identity = SiteIdentity.generate("ada")
    path = tmp_path / "identity.pem"
    path.touch(mode=0o600)
    path.write_text(identity.to_pem())
    assert SiteIdentity.load("ada", path).public_key == identity.public_key


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    path.write_text(SiteIdentity.generate("ada").to_pem())
    path.chmod(0o640)
    with pytest.raises(SecureSumError, match="mode 640") as caught:
        SiteIdentity.load("ada", path)
    assert caught.value.reason == "bad_identity"


def test_what_is_no_ed25519_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for text in (pem, "secret words", ""):
        with pytest.raises(SecureSumError) as caught:
            SiteIdentity.from_pem("ada", text)
        assert caught.value.reason == "bad_identity"
        assert "secret words" not in str(caught.value)
    with pytest.raises(SecureSumError, match="No such file"):
        SiteIdentity.load("ada", tmp_path / "absent.pem")
