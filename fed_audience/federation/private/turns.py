"""Whose turn it is: every feature once, then the one whose noisy sums promise most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Turns:
    """Chooses the feature of each tree, from what was released before and nothing else.

    So the choice costs no budget: releases may depend on earlier ones, and their number is fixed.
    Features that noise drowns are seldom asked again, and the noise of their leaves stays out.
    The rule is Gauss and Southwell's for descent by coordinates (Nutini et al., "Coordinate
    Descent Converges Faster with the Gauss-Southwell Rule", 2015), on gains net of noise.
    """

    def __init__(self, features: int) -> None:
        self._features = features
        self._taken = 0
        self._promises = np.zeros(features)
        self._last = np.zeros(features)

    def next(self) -> int:
        """Return the feature of the next tree.

        A promise grows with the time it waits, by itself in as many trees as there are features:
        other features' trees have moved the scores meanwhile. Where none promises anything, the
        feature is next that waits longest.
        """
        if self._taken < self._features:
            return self._taken
        waited = (self._taken - self._last) / self._features
        hopes = self._promises * (1 + waited)
        return int(np.argmax(hopes if hopes.max() > 0 else waited))

    def took(
        self,
        feature: int,
        gradients: Floats,
        hessians: Floats,
        *,
        variance: float,
        ridge: float,
        learning_rate: float,
    ) -> None:
        """Note the noisy sums of ``feature``'s tree, each float64[bins + 1].

        ``variance``: of the noise in a gradient sum, which is taken off its square. What the tree
        itself has gained is taken off as well: its leaves go a part of the way.
        """
        curvature = np.maximum(hessians, 0.0) + ridge
        left = 1 - learning_rate * np.maximum(hessians, 0.0) / curvature
        self._promises[feature] = float((left**2 * (gradients**2 - variance) / curvature).sum())
        self._last[feature] = self._taken
        self._taken += 1
