"""Exact discrete Gaussian noise: integers and the operating system's randomness, nothing else.

The probability of an integer x is proportional to e^(-x^2 / (2 variance)), exactly: every decision
compares an unbiased coin with a rational number, so no rounding of a float can be found in the
noise. Canonne, Kamath & Steinke, "The Discrete Gaussian for Differential Privacy" (2020),
algorithms 1 to 3, with a scale of the Laplace proposals that is a power of two.

Coins are compared 62 bits at a time and many at once; a draw that agrees in all of them with its
bound, one in 2^62, is decided by the bits that follow.
"""

from __future__ import annotations

import os
from math import isqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Ratio = Callable[[int], tuple[int, int]]

MOST_VARIANCE: Final = 2**100
"""Noise of it stays within an int64 but with a probability below 2^-100,000."""

_WORD_BITS: Final = 62
_ALWAYS: Final = 1 << _WORD_BITS


def discrete_gaussian(
    variance: int, size: int, *, random: Callable[[int], bytes] = os.urandom
) -> Integers:
    """Draw ``size`` independent integers, int64[size]; their variance is ``variance`` or less.

    ``random``: n -> n random bytes; anything but the default is for tests. Raises ConfigError
    unless 1 <= ``variance`` <= 2^100.
    """
    if not 1 <= variance <= MOST_VARIANCE:
        raise ConfigError(
            "noise of this variance cannot be drawn",
            value=variance,
            limit="1 to 2^100 squared units",
            fix="choose an epsilon that is neither next to 0 nor astronomic",
        )
    return _Sampler(random).gaussian(variance, size)


class _Sampler:
    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random

    def gaussian(self, variance: int, size: int) -> Integers:
        """Algorithm 3: keep a Laplace draw y with probability e^-((|y| - v/t)^2 / 2v)."""
        shift = (isqrt(variance - 1) + 1).bit_length()
        scale = 1 << shift
        denominator = 2 * variance * scale * scale
        kept = [np.empty(0, dtype=np.int64)]
        missing = size
        while missing > 0:
            proposed = self._laplace(shift, 2 * missing + 16)
            squares = [(abs(y) * scale - variance) ** 2 for y in proposed.tolist()]
            whole = np.array([square // denominator for square in squares], dtype=np.int64)
            rest = [square % denominator for square in squares]
            bits = np.array([(part << _WORD_BITS) // denominator for part in rest], dtype=np.int64)
            taken = self._exp_minus(bits, lambda i, rest=rest: (rest[i], denominator))  # type: ignore[misc]
            taken &= self._all_ones(whole)
            kept.append(proposed[taken][:missing])
            missing -= len(kept[-1])
        return np.concatenate(kept)

    def _laplace(self, shift: int, size: int) -> Integers:
        """Algorithm 2: integers y, at most ``size``, with probability like e^-(|y| / 2^shift)."""
        low = self._words(size) >> (_WORD_BITS - shift)
        low = low[self._exp_minus(low << (_WORD_BITS - shift), lambda i: (int(low[i]), 1 << shift))]
        magnitude = low + (self._geometric(len(low)) << shift)
        negative = (self._words(len(low)) & 1).astype(bool)
        signed = np.where(negative, -magnitude, magnitude)
        kept: Integers = signed[~(negative & (magnitude == 0))]
        return kept

    def _geometric(self, size: int) -> Integers:
        """How often a coin of probability 1/e shows heads before it shows tails."""
        heads = np.zeros(size, dtype=np.int64)
        alive = np.arange(size)
        while len(alive):
            alive = alive[self._coins_of_one_over_e(len(alive))]
            heads[alive] += 1
        return heads

    def _all_ones(self, tosses: Integers) -> NDArray[np.bool_]:
        """Whether coins of probability 1/e show heads ``tosses[i]`` times in a row."""
        result = np.ones(len(tosses), dtype=bool)
        alive = np.flatnonzero(tosses)
        while len(alive):
            heads = self._coins_of_one_over_e(len(alive))
            result[alive[~heads]] = False
            tosses = tosses - 1
            alive = alive[heads]
            alive = alive[tosses[alive] > 0]
        return result

    def _coins_of_one_over_e(self, size: int) -> NDArray[np.bool_]:
        return self._exp_minus(np.full(size, _ALWAYS), lambda _: (1, 1))

    def _exp_minus(self, bits: Integers, ratio: Ratio) -> NDArray[np.bool_]:
        """Algorithm 1: coins of probability e^-x, x in [0, 1].

        ``bits``: floor(x 2^62), int64[n]; ``ratio(i)``: numerator and denominator of x number i.
        Heads of x, x/2, x/3 ... are counted until the first tails.
        """
        result = np.empty(len(bits), dtype=bool)
        alive = np.arange(len(bits))
        turn = 1
        while len(alive):
            bounds = bits[alive] // turn
            words = self._words(len(alive))
            heads = words < bounds
            for place in np.flatnonzero(words == bounds).tolist():
                numerator, denominator = ratio(int(alive[place]))
                heads[place] = self._later_bits(numerator, denominator * turn)
            result[alive[~heads]] = turn % 2 == 1
            alive = alive[heads]
            turn += 1
        return result

    def _later_bits(self, numerator: int, denominator: int) -> bool:
        """Whether a coin that agrees with the ratio in 62 bits lies below it after all."""
        while True:
            numerator = (numerator << _WORD_BITS) % denominator
            bound = (numerator << _WORD_BITS) // denominator
            word = int(self._words(1)[0])
            if word != bound:
                return word < bound

    def _words(self, size: int) -> Integers:
        """Uniform integers of 62 bits."""
        raw = np.frombuffer(self._random(8 * size), dtype="<u8")
        return (raw >> np.uint64(64 - _WORD_BITS)).astype(np.int64)
