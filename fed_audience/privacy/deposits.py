"""Shares of the seeds of coming root rounds, left with the other sites in sealed envelopes."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import MAX_ATTEMPTS, Round, quorum
from fed_audience.privacy.run_keys import self_mask_seed
from fed_audience.privacy.shares import LIMBS, split_seeds
from fed_audience.privacy.statements import cohort_hash, statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

RANGE_TREES: Final = 16
"""Trees whose root rounds one deposit covers, ``MAX_ATTEMPTS`` seeds each."""

_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16

ENVELOPE_BYTES: Final = _NONCE_BYTES + RANGE_TREES * MAX_ATTEMPTS * LIMBS * 4 + _TAG_BYTES
"""Length of what one site leaves with another: its shares of the seeds, sealed."""


class Deposits:
    """One site's seeds shared out, and the shares that others left with it, for one cohort.

    ``pairs``: peer -> secret of the pair. A share is sealed for its holder (AES-256-GCM), so the
    coordinator that carries it reads nothing. Any two thirds and one of the cohort recover a
    seed.
    """

    def __init__(
        self, name: str, run: str, cohort: tuple[str, ...], pairs: Mapping[str, bytes]
    ) -> None:
        self.cohort = cohort
        self._name = name
        self._run = run
        self._pairs = pairs
        self._held: dict[tuple[str, int], NDArray[np.uint32]] = {}

    def to_document(self) -> dict[str, Any]:
        """Return the shares that others left, as JSON can hold them."""
        held = [
            [sender, first, shares.tobytes().hex()]
            for (sender, first), shares in self._held.items()
        ]
        return {"cohort": list(self.cohort), "held": held}

    @classmethod
    def of_document(
        cls, document: dict[str, Any], name: str, run: str, pairs: Mapping[str, bytes]
    ) -> Self:
        """Read ``to_document`` back."""
        found = cls(name, run, tuple(document["cohort"]), pairs)
        for sender, first, shares in document["held"]:
            found._keep(sender, first, bytes.fromhex(shares))
        return found

    def share_out(self, first_tree: int, run_secret: bytes) -> dict[str, bytes]:
        """Share the seeds of trees ``first_tree`` .. + 15; peer -> the envelope for it."""
        seeds = [
            self_mask_seed(run_secret, Round(self._run, tree, 0, attempt))
            for tree in range(first_tree, first_tree + RANGE_TREES)
            for attempt in range(MAX_ATTEMPTS)
        ]
        parties = len(self.cohort)
        shares = split_seeds(seeds, threshold=quorum(parties), parties=parties)
        envelopes = {}
        context = self._context(self._name, first_tree)
        for place, peer in enumerate(self.cohort):
            if peer != self._name:
                nonce = os.urandom(_NONCE_BYTES)
                box = AESGCM(self._key(peer, context))
                envelopes[peer] = nonce + box.encrypt(nonce, shares[place].tobytes(), context)
        return envelopes

    def hold(self, sender: str, first_tree: int, envelope: bytes) -> None:
        """Open and keep the envelope of ``sender``. Raises SecureSumError (bad_shares)."""
        if sender not in self.cohort or sender == self._name:
            raise SecureSumError("bad_shares", detail=sender)
        context = self._context(sender, first_tree)
        box = AESGCM(self._key(sender, context))
        try:
            text = box.decrypt(envelope[:_NONCE_BYTES], envelope[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise SecureSumError("bad_shares", detail=f"{sender}: not sealed for us") from None
        self._keep(sender, first_tree, text)

    def _keep(self, sender: str, first_tree: int, text: bytes) -> None:
        shares = np.frombuffer(text, dtype="<u4")
        if shares.size != RANGE_TREES * MAX_ATTEMPTS * LIMBS:
            raise SecureSumError("bad_shares", detail=f"{sender}: {shares.size} elements")
        self._held[sender, first_tree] = shares.reshape(RANGE_TREES, MAX_ATTEMPTS, LIMBS)

    def share_of(self, sender: str, asked: Round) -> NDArray[np.uint32]:
        """Return the share of ``sender``'s seed of the root ``asked``, uint32[9].

        Raises SecureSumError (bad_shares) when none was left for that round.
        """
        for (holder, first), shares in self._held.items():
            covered = first <= asked.tree < first + RANGE_TREES and asked.attempt < MAX_ATTEMPTS
            if holder == sender and covered:
                one: NDArray[np.uint32] = shares[asked.tree - first, asked.attempt]
                return one
        raise SecureSumError("bad_shares", detail=f"none of {sender} for tree {asked.tree}")

    def _context(self, sender: str, first_tree: int) -> bytes:
        return statement(
            "share key",
            run=self._run,
            cohort=cohort_hash(self.cohort),
            sender=sender,
            first_tree=first_tree,
        )

    def _key(self, peer: str, context: bytes) -> bytes:
        return hmac.digest(self._pairs[peer], context, "sha256")
