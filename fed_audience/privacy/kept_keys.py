"""The secrets of one run, in memory and as a text for a site that is started anew."""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fed_audience.privacy.deposits import Deposits
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.run_keys import KeyCard, RunTerms

if TYPE_CHECKING:
    from fed_audience.privacy.ledger import RunRecord, SiteLedger


@dataclass(slots=True)
class RunKeys:
    """Secrets of one run: a private key until the sites agreed, then a secret for each pair."""

    terms: RunTerms
    record: RunRecord
    card: KeyCard
    private: X25519PrivateKey | None
    pairs: dict[str, bytes] = field(repr=False)
    transcript: str
    deposits: Deposits | None = None
    _macs: dict[str, hmac.HMAC] = field(default_factory=dict, repr=False)

    def pair(self, peer: str) -> hmac.HMAC:
        """Return the HMAC-SHA-256 under the secret of the pair, to copy: it is long in the making.

        Asked for after the sites agreed.
        """
        if peer not in self._macs:
            self._macs[peer] = hmac.new(self.pairs[peer], digestmod="sha256")
        return self._macs[peer]

    def to_text(self) -> str:
        """Return the secrets as JSON, without the ledger's record: that is kept by the ledger."""
        private = None if self.private is None else self.private.private_bytes_raw().hex()
        document = {
            "terms": asdict(self.terms),
            "site": self.card.site,
            "counter": self.card.counter,
            "public": self.card.public_key.hex(),
            "signature": self.card.signature.hex(),
            "private": private,
            "pairs": {peer: secret.hex() for peer, secret in self.pairs.items()},
            "transcript": self.transcript,
            "deposits": None if self.deposits is None else self.deposits.to_document(),
        }
        return json.dumps(document, sort_keys=True)

    @classmethod
    def of_text(cls, text: str, ledger: SiteLedger) -> RunKeys:
        """Read ``to_text`` back; the ledger says which rounds were answered.

        Raises SecureSumError (old_counter) when the ledger knows of other keys of the run, or of
        none: without it a round might be answered twice.
        """
        document = json.loads(text)
        of_terms = document["terms"]
        listed = ("sites", "training_sites", "overrides")
        terms = RunTerms(**{**of_terms, **{name: tuple(of_terms[name]) for name in listed}})
        record = ledger.record(terms.run, terms.sha256)
        if record.counter != document["counter"]:
            raise SecureSumError("old_counter", detail=record.counter, limit=document["counter"])
        card = KeyCard(
            document["site"],
            document["counter"],
            bytes.fromhex(document["public"]),
            bytes.fromhex(document["signature"]),
        )
        key = document["private"]
        private = None if key is None else X25519PrivateKey.from_private_bytes(bytes.fromhex(key))
        pairs = {peer: bytes.fromhex(secret) for peer, secret in document["pairs"].items()}
        left = document["deposits"]
        return cls(
            terms,
            record,
            card,
            private,
            pairs,
            document["transcript"],
            None if left is None else Deposits.of_document(left, card.site, terms.run, pairs),
        )
