"""Random draws: one independent stream for each part of the data, chances, weighted choices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the stream of the part called ``names``; another part never disturbs it."""
    words = [int.from_bytes(name.encode(), "little") for name in names]
    return np.random.default_rng([seed, *words])


def happens(
    rng: np.random.Generator, chance: float | NDArray[np.float64], size: int
) -> NDArray[np.bool_]:
    """Return whether each of ``size`` things with that ``chance`` (0 to 1) happens."""
    return rng.random(size) < chance


def choose(
    rng: np.random.Generator, weights: Sequence[float] | NDArray[np.float64], size: int
) -> NDArray[np.int64]:
    """Return ``size`` positions in ``weights``, drawn in their proportion."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    return np.searchsorted(edges[:-1] / edges[-1], rng.random(size), side="right")


def logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))
