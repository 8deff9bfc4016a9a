"""What noisy sums must satisfy: the bounds of honest rows, widened by a declared tolerance.

That a node's features sum to the same totals, and children to their parent, cannot be asked here:
every feature's sums are taken at other scores, and a tree has one level.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import FederationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TOLERANCE: Final = 8.0
"""Deviations of noise that a sum may lie beyond its bound: an honest one does once in 10^15."""


def check_counts(counts: Floats, *, deviation: float, where: str) -> None:
    """Raise FederationError unless noisy counts of rows could be counts."""
    _hold(counts >= -TOLERANCE * deviation, where, "a count is negative beyond its noise")


def check_equal_totals(one: float, other: float, *, deviation: float, where: str) -> None:
    """Raise FederationError unless two noisy counts of the same rows agree."""
    agree = np.array([abs(one - other) <= TOLERANCE * deviation])
    _hold(agree, where, "the rows of a feature's cells are not the rows of the labels")


def check_sums(
    gradients: Floats, hessians: Floats, *, rows: float, deviation: float, where: str
) -> None:
    """Raise FederationError unless noisy sums could be those of ``rows`` rows.

    ``rows``: an upper bound. ``deviation``: of the noise in a gradient sum; hessians have less.
    """
    slack = TOLERANCE * deviation
    _hold(np.abs(gradients) <= rows + slack, where, "a gradient sum exceeds what its rows can have")
    _hold(hessians >= -slack, where, "a hessian sum is negative beyond its noise")
    _hold(hessians <= rows / 4 + slack, where, "a hessian sum exceeds what its rows can have")
    wide = slack * sqrt(len(gradients))
    total = np.array([hessians.sum() <= rows / 4 + wide, np.abs(gradients.sum()) <= rows + wide])
    _hold(total, where, "the sums of all bins together exceed what the rows can have")


def _hold(holds: NDArray[np.bool_], where: str, what: str) -> None:
    if not holds.all():
        raise FederationError(
            f"the noisy sums over the sites cannot be right: {what}",
            value=f"{int(len(holds) - holds.sum())} of {len(holds)} numbers",
            limit=f"{TOLERANCE:g} deviations of the noise beyond the bound",
            looked=where,
            fix="a site sends wrong numbers, or its rows changed; the run is spent all the same",
        )
