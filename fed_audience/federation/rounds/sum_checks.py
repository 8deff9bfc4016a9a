"""What every sum must satisfy, whoever sent what: a site that scales or invents is noticed.

Under masks nobody sees a site's own numbers, so the coordinator checks the sums: bounds of each
cell by the rows that the bins were agreed from, and of each child by its parent. A site's own
gradients are within their bounds by construction (``Objective.gradient_pairs`` clips each row), so
an honest run satisfies all of them exactly. That the features of a node sum to the same totals is
checked where splits are searched.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.federation.messages.packing import SlotPacking, bit_length
from fed_audience.gbdt.kernels.histogram import first_not_of
from fed_audience.gbdt.kernels.team import ALONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.fixed_point import FixedPoint
    from fed_audience.gbdt.kernels.histogram import SlotLayout
    from fed_audience.gbdt.kernels.team import Team

    Integers = NDArray[np.int64]


_SHARED_NODES: Final = 4
"""Nodes below which a thread checks them sooner than another takes some over."""

NEGATIVE: Final = "a hessian sum is negative"
FIND_IT: Final = (
    "a site sends wrong numbers, or its rows changed: with six sites or more, `fed-audience train "
    "MODEL --bisect` finds the group it is in"
)
STEEP: Final = "a gradient sum exceeds what its rows can have"


class BrokenSums(FederationError):  # noqa: N818 - a finding about numbers
    """Sums that no honest sites can have; ``bisecting.bisect`` finds the group they come from."""


class SumChecks:
    """Bounds for the sums of one run.

    ``rows``: int64[slots], rows of all sites in each slot, as counted for the bins. ``fixed``: the
    bounds of one row's gradient and hessian. ``names``: of the features.
    """

    def __init__(self, rows: Integers, fixed: FixedPoint, names: Sequence[str]) -> None:
        self._rows = rows
        self._fixed = fixed
        self._names = names
        self._feature = self._gradient = self._hessian = np.empty(0, dtype=np.int64)
        self._drawn: Integers = np.empty(0, dtype=np.int64)
        self._bits = bit_length(self._gradient), bit_length(self._hessian)
        self._packings: dict[int, SlotPacking] = {}

    def draw(self, drawn: Integers, layout: SlotLayout) -> None:
        """Take the features ``drawn`` for a tree: its bounds are theirs."""
        if np.array_equal(drawn, self._drawn):
            return
        self._drawn = drawn
        slots = layout.slots_of(drawn)
        self._feature = np.repeat(drawn, layout.sizes[drawn] + 1)
        self._gradient = self._rows[slots] * self._fixed.gradient_bound
        self._hessian = self._rows[slots] * self._fixed.hessian_bound
        self._bits = bit_length(self._gradient), bit_length(self._hessian)
        self._packings = {}

    def packing(self, largest_hessian: int = 2**63) -> SlotPacking:
        """Return the shortest packing of the tree's sums, in nodes of at most that hessian."""
        most = largest_hessian.bit_length()
        if most not in self._packings:
            self._packings[most] = SlotPacking.of_bits(*self._bits, most=most)
        return self._packings[most]

    def roots(self, tree: int, roots: Integers) -> None:
        """Check root histograms int64[classes, slots, 2] of the features drawn.

        Raises FederationError naming the first broken bound.
        """
        where = f"the root of tree {tree + 1}"
        steep = "a hessian sum exceeds what its rows can have"
        for root in roots:
            self._hold(root[:, 1] >= 0, where, NEGATIVE)
            self._hold(root[:, 1] <= self._hessian, where, steep)
            self._hold(np.abs(root[:, 0]) <= self._gradient, where, STEEP)

    def rides(self, tree: int, loss: int, clipped: int, rows: int) -> None:
        """Check what rides with the roots: a loss is not negative, nor more rows clipped than are.

        ``rows``: training rows times classes.
        """
        if loss < 0 or not 0 <= clipped <= rows:
            raise _broken(f"what rides with tree {tree + 1}", "a loss or a count is out of range")

    def children(
        self,
        tree: int,
        built: Integers,
        pool: Integers,
        parents: Sequence[int],
        team: Team = ALONE,
    ) -> None:
        """Check built children int64[nodes, slots, 2] against ``pool[parents]``.

        A child's rows are some of its parent's: its hessians are no more, and never negative.
        """
        places = np.array(parents, dtype=np.int64)

        def check(part: tuple[int, int]) -> None:
            broken = first_not_of(built, pool, places, self._gradient, *part)
            if broken >= 0:
                where = f"a node of tree {tree + 1}"
                self._name(built[broken], pool[places[broken]], where)

        count = len(places)
        shares = team.threads if count >= _SHARED_NODES else 1
        team.map(check, pairwise(count * share // shares for share in range(shares + 1)))

    def _name(self, child: Integers, parent: Integers, where: str) -> None:
        """Say what is wrong with a child."""
        self._hold(child[:, 1] >= 0, where, NEGATIVE)
        self._hold(child[:, 1] <= parent[:, 1], where, "a hessian sum exceeds its parent's")
        self._hold(np.abs(child[:, 0]) <= self._gradient, where, STEEP)

    def _hold(self, holds: NDArray[np.bool_], where: str, what: str) -> None:
        if not holds.all():
            feature = self._names[int(self._feature[int(np.argmin(holds))])]
            broken = int(len(holds) - holds.sum())
            raise _broken(f"{where}, feature {feature}", what, broken=broken, of=len(holds))


def _broken(where: str, what: str, *, broken: int = 1, of: int = 1) -> BrokenSums:
    return BrokenSums(
        f"the sums over the sites cannot be right: {what}",
        value=f"{broken} of {of} cells",
        looked=where,
        fix=FIND_IT,
    )
