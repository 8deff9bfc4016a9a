"""Discrete Laplace noise, exact, and what of a noisy count is released."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fed_audience.privacy.overlap.terms import Policy

_TAIL_BITS: Final = 40


def discrete_laplace(epsilon: Fraction) -> int:
    """Draw an integer x with a probability in proportion to exp(-``epsilon`` |x|); epsilon > 0.

    Exact: integers from the system's random source alone, no float (Canonne, Kamath and Steinke,
    "The Discrete Gaussian for Differential Privacy", 2020, algorithm 2).
    """
    inverse, scale = epsilon.numerator, epsilon.denominator
    while True:
        part = secrets.randbelow(scale)
        if not _happens(Fraction(part, scale)):
            continue
        whole = 0
        while _happens(Fraction(1)):
            whole += 1
        size = (part + scale * whole) // inverse
        negative = secrets.randbits(1)
        if not (negative and size == 0):
            return -size if negative else size


def _happens(exponent: Fraction) -> bool:
    """Draw True with probability exp(-``exponent``), 0 <= exponent <= 1 (there, algorithm 1)."""
    k = 1
    while secrets.randbelow(exponent.denominator * k) < exponent.numerator:
        k += 1
    return k % 2 == 1


def reach(epsilon: Fraction) -> int:
    """Return a bound that noise passes with a probability of at most 2^-40."""
    return math.ceil((_TAIL_BITS + 1) * math.log(2) / epsilon)


def clipped_laplace(epsilon: Fraction) -> int:
    """Draw discrete Laplace noise, clipped to ``reach``: (epsilon, 2^-40) differential privacy."""
    bound = reach(epsilon)
    return max(-bound, min(bound, discrete_laplace(epsilon)))


@dataclass(frozen=True, slots=True)
class Released:
    """What may be shown. ``count``: rounded, None below the threshold.

    ``margin``: the exact number lies within so much of ``count`` in 95 of 100 queries.
    """

    count: int | None
    margin: int


def release(noisy: int, policy: Policy, most: int) -> Released:
    """Return what of a ``noisy`` count is released; ``most``: it can be no larger.

    Threshold and rounding follow the noise, so they cost nothing and reveal nothing more.
    """
    step = policy.rounding
    margin = math.ceil(math.log(20) / policy.exact_epsilon) + step // 2
    if noisy < policy.threshold:
        return Released(None, margin)
    return Released((min(noisy, most) + step // 2) // step * step, margin)
