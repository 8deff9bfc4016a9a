"""Certificates of sites and coordinator: what is wrong with one, and whose key stands behind it.

A certificate may come from any authority. It does not say which Ed25519 key of the roster its
holder signs with, so the site endorses it: a signature of that key under the certificate's hash.
Whoever can have a certificate made in a site's name still lacks that signature.
"""

from __future__ import annotations

import logging
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fed_audience.errors import FederationError
from fed_audience.privacy.identity import check_signature
from fed_audience.privacy.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fed_audience.privacy.identity import SiteIdentity

Role = Literal["site", "coordinator"]

_LOG: Final = logging.getLogger(__name__)
_USAGES: Final = {
    "site": ExtendedKeyUsageOID.CLIENT_AUTH,
    "coordinator": ExtendedKeyUsageOID.SERVER_AUTH,
}
_LONGEST_CHAIN: Final = 8
_ASK: Final = "ask whoever issues your certificates for another one"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of one end: its certificate (and chain), its private key, whom it trusts.

    ``authority``: the certificates that the other end's must lead to.
    """

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says. ``subject``: RFC 4514 text; ``sha256``: of its DER, hexadecimal."""

    common_name: str
    subject: str
    sha256: str
    expires: datetime

    def speaks_for(self, subject: str) -> bool:
        """Whether ``subject`` is its common name or its whole subject."""
        return bool(subject) and subject in {self.common_name, self.subject}


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Return what ``certificate`` says."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateFacts(
        common_name=str(names[0].value) if names else "",
        subject=certificate.subject.rfc4514_string(),
        sha256=certificate.fingerprint(SHA256()).hex(),
        expires=certificate.not_valid_after_utc,
    )


def check_files(
    files: TlsFiles, role: Role, subject: str | None = None, *, now: datetime | None = None
) -> CertificateFacts:
    """Read and check one end's own files before they meet a network; return what they say.

    ``subject``: common name or whole subject that the certificate must have. Raises
    FederationError that names what is wrong: unreadable, expired, not yet valid, another key's,
    from another authority, for another role or another subject.
    """
    chain = _certificates(files.certificate)
    leaf = chain[0]
    _check_key(files, leaf)
    _check_dates(files.certificate, leaf, now or datetime.now(UTC))
    _check_authority(files, leaf, chain[1:])
    _check_usage(files.certificate, leaf, role)
    facts = facts_of(leaf)
    if subject is not None and not facts.speaks_for(subject):
        raise FederationError(
            "the certificate has another subject",
            value=facts.subject,
            limit=subject,
            looked=str(files.certificate),
            fix=f"name the certificate that was issued to {subject}",
        )
    return facts


def endorse(identity: SiteIdentity, sha256: str) -> bytes:
    """Sign that the certificate of this hash is the site's own; 64 bytes."""
    return identity.sign(_endorsement(identity.name, sha256))


def check_endorsement(site: str, key: bytes, sha256: str, endorsement: bytes) -> None:
    """Raise SecureSumError (bad_signature) unless ``key`` endorsed the certificate for ``site``."""
    check_signature(site, key, endorsement, _endorsement(site, sha256))


def _endorsement(site: str, sha256: str) -> bytes:
    return statement("certificate", site=site, sha256=sha256)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FederationError(
            f"the {what} cannot be read",
            value=error.strerror,
            looked=str(path),
            fix="give the path of a PEM file that this process may read",
        ) from None


def _certificates(path: Path) -> Sequence[x509.Certificate]:
    content = _read(path, "certificate")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise FederationError(
            "the file holds no certificate",
            value=f"{len(content)} bytes",
            looked=str(path),
            fix="give the path of a PEM file that begins with -----BEGIN CERTIFICATE-----",
        ) from None


def _check_key(files: TlsFiles, leaf: x509.Certificate) -> None:
    content = _read(files.key, "private key")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise FederationError(
            "the file holds no private key without a password",
            looked=str(files.key),
            fix="give the path of an unencrypted PEM file, readable by this process alone",
        ) from None
    encoded = [
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for public in (key.public_key(), leaf.public_key())
    ]
    if encoded[0] != encoded[1]:
        raise FederationError(
            "the private key belongs to another certificate",
            value=str(files.key),
            looked=str(files.certificate),
            fix="name the key that the certificate was issued for",
        )
    if files.key.stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        _LOG.warning("%s can be read by others than its owner; chmod 600 mends it", files.key)


def _check_dates(path: Path, leaf: x509.Certificate, now: datetime) -> None:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > ends:
        raise FederationError(
            "the certificate has expired",
            value=ends.isoformat(),
            limit=f"after {now.isoformat(timespec='seconds')}, this machine's time",
            looked=str(path),
            fix=_ASK,
        )
    if now < begins:
        raise FederationError(
            "the certificate is not yet valid",
            value=begins.isoformat(),
            limit=f"before {now.isoformat(timespec='seconds')}, this machine's time",
            looked=str(path),
            fix="set this machine's clock, or wait until the certificate begins",
        )


def _check_authority(
    files: TlsFiles, leaf: x509.Certificate, chain: Sequence[x509.Certificate]
) -> None:
    trusted = _certificates(files.authority)
    current = leaf
    for _ in range(_LONGEST_CHAIN):
        if any(_issued(current, authority) for authority in trusted):
            return
        above = next((one for one in chain if one != current and _issued(current, one)), None)
        if above is None:
            break
        current = above
    raise FederationError(
        "the certificate comes from another authority than this federation's",
        value=current.issuer.rfc4514_string(),
        limit=", ".join(authority.subject.rfc4514_string() for authority in trusted),
        looked=f"{files.certificate}, {files.authority}",
        fix="name the authority's file that all of the federation use, or have a certificate "
        "issued by it",
    )


def _issued(one: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_usage(path: Path, leaf: x509.Certificate, role: Role) -> None:
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if _USAGES[role] not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
        raise FederationError(
            f"the certificate is not for a {role}",
            value=", ".join(usage._name for usage in usages),  # noqa: SLF001 - the only readable name
            limit=_USAGES[role]._name,  # noqa: SLF001 - the same
            looked=str(path),
            fix=f"have a certificate issued for a {role}",
        )
