"""exp, log, sigmoid and the loss: accurate, and the same bits everywhere."""

from __future__ import annotations

import hashlib
import math
from decimal import Context, Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from fed_audience.gbdt import arithmetic
from fed_audience.gbdt.arithmetic import (
    LOSS_BITS,
    LOSS_CAP,
    exps,
    fixed_loss,
    logloss_fixed,
    logs,
    sigmoids,
    softpluses,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

REAL = Context(prec=60)


def real_exp(x: Decimal) -> Decimal:
    return REAL.exp(x)


def real_log(x: Decimal) -> Decimal:
    return REAL.ln(x)


def real_sigmoid(x: Decimal) -> Decimal:
    return REAL.divide(Decimal(1), REAL.add(Decimal(1), REAL.exp(-x)))


def real_softplus(x: Decimal) -> Decimal:
    return REAL.ln(REAL.add(Decimal(1), REAL.exp(x)))


def ulps(
    got: NDArray[np.float64], inputs: NDArray[np.float64], real: Callable[..., Decimal]
) -> float:
    """Largest distance to the real value, in units of the last place."""
    worst = 0.0
    for value, x in zip(got.tolist(), inputs.tolist(), strict=True):
        distance = abs(Decimal(value) - real(Decimal(x)))
        worst = max(worst, float(distance / Decimal(math.ulp(value))))
    return worst


def spread(low: float, high: float) -> NDArray[np.float64]:
    return np.random.default_rng(11).uniform(low, high, 1500)


@pytest.mark.parametrize("reach", [1e-3, 1.0, 20.0, 700.0])
def test_exp_is_within_one_ulp(reach: float) -> None:
    x = spread(-reach, reach)
    assert ulps(exps(x), x, real_exp) < 1.0


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (0.999, 1.001), (1e-300, 1e300)])
def test_log_is_within_one_ulp(low: float, high: float) -> None:
    x = np.exp(spread(math.log(low), math.log(high)))
    assert ulps(logs(x), x, real_log) < 1.0


@pytest.mark.parametrize("reach", [1e-3, 1.0, 20.0, 700.0])
def test_sigmoid_is_within_three_ulps(reach: float) -> None:
    x = spread(-reach, reach)
    assert ulps(sigmoids(x), x, real_sigmoid) < 3.0


@pytest.mark.parametrize("reach", [1e-3, 1.0, 30.0])
def test_softplus_is_within_two_ulps(reach: float) -> None:
    x = spread(-reach, reach)
    assert ulps(softpluses(x), x, real_softplus) < 2.0


def test_values_at_the_edges() -> None:
    inf, nan = math.inf, math.nan
    np.testing.assert_array_equal(exps([0.0, nan]), [1.0, nan])
    assert exps([-1e300])[0] == exps([-708.0])[0] > 0.0
    assert exps([1e300])[0] == exps([709.0])[0] < inf
    np.testing.assert_array_equal(logs([1.0, 0.0, inf, -1.0, nan]), [0.0, -inf, inf, nan, nan])
    assert logs([5e-324])[0] == pytest.approx(-744.4400719213812, abs=0)
    np.testing.assert_array_equal(sigmoids([0.0, inf, 1e300, nan]), [0.5, 1.0, 1.0, nan])
    assert sigmoids([-inf])[0] == exps([-708.0])[0]
    np.testing.assert_array_equal(softpluses([1e6, nan]), [1e6, nan])
    assert softpluses([0.0])[0] == math.log(2.0)


def plain_exp(x: float) -> float:
    """The series of ``exp`` in Python's floats, which no compiler fuses or reorders."""
    x = min(max(x, -708.0), 709.0)
    shifted = x * 1.4426950408889634 + 1.5 * 2.0**52
    k = shifted - 1.5 * 2.0**52
    r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10
    p = 1.0 / math.factorial(13)
    for n in range(12, 1, -1):
        p = p * r + 1.0 / math.factorial(n)
    return math.ldexp(1.0 + (r + (r * r) * p), int(k))


def plain_sigmoid(x: float) -> float:
    e = plain_exp(-abs(x))
    return (1.0 if x >= 0 else e) / (1.0 + e)


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=40))
def test_compiled_bits_are_those_of_the_plain_formula(xs: list[float]) -> None:
    assert exps(xs).tolist() == [plain_exp(x) for x in xs]
    assert sigmoids(xs).tolist() == [plain_sigmoid(x) for x in xs]


@given(st.lists(st.floats(-800, 800), min_size=9, max_size=40))
def test_a_value_does_not_depend_on_its_place_in_the_array(xs: list[float]) -> None:
    # A long loop is vectorised, its tail is not.
    for function in (exps, sigmoids, softpluses):
        alone = [float(function([x])[0]) for x in xs]
        assert function(xs).tolist() == alone


def test_bits_are_the_same_on_every_machine() -> None:
    x = np.arange(-40_000, 40_001) / 1024.0
    positive = np.arange(1, 80_001) / 1024.0

    def digest(values: NDArray[np.float64]) -> str:
        return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16]

    assert digest(exps(x)) == "4855f2a6238e07cd"
    assert digest(sigmoids(x)) == "9fa4f867eb6821d5"
    assert digest(softpluses(x)) == "e52f455f1853fed4"
    assert digest(logs(positive)) == "2609c29bae1eaaaf"


def test_shapes_are_kept() -> None:
    assert sigmoids(np.zeros((2, 3))).shape == (2, 3)
    assert sigmoids(np.zeros((4, 6))[:, ::2]).shape == (4, 3)
    assert exps([]).shape == (0,)


def test_scalars_work_inside_a_kernel() -> None:
    @njit  # type: ignore[untyped-decorator]  # numba ships no types
    def kernel(x: float) -> tuple[float, float]:
        return arithmetic.sigmoid(x), arithmetic.log(x)

    assert kernel(2.5) == (float(sigmoids([2.5])[0]), float(logs([2.5])[0]))


def loss_units(label: float, raw: float) -> int:
    return int(logloss_fixed(label, raw))


@given(st.integers(0, 1), st.floats(-70, 70))
def test_the_loss_is_the_log_loss(label: int, raw: float) -> None:
    exact = min(LOSS_CAP, float(np.logaddexp(0.0, -raw if label else raw)))
    assert abs(loss_units(label, raw) - exact * 2**LOSS_BITS) <= 0.5 + 1e-6


def test_one_row_never_outweighs_the_cap() -> None:
    cap = int(LOSS_CAP) << LOSS_BITS
    assert [loss_units(1, -1e9), loss_units(0, 1e9), loss_units(1, math.nan)] == [cap] * 3
    assert cap * 2**34 < 2**63  # as many rows as a run may have


def test_the_loss_rounds_to_the_nearest_unit() -> None:
    assert loss_units(1, 0.0) == round(math.log(2.0) * 2**LOSS_BITS)
    assert loss_units(1, 1e3) == 0
    assert [int(fixed_loss(loss, 4.0, 1.0)) for loss in (0.5, 1.5, 2.49, 9.0)] == [0, 2, 2, 4]
