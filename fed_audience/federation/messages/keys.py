"""Messages by which sites agree on keys; the coordinator carries them and learns no secret."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from fed_audience.federation.messages.base import Count, Reply, Request

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
PublicKey = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Signature = Annotated[str, Field(pattern="^[0-9a-f]{128}$")]


class PresentKey(Request):
    """Agree to the run's terms: its manifest, its sites, the roster that the site approved."""

    kind: ClassVar[int] = 9
    reveals: ClassVar[str] = "To the site: that the run begins."


class AgreeKeys(Request):
    """The run keys of all sites, in the manifest's order; each site checks every signature."""

    kind: ClassVar[int] = 10
    reveals: ClassVar[str] = "To the site: the public run keys of the others, signed by each."
    counters: tuple[Count, ...]
    public_keys: tuple[PublicKey, ...]
    signatures: tuple[Signature, ...]


class RunKey(Reply):
    """A fresh public key (X25519) with the site's signature (Ed25519) under key and terms."""

    kind: ClassVar[int] = 73
    reveals: ClassVar[str] = (
        "That the site agrees to the manifest and the roster, with its signature; how many keys "
        "it has presented in this run. Nothing about its rows."
    )
    roster_sha256: Digest
    counter: Count
    public_key: PublicKey
    signature: Signature


class KeysAgreed(Reply):
    """The site has checked every key; a hash of them all."""

    kind: ClassVar[int] = 74
    reveals: ClassVar[str] = "Which public keys the site was shown. Nothing about its rows."
    transcript: Digest
