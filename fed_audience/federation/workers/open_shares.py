"""The shares of one run at a site, and what brings a worker that begins anew to where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.federation import messages as m
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.site.row_facts import RowFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.workers.crew import Calls, Crew

_MOVING: Final = m.FixBins | m.StartTree | m.GrowLevel | m.FinishTraining
"""Requests after which the rows are not where they were."""


class OpenShares:
    """The shares of one run, and all that brings a worker to where the run is.

    ``facts_of``, ``known``: what each share's rows are like, and their identities; ``identities``:
    uint64[n] of all rows.
    """

    def __init__(
        self,
        crew: Crew,
        manifest: Manifest,
        *,
        labelled: bool,
        facts: Sequence[RowFacts],
        known: Sequence[NDArray[np.uint64]],
    ) -> None:
        self.manifest = manifest
        self.facts_of = facts
        self.known = known
        self.identities = np.concatenate(known)
        self.brand_sums: dict[str, NDArray[np.int64]] = {}
        self.digests: Sequence[bytes] = ()
        self._crew = crew
        self._labelled = labelled
        self._moved: list[m.Request] = []

    @property
    def facts(self) -> RowFacts:
        """What the rows of all shares are like."""
        return RowFacts.joined(self.facts_of)

    def ask(self, method: str, arguments: Sequence[Sequence[Any]]) -> Callable[[], list[Any]]:
        """Call ``method`` of each share with its own arguments; as ``Crew.ask``."""
        return self._crew.ask(method, arguments, self._restore)

    def ask_all(self, method: str, *arguments: Any) -> Callable[[], list[Any]]:
        """Call ``method`` of every share with the same arguments."""
        return self.ask(method, [arguments] * len(self.known))

    def answered(self, request: m.Request) -> None:
        """Keep that every share has answered ``request``."""
        if isinstance(request, _MOVING):
            self._moved.append(request)

    def _restore(self, call: Calls) -> None:
        """Read a share again, the same rows, and go through what the run has asked.

        Of the sums only those of the present tree's root are computed: its levels need the
        gradients. Raises Refusal (withdrawn, rows_changed) where the rows are not the same.
        """
        call("open", self.manifest.to_json(), self._labelled, self.known[call.share], True)
        root = max((request.slot.tree for request in self._moved), default=m.PREPARATION)
        for request in self._moved:
            whole = isinstance(request, m.StartTree) and request.slot.tree == root
            call("replay", m.encode(request), whole)
            if isinstance(request, m.FixBins):
                if self.digests and call("digest") != self.digests[call.share]:
                    raise Refusal("rows_changed", detail=f"share {call.share}")
                if self.brand_sums:
                    call("take_brand_sums", self.brand_sums)
