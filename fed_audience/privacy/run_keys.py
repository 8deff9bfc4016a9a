"""Keys of one run: a fresh X25519 key a site, signed, and a secret for every pair of sites."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fed_audience.privacy.identity import check_signature
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.statements import cohort_hash, statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.privacy.roster import Roster
    from fed_audience.privacy.rounds import Round

Override = Literal["one_site", "small_change", "two_sites"]
"""Rules that sites may set aside together: the fewest sites of a sum, and of a change of them."""

OVERRIDES: Final[tuple[Override, ...]] = ("one_site", "small_change", "two_sites")

_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class RunTerms:
    """What a site agrees to by presenting a run key.

    ``sites`` agree the bins, ``training_sites`` (some or all of them) grow the trees; both sorted.
    ``fixed_cohort``: no site may drop out of any tree. ``overrides``: rules that the sites set
    aside; each site must accept each by its own settings. ``noisy``: every vector is private of
    itself, whatever other sums it is compared with.
    """

    run: str
    manifest_sha256: str
    roster_sha256: str
    sites: tuple[str, ...]
    training_sites: tuple[str, ...]
    fixed_cohort: bool = False
    overrides: tuple[Override, ...] = ()
    noisy: bool = False

    @property
    def sha256(self) -> str:
        """Hash of the terms, hexadecimal."""
        return sha256(self.text("", 0, b"")).hexdigest()

    def text(self, site: str, counter: int, public_key: bytes) -> bytes:
        """Return what ``site`` signs with its identity."""
        return statement(
            "run key",
            run=self.run,
            manifest=self.manifest_sha256,
            roster=self.roster_sha256,
            sites=list(self.sites),
            training_sites=list(self.training_sites),
            fixed_cohort=self.fixed_cohort,
            overrides=list(self.overrides),
            noisy=self.noisy,
            site=site,
            counter=counter,
            key=public_key.hex(),
        )


@dataclass(frozen=True, slots=True)
class KeyCard:
    """A site's run key (X25519, 32 bytes), how many it has presented, and its signature."""

    site: str
    counter: int
    public_key: bytes
    signature: bytes


def check_cards(cards: Mapping[str, KeyCard], terms: RunTerms, roster: Roster) -> str:
    """Check that each site of ``terms`` signed its card, and no two share a key.

    Returns the hash of all cards, which every site of the run must arrive at.
    Raises SecureSumError (missing_key, unknown_site, bad_signature, repeated_key).
    """
    if missing := sorted(set(terms.sites) - cards.keys()):
        raise SecureSumError("missing_key", detail=", ".join(missing))
    if strangers := sorted(cards.keys() - set(terms.sites)):
        raise SecureSumError("unknown_site", detail=", ".join(strangers))
    texts = []
    for site in terms.sites:
        card = cards[site]
        text = _card_text(terms, site, card.counter, card.public_key)
        check_signature(site, roster.key_of(site), card.signature, text)
        texts.append(text.hex())
    if len({card.public_key for card in cards.values()}) != len(cards):
        raise SecureSumError("repeated_key")
    return sha256(statement("key transcript", cards=texts)).hexdigest()


@lru_cache(maxsize=1024)  # every site of one process checks the same cards
def _card_text(terms: RunTerms, site: str, counter: int, public_key: bytes) -> bytes:
    return terms.text(site, counter, public_key)


def pair_secrets(
    own: str, key: X25519PrivateKey, cards: Mapping[str, KeyCard], terms: RunTerms
) -> dict[str, bytes]:
    """Peer -> the secret shared with it: HKDF-SHA-256 (RFC 5869) of X25519 (RFC 7748).

    The secret is bound to the terms of the run and to both public keys.
    """
    mine, agreed = cards[own].public_key, terms.sha256
    secrets: dict[str, bytes] = {}
    for site, card in cards.items():
        if site == own:
            continue
        try:
            shared = key.exchange(X25519PublicKey.from_public_bytes(card.public_key))
        except ValueError:
            raise SecureSumError("bad_signature", detail=f"{site}: not a usable key") from None
        both = sorted((mine.hex(), card.public_key.hex()))
        info = statement("pair secret", terms=agreed, keys=both)
        kdf = HKDF(algorithm=SHA256(), length=_SECRET_BYTES, salt=None, info=info)
        secrets[site] = kdf.derive(shared)
    return secrets


def round_key(pair: hmac.HMAC, asked: Round, cohort: tuple[str, ...], bits: int) -> bytes:
    """Key of one pair for one round: HMAC-SHA-256 under the pair's secret, 32 bytes.

    ``pair``: the HMAC before its first byte, which stays there.
    """
    mac = pair.copy()
    mac.update(_round_context(asked, cohort, bits))
    return mac.digest()


@lru_cache(maxsize=64)  # the same for every site of the round
def _round_context(asked: Round, cohort: tuple[str, ...], bits: int) -> bytes:
    """Return what the keys of a round are bound to."""
    return statement(
        "round key",
        run=asked.run,
        tree=asked.tree,
        level=asked.level,
        attempt=asked.attempt,
        cohort=cohort_hash(cohort),
        bits=bits,
    )


def self_mask_seed(run_secret: bytes, asked: Round) -> bytes:
    """Seed of a site's own mask in a root round: HMAC-SHA-256 of the slot, 32 bytes."""
    return hmac.digest(run_secret, _slot_text(asked.run, asked.tree, asked.attempt), "sha256")


@lru_cache(maxsize=256)  # the same for every site of the run
def _slot_text(run: str, tree: int, attempt: int) -> bytes:
    return statement("self mask", run=run, tree=tree, attempt=attempt)
