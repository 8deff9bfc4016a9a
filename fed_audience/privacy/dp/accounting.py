"""What Gaussian noise promises: epsilon, delta and mu, each from the other two.

Noise of standard deviation ``s`` on a sum that one row moves by at most ``d`` (in Euclidean norm)
is mu-GDP with mu = d / s. Releases add up as the sum of mu^2, however many there are and whatever
each one depended on (Dong, Roth & Su, "Gaussian Differential Privacy", 2019, corollary 3.3), and
the whole is (epsilon, delta)-private exactly where

    delta = Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu)

(there, corollary 2.13; Balle & Wang, "Improving the Gaussian Mechanism", 2018, theorem 8). No
looser bound enters: this is 16 % less epsilon than the textbook conversion gives.
"""

from __future__ import annotations

from math import erfc, exp, isfinite, pi, sqrt
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_FAR: Final = 20.0
"""From here the continued fraction of Mills' ratio is exact to the last digits."""

_TERMS: Final = 24


def delta_of(mu: float, epsilon: float) -> float:
    """Smallest delta with which mu-GDP is (epsilon, delta)-private.

    Raises ConfigError unless ``mu`` >= 0 and ``epsilon`` >= 0 are finite.
    """
    _require(isfinite(mu) and mu >= 0, "mu", mu, "0 or more, and finite")
    _require(isfinite(epsilon) and epsilon >= 0, "epsilon", epsilon, "0 or more, and finite")
    if mu == 0:
        return 0.0
    near, far = epsilon / mu - mu / 2, epsilon / mu + mu / 2
    # e^epsilon phi(far) = phi(near), so nothing overflows and the small mu keep their digits.
    density = exp(-near * near / 2) / sqrt(2 * pi)
    if near > 0:
        return density * (_mills(near) - _mills(far))
    return erfc(near / sqrt(2)) / 2 - density * _mills(far)


def epsilon_of(mu: float, delta: float) -> float:
    """Smallest epsilon with which mu-GDP is (epsilon, ``delta``)-private, rounded up.

    Raises ConfigError unless ``mu`` >= 0 is finite and 0 < ``delta`` < 1.
    """
    _require(0 < delta < 1, "delta", delta, "above 0 and below 1")
    if delta_of(mu, 0.0) <= delta:
        return 0.0
    return _bisect(lambda epsilon: delta_of(mu, epsilon) <= delta)[1]


def mu_of(epsilon: float, delta: float) -> float:
    """Largest mu that is (``epsilon``, ``delta``)-private, rounded down.

    Raises ConfigError unless ``epsilon`` > 0 is finite and 0 < ``delta`` < 1.
    """
    _require(isfinite(epsilon) and epsilon > 0, "epsilon", epsilon, "above 0, and finite")
    _require(0 < delta < 1, "delta", delta, "above 0 and below 1")
    return _bisect(lambda mu: delta_of(mu, epsilon) > delta)[0]


def _mills(x: float) -> float:
    """Mills' ratio (1 - Phi(x)) / phi(x) of the normal distribution, for x >= 0."""
    if x < _FAR:
        return sqrt(pi / 2) * exp(x * x / 2) * erfc(x / sqrt(2))
    ratio = x
    for term in range(_TERMS, 0, -1):
        ratio = x + term / ratio
    return 1 / ratio


def _bisect(holds: Callable[[float], bool]) -> tuple[float, float]:
    """Neighbouring floats above 0 of which ``holds`` is false and true; it turns once."""
    below, above = 0.0, 1.0
    while not holds(above):
        below, above = above, 2 * above
    while below < (middle := (below + above) / 2) < above:
        below, above = (below, middle) if holds(middle) else (middle, above)
    return below, above


def _require(holds: bool, name: str, value: float, limit: str) -> None:  # noqa: FBT001 - a fact
    if not holds:
        raise ConfigError(
            f"{name} is out of range", value=value, limit=limit, fix=f"give another {name}"
        )
