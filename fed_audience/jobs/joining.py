"""A site's first step: from an invitation to keys, a certificate, the contract, federation.yml."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from fed_audience.errors import ConfigError
from fed_audience.federation.certificates import TlsFiles
from fed_audience.federation.contract.joining import Invitation, Joined, Joining
from fed_audience.federation.contract.signing import SignedContract
from fed_audience.federation.messages.members import decode
from fed_audience.files import write_whole
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.members import Members
from fed_audience.jobs.settings import load_federation

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[str, TlsFiles, str, bytes, str], bytes]


def join(invitation: Invitation, config: Path, project: Path, ask: Ask) -> SignedContract | None:
    """Join the federation that ``invitation`` is for; return its contract as far as drawn up.

    Writes what is missing below the folder of ``config``: federation.yml, the site's identity, its
    certificate. ``ask(address, tls, kind, body, site)`` sends one question to the coordinator. Can
    be run again after a failure; nothing that exists is replaced but the certificate.
    """
    _write_config(invitation, config, project)
    settings = load_federation(config)
    if settings.agent is None or [site.name for site in settings.sites] != [invitation.site]:
        raise ConfigError(
            "the configuration is not that of the invited site",
            value=", ".join(site.name for site in settings.sites),
            limit=invitation.site,
            looked=str(config),
            fix="give another path with --config, or ask for an invitation of this site",
        )
    members = Members(settings)
    if not members.key_file(invitation.site).exists():
        members.create_identity(invitation.site)
    files = tls_files(settings.agent.certificates)
    request = _request(invitation.site, files.key)
    asked = Joining.of(members.identity(invitation.site), invitation.token, request)
    with tempfile.TemporaryDirectory(prefix="fed-audience-") as temporary:
        guest = tls_files(Path(temporary))
        write_whole(guest.certificate, invitation.certificate.encode(), "the guest's certificate")
        write_whole(guest.key, invitation.key.encode(), "the guest's key", mode=0o600)
        write_whole(guest.authority, invitation.authority.encode(), "the authority")
        body = ask(invitation.address, guest, Joining.kind, asked.encode(), invitation.site)
    joined = decode(Joined, body)
    write_whole(files.certificate, joined.certificate.encode(), "the certificate")
    write_whole(files.authority, joined.authority.encode(), "the authority's certificate")
    if joined.contract is None:
        return None
    contract = SignedContract.from_json(joined.contract, source="the coordinator's answer")
    Contracts(settings).keep(contract)
    return contract


def tls_files(folder: Path) -> TlsFiles:
    """Return the three files of one end's certificate in ``folder``."""
    return TlsFiles(
        folder / "certificate.pem", folder / "certificate.key", folder / "authority.pem"
    )


def _write_config(invitation: Invitation, config: Path, project: Path) -> None:
    if config.exists():
        return
    document = {
        "name": invitation.federation,
        "sites": [{"name": invitation.site, "project": str(project)}],
        "agent": {"coordinator": invitation.address},
    }
    text = "# One site of a federation. The models are those of the signed contract.\n"
    text += yaml.safe_dump(document, sort_keys=False)
    write_whole(config, text.encode(), "the configuration")


def _request(site: str, key_file: Path) -> str:
    """Return a certificate request (PKCS #10, PEM); the TLS key is made where there is none."""
    if not key_file.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_whole(key_file, pem, "the private key", mode=0o600)
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(
            "the site's TLS key cannot be used",
            limit="EC P-256 in PEM, without a password",
            looked=str(key_file),
            fix="move it away; `fed-audience site join` makes another",
        )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, site[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM).decode()
