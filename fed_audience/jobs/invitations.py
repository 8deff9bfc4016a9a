"""The operator's invitations: one a site, good once, hashed where they are kept."""

from __future__ import annotations

import hmac
import logging
import secrets
import tempfile
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fed_audience.config import StrictModel
from fed_audience.errors import ConfigError, FederationError, ResourceError
from fed_audience.federation.contract.joining import Invitation, Joined, Joining
from fed_audience.federation.contract.terms import Name
from fed_audience.federation.development_authority import DevelopmentAuthority
from fed_audience.files import write_whole
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.members import Members

if TYPE_CHECKING:
    from collections.abc import Callable

    from fed_audience.jobs.link_settings import CoordinatorSettings
    from fed_audience.jobs.settings import FederationSettings

_LOG: Final = logging.getLogger(__name__)
_TOKEN_BYTES: Final = 32


class Invited(StrictModel):
    """What is kept of an invitation. ``used_by``: the public key that joined with it."""

    site: Name
    token_sha256: str
    expires: datetime
    used_by: str | None = None


class Invitations:
    """Invitations of a coordinator, each in a file of its own. ``clock`` gives naive UTC."""

    def __init__(
        self,
        settings: FederationSettings,
        own: CoordinatorSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._own = own
        self._clock = clock
        self._folder = own.folder / "invitations"
        self._members = Members(settings)

    @property
    def authority(self) -> Path:
        """Folder of the development authority that issues certificates."""
        return self._own.certificates / "authority"

    def invite(self, site: str, days: int) -> Invitation:
        """Make an invitation for ``site``, good once and for ``days``; an earlier one is void.

        Raises ConfigError for a site that is in the roster already.
        """
        roster = self._members.roster()
        if roster is not None and site in roster.keys:
            raise ConfigError(
                "the site is in the roster already",
                value=site,
                looked=str(self._members.roster_file),
                fix=f"`fed-audience federation revoke {site}` first, when it needs new keys",
            )
        port = self._own.listen.rpartition(":")[2]
        token = secrets.token_hex(_TOKEN_BYTES)
        authority = DevelopmentAuthority.load(self.authority)
        with tempfile.TemporaryDirectory(prefix="fed-audience-") as temporary:
            guest = authority.issue_site(f"guest for {site}"[:64], Path(temporary), days=days)
            made = Invitation(
                federation=self._settings.name,
                site=site,
                address=f"{self._own.host}:{port}",
                token=token,
                authority=authority.pem.decode(),
                certificate=guest.certificate.read_text(encoding="ascii"),
                key=guest.key.read_text(encoding="ascii"),
            )
        expires = self._clock() + timedelta(days=days)
        self._keep(Invited(site=site, token_sha256=made.token_sha256, expires=expires))
        return made

    def admit(self, asked: Joining) -> Joined:
        """Let the sender of ``asked`` into the roster; return its certificate and the contract.

        The same site may ask again with the same key while its invitation lasts: its answer may
        have been lost. Raises FederationError for whatever else does not fit, all alike.
        """
        asked.check()
        found = self._found(asked.site)
        digest = sha256(bytes.fromhex(asked.token)).hexdigest()
        right = found is not None and hmac.compare_digest(found.token_sha256, digest)
        if found is None or not right or found.expires <= self._clock():
            _LOG.warning("somebody asked to join as %s without a good token", asked.site)
            raise FederationError(
                "the invitation is not good, or no longer",
                fix="ask the operator for another one",
            )
        if found.used_by not in {None, asked.public_key}:
            raise FederationError(
                "the invitation was used by somebody else",
                fix="tell the operator at once: the token has been read on its way",
            )
        authority = DevelopmentAuthority.load(self.authority)
        certificate = authority.sign_request(asked.site, asked.request.encode())
        self._members.add(asked.site, bytes.fromhex(asked.public_key))
        self._keep(found.model_copy(update={"used_by": asked.public_key}))
        _LOG.info("site %s has joined", asked.site)
        return Joined(
            federation=self._settings.name,
            certificate=certificate.decode(),
            authority=authority.pem.decode(),
            contract=self._contract(),
        )

    def withdraw(self, site: str) -> None:
        """Make the invitation of ``site`` void, used or not."""
        self._path(site).unlink(missing_ok=True)

    def _contract(self) -> str | None:
        """Return the contract file as it stands; None while sites are missing that it needs."""
        try:
            return Contracts(self._settings).publish().to_json()
        except ConfigError:
            return None

    def _found(self, site: str) -> Invited | None:
        path = self._path(site)
        if not path.exists():
            return None
        try:
            return Invited.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ResourceError(
                "an invitation cannot be read",
                value=type(error).__name__,
                looked=str(path),
                fix=f"`fed-audience federation invite {site}` makes another",
            ) from error

    def _keep(self, invited: Invited) -> None:
        document = invited.model_dump_json(indent=1).encode()
        write_whole(self._path(invited.site), document, "the invitation", mode=0o600)

    def _path(self, site: str) -> Path:
        return self._folder / f"{site}.json"
