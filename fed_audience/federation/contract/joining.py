"""How a site joins: an invitation handed to it by its operator, one question, one answer."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.errors import FederationError
from fed_audience.federation.messages.members import (
    MemberMessage,
    Name,
    Sha256,
    Signature,
)
from fed_audience.privacy.identity import check_signature
from fed_audience.privacy.statements import statement

if TYPE_CHECKING:
    from fed_audience.privacy.identity import SiteIdentity

_BEGINNING: Final = "fa-invitation-1"
Pem = Annotated[str, Field(min_length=1, max_length=20_000)]
Token = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Invitation(StrictModel):
    """What the operator gives to one site, over a way that only that site reads.

    ``token``: the secret, good once. ``authority``: whom the site trusts for the coordinator.
    ``certificate`` and ``key``: of a guest, short-lived, to knock with; they open nothing but that.
    """

    federation: Name
    site: Name
    address: str
    token: Token
    authority: Pem
    certificate: Pem
    key: Pem

    def to_text(self) -> str:
        """Return one line of text, for a file or an environment variable."""
        body = urlsafe_b64encode(self.model_dump_json().encode()).decode()
        return f"{_BEGINNING}.{body}"

    @classmethod
    def from_text(cls, text: str) -> Invitation:
        """Read ``to_text`` back; an error says nothing of what is in it. Raises FederationError."""
        line = text.strip()
        beginning, _, body = line.partition(".")
        try:
            if beginning == _BEGINNING:
                return cls.model_validate_json(urlsafe_b64decode(body))
        except (ValueError, Base64Error):
            pass  # what is in it may be a secret: it is told as any other text that is none
        raise FederationError(
            "that is no invitation",
            value=f"{len(line)} characters",
            limit=f"one line that begins with {_BEGINNING}.",
            fix="ask the operator for `fed-audience federation invite SITE`",
        )

    @property
    def token_sha256(self) -> str:
        """What the coordinator keeps of the token."""
        return sha256(bytes.fromhex(self.token)).hexdigest()


class Joining(MemberMessage):
    """A site asks to join. ``request``: PKCS #10, PEM; its private key stays at the site.

    ``public_key``: of the site's identity, which signed all of it (``signature``).
    """

    kind: ClassVar[str] = "join"
    reveals: ClassVar[str] = "The site's name, its public keys, and the token that lets it in."
    site: Name
    token: Token
    public_key: Sha256
    request: Pem
    signature: Signature

    @classmethod
    def of(cls, identity: SiteIdentity, token: str, request: str) -> Joining:
        """Sign a question as ``identity``."""
        key = identity.public_key.hex()
        signature = identity.sign(_text(identity.name, token, key, request)).hex()
        return cls(
            site=identity.name, token=token, public_key=key, request=request, signature=signature
        )

    def check(self) -> None:
        """Raise SecureSumError (bad_signature) unless the key in it signed it."""
        text = _text(self.site, self.token, self.public_key, self.request)
        key, signature = bytes.fromhex(self.public_key), bytes.fromhex(self.signature)
        check_signature(self.site, key, signature, text)


class Joined(MemberMessage):
    """The site is in the roster. ``certificate``: its own, PEM; ``contract`` as far as drawn up."""

    kind: ClassVar[str] = "joined"
    reveals: ClassVar[str] = "The site's certificate, and the contract as it stands."
    federation: Name
    certificate: Pem
    authority: Pem
    contract: str | None


def _text(site: str, token: str, key: str, request: str) -> bytes:
    secret = sha256(bytes.fromhex(token)).hexdigest()
    return statement("joining", site=site, token=secret, key=key, request=request)
