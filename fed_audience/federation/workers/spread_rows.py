"""A site's rows in shares: opened together, refused together, known again together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.workers.crew import Crew
from fed_audience.federation.workers.open_shares import OpenShares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.workers.engine import Engine

    Identities = NDArray[np.uint64]

_COMPARED: Final = 1000
"""Equal hashes whose keys are read at a time, to tell a repeated key from chance."""


class SpreadRows:
    """Stands where a ``RowSource`` does; the rows are read by the workers of ``engine``.

    The site's own process holds 8 bytes a row: hashes by which a run's rows are known again, and
    by which a key that two shares hold is found.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._crew: Crew | None = None
        self._shares: OpenShares | None = None

    def open(
        self,
        manifest: Manifest,
        category_key: bytes,
        *,
        labelled: bool,
        frozen: Identities | None = None,
    ) -> OpenShares:
        """Let every worker read its share for a run.

        Raises Refusal as ``read_rows`` does, and (workers) where workers cannot be started.
        """
        if manifest.privacy is not None:
            raise Refusal("not_spread", detail="a run with noise of its own")
        if self._crew is None:
            self._crew = Crew(self._engine, category_key)
        crew = self._crew
        answers = crew.begin((manifest.to_json(), labelled, frozen, False))
        facts = [found for found, _ in answers]
        known = [identities for _, identities in answers]
        shares = OpenShares(crew, manifest, labelled=labelled, facts=facts, known=known)
        if frozen is not None and len(shares.identities) < len(frozen):
            gone = len(frozen) - len(shares.identities)
            raise Refusal("withdrawn", detail=f"{gone} of {len(frozen)} rows")
        _refuse_repeated(shares)
        self._shares = shares
        return shares

    def check_frozen(self) -> None:
        """Let every worker read its rows again; raise Refusal (withdrawn) when one is gone."""
        if self._shares is None:
            raise Refusal("no_run", detail="no share is open")
        self._shares.ask("check_frozen", [(known,) for known in self._shares.known])()

    def close(self) -> None:
        """End the workers, and with them what they hold."""
        if self._crew is not None:
            self._crew.close()
        self._crew = self._shares = None


def _refuse_repeated(shares: OpenShares) -> None:
    """Refuse a key that two shares hold. Each has looked through its own already."""
    ordered = np.sort(shares.identities)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    for start in range(0, len(twice), _COMPARED):
        asked = (twice[start : start + _COMPARED],)
        found = shares.ask("keys_of", [asked] * len(shares.known))()
        holders = Counter(key for keys in found for key in set(keys))
        if any(number > 1 for number in holders.values()):
            detail = f"{len(twice)} keys in the shares of two workers"
            raise Refusal("row_keys", shares.manifest.row_key, detail=detail)
