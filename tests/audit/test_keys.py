"""Private keys stay private, and public ones have one spelling."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from fed_audience.audit.keys import LOG_KEY, KeyFile, VerifierKey
from fed_audience.errors import ConfigError


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "site.pem"
    made, again = (KeyFile.open(path, "brands/site") for _ in range(2))
    assert made.public_key == again.public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert VerifierKey("brands/site", LOG_KEY, made.public_key).verifies(b"x", again.sign(b"x"))


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.pem"
    KeyFile.open(path, "brands/site")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"others may read.*mode 640"):
        KeyFile.open(path, "brands/site")


def test_a_file_that_holds_no_such_key_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "site.pem"
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for content in (b"what is this", other):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match="no Ed25519 private key") as caught:
            KeyFile.open(path, "brands/site")
        assert "what is this" not in str(caught.value)


def test_the_key_of_the_published_example_is_read() -> None:
    """The verifier key of Go's checksum database, from the reference implementation of notes."""
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    key = VerifierKey.parse(text)
    assert (key.name, key.kind, key.key_id.hex()) == ("sum.golang.org", LOG_KEY, "033de0ae")
    assert str(key) == text


@pytest.mark.parametrize(
    "text",
    [
        "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "other+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "sum.golang.org+033de0ae+Ac4zctda0e5eza",
        "sum.golang.org",
        "",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"verifier key|base64|Incorrect padding|length"):
        VerifierKey.parse(text)
