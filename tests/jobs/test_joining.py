"""Invitations: good once, for one site, for a while; and what joining leaves at both ends."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fed_audience.errors import ConfigError, FederationError
from fed_audience.federation.certificates import TlsFiles, check_files
from fed_audience.federation.contract.joining import Invitation, Joining
from fed_audience.federation.messages.members import decode
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.founding import found
from fed_audience.jobs.invitations import Invitations
from fed_audience.jobs.joining import join, tls_files
from fed_audience.jobs.members import Members
from fed_audience.jobs.settings import FederationSettings, load_federation
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.refusals import SecureSumError

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
TERMS = """
models:
  - name: repurchase
    terms:
      label: {definition: buys again, horizon_days: 90}
      features: [{name: f_spend, definition: spend}]
"""


class Office:
    """An operator's folder, and sites that come to it without a network between."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        config = folder / "operator" / "federation.yml"
        found(config, name="three", host="localhost", listen="127.0.0.1:7443")
        config.write_text(config.read_text().replace("models: []", TERMS))
        self.settings: FederationSettings = load_federation(config)
        assert self.settings.coordinator is not None
        self.invitations = Invitations(self.settings, self.settings.coordinator, lambda: self.now)

    def ask(self, address: str, tls: TlsFiles, kind: str, body: bytes, site: str) -> bytes:
        assert (address, kind) == ("localhost:7443", Joining.kind)
        assert not check_files(tls, "site").speaks_for(site)
        return self.invitations.admit(decode(Joining, body)).encode()

    def config(self, site: str) -> Path:
        return self.folder / site / "federation.yml"

    def join(self, invitation: Invitation) -> bool:
        """Join; say whether there was a contract yet."""
        config = self.config(invitation.site)
        return join(invitation, config, Path("project"), self.ask) is not None


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_a_site_joins_with_its_own_keys_and_the_last_one_finds_the_contract(
    office: Office,
) -> None:
    contracts = [office.join(office.invitations.invite(site, 3)) for site in ("ant", "bee", "cat")]
    assert contracts == [False, False, True]
    roster = Members(office.settings).roster()
    assert roster is not None
    for site in ("ant", "bee", "cat"):
        settings = load_federation(office.config(site))
        assert settings.agent is not None
        assert settings.agent.coordinator == "localhost:7443"
        assert roster.keys[site] == Members(settings).identity(site).public_key
        files = tls_files(settings.agent.certificates)
        assert check_files(files, "site", site).common_name == site
        assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    drawn = Contracts(office.settings).drawn()
    held = Contracts(load_federation(office.config("cat"))).held()
    assert held is not None
    assert held.contract == drawn


def test_a_lost_answer_is_asked_for_again_with_the_same_keys(office: Office) -> None:
    invitation = office.invitations.invite("ant", 3)
    office.join(invitation)
    office.join(invitation)
    roster = Members(office.settings).roster()
    assert roster is not None
    assert list(roster.keys) == ["ant"]


def _other_site(joining: Joining, thief: SiteIdentity) -> Joining:
    return Joining.of(SiteIdentity.from_pem("bee", thief.to_pem()), joining.token, joining.request)


def _other_token(joining: Joining, thief: SiteIdentity) -> Joining:
    return Joining.of(SiteIdentity.from_pem("ant", thief.to_pem()), "0" * 64, joining.request)


def _other_key(joining: Joining, thief: SiteIdentity) -> Joining:
    return Joining.of(SiteIdentity.from_pem("ant", thief.to_pem()), joining.token, joining.request)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (_other_site, "is not good, or no longer"),
        (_other_token, "is not good, or no longer"),
        (_other_key, "was used by somebody else"),
    ],
)
def test_a_stranger_does_not_join(
    office: Office, forge: Callable[[Joining, SiteIdentity], Joining], words: str
) -> None:
    seen: list[Joining] = []

    def ask(address: str, tls: TlsFiles, kind: str, body: bytes, site: str) -> bytes:
        seen.append(decode(Joining, body))
        return office.ask(address, tls, kind, body, site)

    join(office.invitations.invite("ant", 3), office.config("ant"), Path("project"), ask)
    with pytest.raises(FederationError, match=words):
        office.invitations.admit(forge(seen[0], SiteIdentity.generate("thief")))
    altered = seen[0].model_copy(update={"site": "bee"})
    with pytest.raises(SecureSumError, match="bee"):
        office.invitations.admit(altered)


def test_an_invitation_expires_and_an_earlier_one_is_void(office: Office) -> None:
    early, late = office.invitations.invite("ant", 3), office.invitations.invite("ant", 3)
    with pytest.raises(FederationError, match="not good"):
        office.join(early)
    office.now += timedelta(days=3)
    with pytest.raises(FederationError, match="no longer"):
        office.join(late)
    office.now -= timedelta(seconds=1)
    office.join(late)
    with pytest.raises(ConfigError, match="in the roster already"):
        office.invitations.invite("ant", 3)


def test_the_token_is_kept_as_a_hash_and_readable_by_its_owner_alone(office: Office) -> None:
    invitation = office.invitations.invite("ant", 3)
    (kept,) = (office.folder / "operator").rglob("invitations/*.json")
    assert invitation.token not in kept.read_text()
    assert invitation.token_sha256 in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for path in office.folder.rglob("*"):
        assert not path.is_file() or invitation.token.encode() not in path.read_bytes()


def test_an_invitation_is_one_line_and_another_text_is_none(office: Office) -> None:
    invitation = office.invitations.invite("ant", 3)
    text = invitation.to_text()
    assert "\n" not in text
    assert Invitation.from_text(f" {text}\n") == invitation
    for broken in ("", "fa-invitation-1.", text[:-40], text.replace("fa-inv", "fa-env")):
        with pytest.raises(FederationError, match="no invitation") as caught:
            Invitation.from_text(broken)
        assert invitation.token not in str(caught.value)


def test_a_certificate_names_the_site_whatever_the_request_says(office: Office) -> None:
    seen: list[Joining] = []

    def ask(address: str, tls: TlsFiles, kind: str, body: bytes, site: str) -> bytes:
        seen.append(decode(Joining, body))
        return office.ask(address, tls, kind, body, site)

    join(office.invitations.invite("ant", 3), office.config("ant"), Path("project"), ask)
    request = seen[0].request
    bee = SiteIdentity.generate("bee")
    invitation = office.invitations.invite("bee", 3)
    joined = office.invitations.admit(Joining.of(bee, invitation.token, request))
    found_names = x509.load_pem_x509_certificate(joined.certificate.encode()).subject
    assert found_names.rfc4514_string() == "CN=bee"
    broken = Joining.of(bee, invitation.token, "no request")
    with pytest.raises(FederationError, match="certificate request cannot be used"):
        office.invitations.admit(broken)


def test_founding_twice_would_shut_everybody_out(office: Office) -> None:
    config = office.folder / "operator" / "federation.yml"
    with pytest.raises(ConfigError, match="there are certificates already"):
        found(config, name="three", host="localhost", listen="127.0.0.1:7443")


def test_another_sites_folder_is_refused(office: Office) -> None:
    office.join(office.invitations.invite("ant", 3))
    invitation = office.invitations.invite("bee", 3)
    with pytest.raises(ConfigError, match="not that of the invited site"):
        join(invitation, office.config("ant"), Path("project"), office.ask)
