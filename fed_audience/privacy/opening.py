"""The coordinator's side of the secure sum: adding up, and taking off what was revealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fed_audience.privacy.masks import Ring, RingVector, masked
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import quorum
from fed_audience.privacy.shares import join_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class MaskedSum:
    """A sum of masked vectors of ``size`` elements, one site's after another's.

    When every site of the cohort is in and masks are those of pairs alone, they have cancelled.
    """

    def __init__(self, size: int, ring: Ring) -> None:
        self._ring = ring
        self._shape, self._dtype = (size,), ring.dtype
        self._added = 0
        self._sum: RingVector | None = None

    def add(self, vector: RingVector) -> None:
        """Add one site's vector; raise SecureSumError (out_of_range) for another length or ring."""
        if vector.shape != self._shape or vector.dtype != self._dtype:
            raise SecureSumError(
                "out_of_range",
                detail=f"{len(vector)} elements of {vector.dtype}",
                limit=f"{self._shape[0]} of {self._dtype}",
            )
        if self._sum is None:
            self._sum = vector
        else:
            self._sum = np.add(self._sum, vector, out=self._sum if self._added > 1 else None)
        self._added += 1

    def total(self) -> NDArray[np.int64]:
        """Read the sum over all sites of an all-or-nothing round, int64[size]."""
        return self._ring.integers(self._total())

    def opened(
        self,
        cohort: Sequence[str],
        survivors: Sequence[str],
        seeds: Mapping[str, bytes],
        pair_keys: Mapping[str, Mapping[str, bytes]],
    ) -> NDArray[np.int64]:
        """Return the sum over ``survivors``, whose vectors alone were added, int64[size].

        ``seeds``: survivor -> seed of its own mask. ``pair_keys``: survivor -> dropped site ->
        key of the pair. Raises SecureSumError (missing_key).
        """
        dropped = sorted(set(cohort) - set(survivors))
        self_masks, add, subtract = [], [], []
        for site in survivors:
            keys = pair_keys.get(site, {})
            if site not in seeds or keys.keys() != set(dropped):
                raise SecureSumError("missing_key", detail=site)
            self_masks.append(seeds[site])
            subtract += [keys[gone] for gone in dropped if gone > site]
            add += [keys[gone] for gone in dropped if gone < site]
        return self._ring.integers(masked(self._total(), add, self_masks + subtract))

    def _total(self) -> RingVector:
        """Return the sum so far in memory of its own: the first vector is its sender's."""
        if self._sum is None:
            return np.zeros(self._shape, self._dtype)
        return self._sum if self._added > 1 else self._sum.copy()


def recover_seed(cohort: Sequence[str], shares: Mapping[str, NDArray[np.uint32]]) -> bytes:
    """Recover the seed of a vanished site from holder -> share; ``cohort`` is that of the deposit.

    Raises SecureSumError (bad_shares) when fewer than two thirds and one gave theirs.
    """
    places = {site: place for place, site in enumerate(sorted(cohort))}
    held = {places[holder]: share for holder, share in shares.items()}
    return join_seed(held, threshold=quorum(len(cohort)))
