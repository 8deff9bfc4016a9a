"""The roster: which sites there are and how each signs, approved by every one of them."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

from fed_audience.privacy.identity import KEY_BYTES, check_signature
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fed_audience.privacy.identity import SiteIdentity

ROSTER_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Roster:
    """Site name -> Ed25519 public key (32 bytes), with each site's signature under the whole.

    Raises SecureSumError (bad_roster) for a key of another length or one that two sites share.
    """

    keys: Mapping[str, bytes]
    approvals: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for site, key in self.keys.items():
            if not site or len(key) != KEY_BYTES:
                raise SecureSumError("bad_roster", detail=f"the key of site {site!r}")
        if len(set(self.keys.values())) != len(self.keys):
            raise SecureSumError("bad_roster", detail="two sites have the same key")

    @property
    def text(self) -> bytes:
        """What a site signs when it approves the roster."""
        keys = {site: key.hex() for site, key in self.keys.items()}
        return statement("roster approval", version=ROSTER_VERSION, keys=keys)

    @property
    def sha256(self) -> str:
        """Hash of the names and keys, hexadecimal; approvals do not change it."""
        return sha256(self.text).hexdigest()

    def approved(self, identity: SiteIdentity) -> Roster:
        """Return the roster with ``identity``'s approval. Raises SecureSumError (unknown_site)."""
        if self.keys.get(identity.name) != identity.public_key:
            raise SecureSumError("unknown_site", detail=identity.name)
        return Roster(self.keys, {**self.approvals, identity.name: identity.sign(self.text)})

    def check(self) -> None:
        """Raise SecureSumError unless every site, and nobody else, has approved the roster."""
        if missing := sorted(self.keys.keys() - self.approvals.keys()):
            raise SecureSumError("unapproved_roster", detail=", ".join(missing))
        if strangers := sorted(self.approvals.keys() - self.keys.keys()):
            raise SecureSumError("unknown_site", detail=", ".join(strangers))
        signed = tuple((site, key, self.approvals[site]) for site, key in self.keys.items())
        _check_approvals(signed, self.text)

    def key_of(self, site: str) -> bytes:
        """Public key of ``site``. Raises SecureSumError (unknown_site)."""
        if site not in self.keys:
            raise SecureSumError("unknown_site", detail=site)
        return self.keys[site]

    def to_json(self) -> str:
        """Canonical JSON, the text of a roster file."""
        document = {
            "version": ROSTER_VERSION,
            "sites": {
                site: {
                    "key": b64encode(key).decode(),
                    "approval": b64encode(self.approvals.get(site, b"")).decode(),
                }
                for site, key in self.keys.items()
            },
        }
        return json.dumps(document, sort_keys=True, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read ``to_json`` back. Raises SecureSumError (bad_roster)."""
        try:
            document = json.loads(text)
            version, sites = document["version"], document["sites"]
            keys = {site: b64decode(entry["key"], validate=True) for site, entry in sites.items()}
            signed = {s: b64decode(entry["approval"], validate=True) for s, entry in sites.items()}
        except (ValueError, TypeError, KeyError, AttributeError, Base64Error) as error:
            raise SecureSumError("bad_roster", detail=type(error).__name__) from error
        if version != ROSTER_VERSION:
            raise SecureSumError("bad_roster", detail=f"version {version}", limit=ROSTER_VERSION)
        return cls(keys, {site: approval for site, approval in signed.items() if approval})


def enrol(identities: Iterable[SiteIdentity]) -> Roster:
    """Make the roster of ``identities``, approved by each: for sites of one process.

    Between organisations each site approves with its own key where that key lives.
    """
    everyone = list(identities)
    roster = Roster({identity.name: identity.public_key for identity in everyone})
    for identity in everyone:
        roster = roster.approved(identity)
    return roster


@cache
def _check_approvals(signed: tuple[tuple[str, bytes, bytes], ...], text: bytes) -> None:
    """Check site, key and approval of each; a roster that many ask about is checked once."""
    for site, key, approval in signed:
        check_signature(site, key, approval, text)
