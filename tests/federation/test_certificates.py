"""Files that are wrong are named before they meet a network."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from fed_audience.errors import FederationError
from fed_audience.federation.certificates import (
    TlsFiles,
    check_endorsement,
    check_files,
    endorse,
)
from fed_audience.federation.development_authority import (
    AUTHORITY_NAME,
    LONGEST_NAME,
    DevelopmentAuthority,
)
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.refusals import SecureSumError

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> DevelopmentAuthority:
    return DevelopmentAuthority.create(now=NOW)


@pytest.fixture
def files(authority: DevelopmentAuthority, tmp_path: Path) -> TlsFiles:
    return authority.issue_site("north & co", tmp_path, now=NOW)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_sites_files_fit_together_and_say_who_it_is(files: TlsFiles) -> None:
    facts = check_files(files, "site", "north & co", now=NOW)
    assert facts.common_name == "north & co"
    assert facts.subject == "CN=north & co"
    assert facts.expires == NOW + timedelta(days=30)
    assert facts.sha256 == certificate(files.certificate).fingerprint(SHA256()).hex()
    assert facts.speaks_for("north & co")
    assert facts.speaks_for("CN=north & co")
    assert not facts.speaks_for("north")
    assert not facts.speaks_for("")


def test_a_certificate_names_its_holder_and_can_sign_no_other(
    authority: DevelopmentAuthority, files: TlsFiles, tmp_path: Path
) -> None:
    site = certificate(files.certificate).extensions
    names = site.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "urn:fed-audience:site:north%20%26%20co"
    ]
    assert not site.get_extension_for_class(x509.BasicConstraints).value.ca
    made = authority.issue_coordinator(["coordinator.example", "10.0.0.7"], tmp_path / "c")
    names = (
        certificate(made.certificate)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.DNSName) == ["coordinator.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]


def test_the_development_authority_says_that_it_is_one(
    authority: DevelopmentAuthority, tmp_path: Path
) -> None:
    authority.save(tmp_path)
    own = certificate(tmp_path / "authority.pem")
    assert own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == AUTHORITY_NAME
    assert "not for production" in AUTHORITY_NAME
    assert own.not_valid_after_utc == NOW + timedelta(days=90)


def test_private_keys_are_their_owners_alone(
    authority: DevelopmentAuthority, files: TlsFiles, tmp_path: Path
) -> None:
    authority.save(tmp_path / "authority")
    for key in (files.key, tmp_path / "authority" / "authority.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_an_authority_that_was_saved_goes_on_issuing(
    authority: DevelopmentAuthority, tmp_path: Path
) -> None:
    authority.save(tmp_path)
    later = DevelopmentAuthority.load(tmp_path).issue_site("west", tmp_path / "west", now=NOW)
    assert check_files(later, "site", "west", now=NOW).common_name == "west"
    assert later.authority.read_bytes() == authority.pem


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "authority.key").unlink(), "No such file"),
        (lambda folder: (folder / "authority.pem").write_text("no"), "not PEM files"),
    ],
)
def test_an_authority_that_is_not_there_is_named(
    authority: DevelopmentAuthority,
    tmp_path: Path,
    damage: Callable[[Path], object],
    words: str,
) -> None:
    authority.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(FederationError, match=f"no development authority.*{words}.*init"):
        DevelopmentAuthority.load(tmp_path)


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1)])
def test_a_name_that_no_certificate_can_carry_is_refused(
    authority: DevelopmentAuthority, tmp_path: Path, name: str
) -> None:
    with pytest.raises(FederationError, match="does not fit into a certificate"):
        authority.issue_site(name, tmp_path)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (31, "the certificate has expired; value: 2026-10-31T12:00:00"),
        (-1, "the certificate is not yet valid; value: 2026-10-01T11:55:00"),
    ],
)
def test_a_certificate_out_of_its_time_is_named_with_its_date(
    files: TlsFiles, days: int, words: str
) -> None:
    with pytest.raises(FederationError, match=words):
        check_files(files, "site", now=NOW + timedelta(days=days))


def test_another_authority_is_named_beside_the_one_that_is_trusted(
    files: TlsFiles, tmp_path: Path
) -> None:
    other = DevelopmentAuthority.create(now=NOW)
    other.save(tmp_path / "other")
    # Same name, another key: only the signature tells them apart.
    swapped = replace(files, authority=tmp_path / "other" / "authority.pem")
    with pytest.raises(FederationError, match=r"comes from another authority.*not for production"):
        check_files(swapped, "site", now=NOW)


def test_a_chain_through_an_authority_in_between_is_followed(tmp_path: Path) -> None:
    root_key, middle_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = issued("root", root_key, "root", root_key, authority=True)
    middle = issued("middle", middle_key, "root", root_key, authority=True)
    leaf = issued("north", leaf_key, "middle", middle_key, authority=False)
    made = DevelopmentAuthority(root, root_key).issue_site("north", tmp_path, now=NOW)
    own = DevelopmentAuthority(leaf, leaf_key)
    own.save(tmp_path / "leaf")
    chained = replace(made, key=tmp_path / "leaf" / "authority.key")
    pem = [one.public_bytes(Encoding.PEM) for one in (leaf, middle)]
    made.certificate.write_bytes(b"".join(pem))
    assert check_files(chained, "site", "north", now=NOW).common_name == "north"
    made.certificate.write_bytes(pem[0])
    with pytest.raises(FederationError, match=r"another authority.*value: CN=middle; allowed"):
        check_files(chained, "site", now=NOW)


def issued(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    by: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(by, SHA256())
    )


def test_a_certificate_for_the_other_role_is_refused(
    authority: DevelopmentAuthority, files: TlsFiles, tmp_path: Path
) -> None:
    with pytest.raises(FederationError, match="not for a coordinator; value: clientAuth"):
        check_files(files, "coordinator", now=NOW)
    made = authority.issue_coordinator(["localhost"], tmp_path / "c", now=NOW)
    with pytest.raises(FederationError, match="not for a site; value: serverAuth"):
        check_files(made, "site", now=NOW)


def test_another_subject_is_named(files: TlsFiles) -> None:
    with pytest.raises(FederationError, match=r"another subject; value: CN=north & co; allowed: x"):
        check_files(files, "site", "x", now=NOW)


def test_a_swapped_key_is_named(
    authority: DevelopmentAuthority, files: TlsFiles, tmp_path: Path
) -> None:
    other = authority.issue_site("south", tmp_path / "south", now=NOW)
    with pytest.raises(FederationError, match=r"belongs to another certificate.*south"):
        check_files(replace(files, key=other.key), "site", now=NOW)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("certificate", None, "the certificate cannot be read; value: No such file"),
        ("key", None, "the private key cannot be read; value: No such file"),
        ("authority", None, "the certificate cannot be read; value: No such file"),
        ("certificate", b"", "the file holds no certificate; value: 0 bytes"),
        ("authority", b"x", "the file holds no certificate; value: 1 bytes"),
        ("key", b"x", "the file holds no private key without a password"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(
    files: TlsFiles, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    path = tmp_path / "other.pem"
    if content is not None:
        path.write_bytes(content)
    changed = {"certificate": files.certificate, "key": files.key, "authority": files.authority}
    with pytest.raises(FederationError, match=f"{words}.*other.pem"):
        check_files(TlsFiles(**(changed | {name: path})), "site", now=NOW)


def test_a_key_that_others_can_read_is_warned_of(
    files: TlsFiles, caplog: pytest.LogCaptureFixture
) -> None:
    check_files(files, "site", now=NOW)
    assert caplog.text == ""
    files.key.chmod(0o640)
    check_files(files, "site", now=NOW)
    assert caplog.text == ""  # a group that shares a mounted secret is common
    files.key.chmod(0o644)
    check_files(files, "site", now=NOW)
    assert "chmod 600" in caplog.text


def test_an_endorsement_is_for_one_site_one_key_and_one_certificate() -> None:
    north = SiteIdentity.generate("north")
    signed = endorse(north, "ab" * 32)
    check_endorsement("north", north.public_key, "ab" * 32, signed)
    other = SiteIdentity.generate("north")
    for site, key, sha256, text in (
        ("south", north.public_key, "ab" * 32, signed),
        ("north", other.public_key, "ab" * 32, signed),
        ("north", north.public_key, "cd" * 32, signed),
        ("north", north.public_key, "ab" * 32, b""),
    ):
        with pytest.raises(SecureSumError):
            check_endorsement(site, key, sha256, text)
