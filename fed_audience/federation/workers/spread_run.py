"""A run over shares: what the site's rows sum to is what its shares sum to, added.

Every answer of a site is a vector of 64-bit integers in which rows add up, so the bytes are those
of one process. Only two things are not sums of rows: a brand's base score, and the covers that an
explanation weighs branches by. For these the shares' sums are added first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.explaining import evenly_spaced, explainable_rows
from fed_audience.federation.messages.packing import WIDE, SlotPacking
from fed_audience.federation.site.run import ROOT_RIDES, SiteVector
from fed_audience.federation.site.steps import to_the_end
from fed_audience.gbdt.kernels.packed_sums import NO_SLOTS
from fed_audience.gbdt.models.cover import leaf_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from fed_audience.federation.site.steps import Steps
    from fed_audience.federation.workers.open_shares import OpenShares
    from fed_audience.gbdt.growing.continuation import Continuation
    from fed_audience.gbdt.models.model import Model
    from fed_audience.gbdt.parameters import TrainingParameters

    Integers = NDArray[np.int64]
    BrandSums = dict[str, Integers]

Number = TypeVar("Number", np.int64, np.float64)

_REPLAYED: Final = m.StartTree | m.GrowLevel | m.FinishTraining | m.WholeModel
"""Requests that need no sums when they are gone through once more."""


@dataclass(slots=True)
class SpreadCopies:
    """What a site whose rows are spread keeps of a training for itself."""

    bases: Mapping[str, tuple[float, ...]]

    def models(self, trunk: Model) -> dict[str, Model]:
        """Return copies of ``trunk`` by brand, each with its brand's own base score."""
        return {name: replace(trunk, base_scores=base) for name, base in self.bases.items()}

    def continuation(
        self, trunk: Model, parameters: TrainingParameters | None = None
    ) -> Continuation:
        """Raise FederationError: trees of a site's own grow in one process."""
        del trunk, parameters
        raise FederationError(
            "a site whose rows are spread over workers adds no trees of its own",
            fix="leave `continuation` out, or `rows` out of the agent's settings",
        )


class SpreadRun:
    """Stands where a ``SiteRun`` does. All that leaves the site is masked by its own process."""

    def __init__(self, shares: OpenShares) -> None:
        self.manifest = shares.manifest
        self.rows_digest = b""
        self._shares = shares

    def compute(self, request: m.Request) -> Steps[SiteVector]:
        """Answer ``request``, in steps; raise Refusal as ``SiteRun.compute`` does."""
        if isinstance(request, m.ExplainRows):
            return (yield from self._explained(request))
        asked = request
        if isinstance(request, m.HistogramRequest):
            asked = request.model_copy(update={"packing": WIDE, "wide": NO_SLOTS})
        vectors = self._shares.ask_all("compute", m.encode(asked))
        yield
        found = vectors()
        self._shares.answered(asked)
        if isinstance(request, m.FixBins):
            self._settle_rows()
        return _packed(request, found[0], _added(vector.values for vector in found))

    def replay(self, request: m.Request, *, whole: bool = False) -> SiteVector | None:
        """Come to where ``request`` left the run, as ``SiteRun.replay`` does."""
        if whole or not isinstance(request, _REPLAYED):
            return to_the_end(self.compute(request))
        if not isinstance(request, m.WholeModel):
            self._shares.ask_all("replay", m.encode(request), False)()
            self._shares.answered(request)
        return None

    def own_copies(self) -> SpreadCopies:
        """Return the brands' base scores, for copies of the model that stay at the site."""
        bases: dict[str, tuple[float, ...]] = {}
        for found in self._shares.ask_all("brand_bases")():
            bases |= found
        return SpreadCopies(bases)

    def _settle_rows(self) -> None:
        """Hash what the learner sees of all rows; let brands start from all their rows."""
        shares = self._shares
        shares.digests = shares.ask_all("digest")()
        self.rows_digest = blake2b(b"".join(shares.digests), digest_size=16).digest()
        sums: BrandSums = {}
        for of_share in shares.ask_all("brand_sums")():
            for name, own in of_share.items():
                sums[name] = sums[name] + own if name in sums else own
        if sums:
            shares.brand_sums = sums
            shares.ask_all("take_brand_sums", sums)()

    def _explained(self, request: m.ExplainRows) -> Steps[SiteVector]:
        """Explain rows of all shares, weighing branches by all that are explained."""
        yield from ()
        shares, places = self._shares, self._places(request.rows)
        if not len(request.leaf_covers) and any(map(len, places)):
            body = m.encode(request)
            covers = shares.ask("leaf_cover", [(body, own) for own in places])()
            counts = [leaf_counts(_added(trees)) for trees in zip(*covers, strict=True)]
            flat = np.array([count for tree in counts for count in tree], dtype=np.int32)
            request = request.model_copy(update={"leaf_covers": flat})
        body = m.encode(request)
        sums = shares.ask("contributions", [(body, own) for own in places])()
        return SiteVector(m.ContributionSums, _added(sums))

    def _places(self, most: int) -> list[Integers]:
        """Which rows of each share are explained: evenly spaced over all shares."""
        parts = [
            explainable_rows(self.manifest, facts.rows, facts.training_rows)
            for facts in self._shares.facts_of
        ]
        ends = np.cumsum([0, *map(len, parts)])
        chosen = evenly_spaced(int(ends[-1]), most)
        return [
            chosen[(chosen >= first) & (chosen < end)] - first + part.start
            for part, first, end in zip(parts, ends[:-1], ends[1:], strict=True)
        ]


def _added(arrays: Iterable[NDArray[Number]]) -> NDArray[Number]:
    """Sum of arrays of one shape, none of which is changed."""
    first, *others = arrays
    total = first.copy()
    for other in others:
        total += other
    return total


def _packed(request: m.Request, one: SiteVector, sums: Integers) -> SiteVector:
    """Return the vector of all shares, ``one`` of which is given, as ``request`` wants it."""
    match request:
        case m.StartTree():
            nodes, rides = len(request.base_scores), ROOT_RIDES
        case m.GrowLevel():
            nodes, rides = len(request.build), 0
        case _:
            return SiteVector(one.kind, sums, one.ring)
    pairs, behind = np.split(sums, [len(sums) - rides])
    pairs = pairs.reshape(nodes, len(pairs) // (2 * max(1, nodes)), 2)
    how = SlotPacking.read(request.packing, request.wide, pairs.shape[1])
    return SiteVector(one.kind, how.pack(pairs, behind if rides else None), how.ring)
