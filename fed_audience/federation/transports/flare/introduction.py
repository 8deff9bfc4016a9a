"""Which site a FLARE client speaks for: it signs a fresh challenge with its key of the roster."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field

from fed_audience import __version__
from fed_audience.config import StrictModel
from fed_audience.errors import FederationError
from fed_audience.federation.messages.members import Name, Signature
from fed_audience.privacy.identity import check_signature
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.privacy.identity import SiteIdentity

MessageT = TypeVar("MessageT", bound=StrictModel)


class Challenge(StrictModel):
    """The coordinator asks FLARE's ``client`` for whom it speaks, in this ``job``, just now."""

    job: str
    client: str
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @classmethod
    def to(cls, client: str, job: str) -> Challenge:
        """Return a challenge that nobody has answered before."""
        return cls(job=job, client=client, nonce=secrets.token_hex(32))

    def signed_text(self, site: str) -> bytes:
        """Return what the key of ``site`` signs."""
        return statement(
            "flare client", site=site, client=self.client, job=self.job, nonce=self.nonce
        )


class Introduction(StrictModel):
    """A client speaks for ``site``. ``program``: its version of fed-audience."""

    site: Name
    program: Annotated[str, Field(max_length=100)]
    signature: Signature


def introduce(identity: SiteIdentity, body: bytes, *, client: str, job: str) -> bytes:
    """Answer a challenge that is for this client and job. Raises FederationError for another's."""
    challenge = _read(Challenge, body)
    if (challenge.client, challenge.job) != (client, job):
        raise FederationError(
            "a challenge is for another client or job",
            value=f"{challenge.client}, {challenge.job}",
            limit=f"{client}, {job}",
        )
    return (
        Introduction(
            site=identity.name,
            program=__version__,
            signature=identity.sign(challenge.signed_text(identity.name)).hex(),
        )
        .model_dump_json()
        .encode()
    )


def site_of(challenge: Challenge, body: bytes, roster: Mapping[str, bytes]) -> str:
    """Return the site that ``body`` proves. ``roster``: site -> Ed25519 public key.

    Raises FederationError for a site that is not in it, or a signature that is not its own.
    """
    told = _read(Introduction, body)
    if told.site not in roster:
        raise FederationError(
            f"client {challenge.client} speaks for a site that is not in the roster",
            value=told.site,
            limit=", ".join(sorted(roster)) or "no site",
            fix=f"`fed-audience roster add {told.site} KEY` where the coordinator is",
        )
    text = challenge.signed_text(told.site)
    try:
        check_signature(told.site, roster[told.site], bytes.fromhex(told.signature), text)
    except SecureSumError:
        raise FederationError(
            f"client {challenge.client} does not hold the key of the site that it speaks for",
            value=told.site,
            fix="put the key in the roster that `fed-audience identity show` tells there",
        ) from None
    return told.site


def _read(kind: type[MessageT], body: bytes) -> MessageT:
    try:
        return kind.model_validate_json(body)
    except ValueError as error:
        raise FederationError(
            f"a message is no {kind.__name__.lower()}: {str(error).partition(chr(10))[0]}",
            fix="run the same version of fed-audience at the server and at every client",
        ) from None
