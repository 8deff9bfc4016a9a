"""A small certificate authority to try a federation with, which says that it is one.

Between organisations that trust nobody's laptop, certificates come from an authority that they
agree on. Its key here lies in a plain file beside them, and nothing is ever revoked.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fed_audience.errors import FederationError
from fed_audience.federation.certificates import TlsFiles
from fed_audience.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AUTHORITY_NAME: Final = "fed-audience development authority, not for production"
NOTICE: Final = (
    "These certificates come from a development authority whose key lies beside them: anyone who "
    "can read that file can join. Between organisations use an authority that all of them trust."
)
AUTHORITY_DAYS: Final = 90
CERTIFICATE_DAYS: Final = 30
LONGEST_NAME: Final = 64
"""Characters of a common name (X.520)."""

_SKEW: Final = timedelta(minutes=5)


class DevelopmentAuthority:
    """Issues certificates with EC P-256 keys; its own lasts 90 days, the others' 30."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, *, now: datetime | None = None) -> Self:
        """Make an authority with a fresh key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(AUTHORITY_NAME)
        usage = _key_usage(authority=True)
        certificate = (
            _begun(name, name, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what ``save`` wrote. Raises FederationError when it is not there or damaged."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
            key = load_pem_private_key((folder / "authority.key").read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise FederationError(
                "there is no development authority to issue certificates with",
                value=getattr(error, "strerror", None) or "not PEM files",
                looked=f"{folder}/authority.pem and {folder}/authority.key",
                fix="make one with `fed-audience federation init`",
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise FederationError(
                "the development authority has a key of another kind",
                value=type(key).__name__,
                looked=f"{folder}/authority.key",
                fix="make one with `fed-audience federation init`",
            )
        return cls(certificate, key)

    @property
    def pem(self) -> bytes:
        """Its certificate, which every end trusts."""
        return self._certificate.public_bytes(Encoding.PEM)

    def save(self, folder: Path) -> None:
        """Write ``authority.pem`` and, for its owner alone, ``authority.key``."""
        write_whole(folder / "authority.pem", self.pem, "the authority's certificate")
        _write_key(folder / "authority.key", self._key)

    def issue_site(
        self, site: str, folder: Path, *, days: int = CERTIFICATE_DAYS, now: datetime | None = None
    ) -> TlsFiles:
        """Write a site's files to ``folder``: certificate, key and the authority's certificate."""
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return self._issue(site, _site_names(site), usage, folder, days, now)

    def sign_request(
        self,
        site: str,
        request: bytes,
        *,
        days: int = CERTIFICATE_DAYS,
        now: datetime | None = None,
    ) -> bytes:
        """Return a certificate (PEM) for a site that keeps its key: ``request`` is PKCS #10, PEM.

        The name in it is ``site``, whatever the request says. Raises FederationError for a request
        that is none, is not signed by its own key, or has a key that is not EC P-256.
        """
        key = _requested_key(request)
        if key is None:
            raise FederationError(
                "the certificate request cannot be used",
                limit="PKCS #10 in PEM, EC P-256, signed by its own key",
                fix="let `fed-audience site join` make it",
            )
        certificate = self._certificate_for(
            site, _site_names(site), ExtendedKeyUsageOID.CLIENT_AUTH, key, days, now
        )
        return certificate.public_bytes(Encoding.PEM)

    def issue_coordinator(
        self,
        hosts: Sequence[str],
        folder: Path,
        *,
        days: int = CERTIFICATE_DAYS,
        now: datetime | None = None,
    ) -> TlsFiles:
        """Write the coordinator's files; ``hosts``: names and addresses that sites reach it by."""
        names = [_host(host) for host in hosts]
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue("coordinator", names, usage, folder, days, now)

    def _issue(
        self,
        subject: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        folder: Path,
        days: int,
        now: datetime | None,
    ) -> TlsFiles:
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        certificate = self._certificate_for(subject, names, usage, public, days, now)
        files = TlsFiles(
            folder / "certificate.pem", folder / "certificate.key", folder / "authority.pem"
        )
        _write_key(files.key, key)
        write_whole(files.certificate, certificate.public_bytes(Encoding.PEM), "the certificate")
        write_whole(files.authority, self.pem, "the authority's certificate")
        return files

    def _certificate_for(
        self,
        subject: str,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        key: ec.EllipticCurvePublicKey,
        days: int,
        now: datetime | None,
    ) -> x509.Certificate:
        return (
            _begun(_name(subject), self._certificate.subject, key, now, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, SHA256())
        )


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime | None,
    days: int,
) -> x509.CertificateBuilder:
    begins = now or datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - _SKEW)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str) -> x509.Name:
    if not 0 < len(common) <= LONGEST_NAME:
        raise FederationError(
            "a name does not fit into a certificate",
            value=f"{len(common)} characters",
            limit=f"1 to {LONGEST_NAME}",
            fix="choose a shorter site name, or bring certificates from another authority",
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _requested_key(request: bytes) -> ec.EllipticCurvePublicKey | None:
    """Return the key of a certificate request; None for one that cannot be used."""
    try:
        asked = x509.load_pem_x509_csr(request)
        key, signed = asked.public_key(), asked.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not signed or not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    return key if isinstance(key.curve, ec.SECP256R1) else None


def _site_names(site: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(f"urn:fed-audience:site:{quote(site, safe='')}")]


def _host(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(path, text, "the private key", mode=0o600)
