"""A contract with the signatures of its sites."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fed_audience.errors import ContractError
from fed_audience.federation.contract.terms import Contract
from fed_audience.privacy.identity import check_signature
from fed_audience.privacy.refusals import SecureSumError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fed_audience.privacy.identity import SiteIdentity


@dataclass(frozen=True, slots=True)
class SignedContract:
    """A contract, and site -> Ed25519 signature under its text (64 bytes)."""

    contract: Contract
    signatures: Mapping[str, bytes] = field(default_factory=dict)

    def signed(self, identity: SiteIdentity) -> SignedContract:
        """Return the contract with the signature of ``identity``.

        Raises ContractError when the contract does not list the site with this key.
        """
        if self.contract.roster.get(identity.name) != identity.public_key.hex():
            raise ContractError(
                "the contract does not hold this site's key",
                value=identity.name,
                limit=", ".join(sorted(self.contract.roster)),
                fix="ask the operator to add the site with the key of `identity show`",
            )
        return self.with_signature(identity.name, identity.sign(self.contract.text))

    def with_signature(self, site: str, signature: bytes) -> SignedContract:
        """Return the contract with a signature that came in. Raises ContractError if it is none."""
        found = SignedContract(self.contract, {**self.signatures, site: signature})
        found.require([site])
        return found

    def without_signatures(self) -> SignedContract:
        """Return the bare contract."""
        return SignedContract(self.contract)

    @property
    def unsigned(self) -> tuple[str, ...]:
        """Sites of the roster whose signature is missing or wrong, sorted."""
        return tuple(site for site in sorted(self.contract.roster) if not self.is_signed_by(site))

    def is_signed_by(self, site: str) -> bool:
        """Whether ``site`` signed exactly this text."""
        key, signature = self.contract.roster.get(site), self.signatures.get(site)
        if key is None or signature is None:
            return False
        try:
            check_signature(site, bytes.fromhex(key), signature, self.contract.text)
        except SecureSumError:
            return False
        return True

    def require(self, sites: Iterable[str]) -> None:
        """Raise ContractError unless every one of ``sites`` signed this text."""
        wanting = [site for site in sorted(sites) if not self.is_signed_by(site)]
        if wanting:
            absent = [site for site in wanting if site not in self.signatures]
            raise ContractError(
                "a site has not signed the contract"
                if absent
                else "a signature under the contract is not the site's",
                value=", ".join(absent or wanting),
                looked=f"contract {self.contract.sha256[:12]}",
                fix="`fed-audience federation sign SITE` at that site, after reading the contract",
            )

    def to_json(self) -> str:
        """Return the text of a contract file: contract, its hash for the reader, signatures."""
        document = {
            "contract": json.loads(self.contract.to_json()),
            "sha256": self.contract.sha256,
            "signatures": {
                site: b64encode(signature).decode()
                for site, signature in sorted(self.signatures.items())
            },
        }
        return json.dumps(document, sort_keys=True, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str) -> SignedContract:
        """Read ``to_json`` back; ``require`` checks the signatures. Raises ContractError."""
        try:
            document = json.loads(text)
            contract = Contract.from_json(json.dumps(document["contract"]))
            signatures = {
                str(site): b64decode(signature, validate=True)
                for site, signature in document["signatures"].items()
            }
            told = document["sha256"]
        except ContractError as error:
            error.looked = source
            raise
        except (ValueError, TypeError, KeyError, AttributeError, Base64Error) as error:
            raise ContractError(
                "the contract file cannot be read",
                value=type(error).__name__,
                looked=source,
                fix="take it anew from the coordinator, or put it back from a copy",
            ) from error
        if told != contract.sha256:
            raise ContractError(
                "the contract file was changed after it was written",
                value=contract.sha256[:12],
                limit=str(told)[:12],
                looked=source,
                fix="take it anew from the coordinator, or put it back from a copy",
            )
        return cls(contract, signatures)
