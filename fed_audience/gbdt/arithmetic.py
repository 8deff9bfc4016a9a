"""exp, log and sigmoid whose every bit is the same on every machine.

The C library may round ``exp`` differently on another processor, and one bit of difference flips
a rounding to fixed point and so the model. These functions use only operations that IEEE 754
rounds exactly (+ - * /, comparison, bit patterns), in a fixed order; LLVM is given no licence to
fuse or to reorder. The scalars are numba functions for use inside other kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LOSS_BITS: Final = 20
"""Fractional bits of the fixed-point loss of a row."""

LOSS_CAP: Final = 64.0
"""Largest loss of a row: 2^26 in fixed point, so that 2^34 rows sum within an int64."""

# ln 2 in two parts: the first has 21 trailing zero bits, so that a small integer times it is exact.
_LN2_HIGH: Final = float.fromhex("0x1.62e42feep-1")
_LN2_LOW: Final = float.fromhex("0x1.a39ef35793c76p-33")
_INVERSE_LN2: Final = float.fromhex("0x1.71547652b82fep+0")
_ROUNDER: Final = 1.5 * 2.0**52  # adding it leaves the nearest integer in the low mantissa bits
_INTEGER_SHIFT: Final = 2.0**52  # adding it leaves a non-negative integer in the mantissa bits
_INTEGER_SHIFT_BITS: Final = (1023 + 52) << 52
_SQRT2_MINUS_1: Final = float.fromhex("0x1.a827999fcef32p-2")

_EXP_LOWEST: Final = -708.0
_EXP_HIGHEST: Final = 709.0


@njit(cache=True, nogil=True, error_model="numpy")
def exp(x: float) -> float:
    """Return e^x, within 1 ulp; x is first confined to [-708, 709]. NaN stays.

    x = k ln 2 + r with |r| <= ln(2) / 2, then the Taylor series of e^r to the 13th power, scaled
    by 2^k through the exponent bits.
    """
    x = _EXP_LOWEST if x < _EXP_LOWEST else x  # noqa: FURB136 - max() would lose NaN
    x = _EXP_HIGHEST if x > _EXP_HIGHEST else x  # noqa: FURB136 - the same
    shifted = x * _INVERSE_LN2 + _ROUNDER
    k = shifted - _ROUNDER
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    bits = np.float64(shifted).view(np.uint64) << np.uint64(52)
    power = np.uint64(bits + np.uint64(1023 << 52)).view(np.float64)
    return (1.0 + (r + (r * r) * p)) * power


@njit(cache=True, nogil=True, error_model="numpy")
def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), within 3 ulp, always above 0 and at most 1. NaN stays."""
    e = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


@njit(cache=True, nogil=True, error_model="numpy")
def _log_of_one_plus(f: float, k: float) -> float:
    """Return k ln 2 + ln(1 + f), for f in [sqrt(1/2) - 1, sqrt(2) - 1].

    With s = f / (2 + f): ln(1 + f) = 2 atanh(s) = f - f^2 / 2 + s (f^2 / 2 + R), R the series of
    2 s^2n / (2n + 1) from n = 1; |s| <= 0.1716, so ten terms leave less than 2^-60.
    """
    s = f / (2.0 + f)
    z = s * s
    p = 2.0 / 21.0
    p = p * z + 2.0 / 19.0
    p = p * z + 2.0 / 17.0
    p = p * z + 2.0 / 15.0
    p = p * z + 2.0 / 13.0
    p = p * z + 2.0 / 11.0
    p = p * z + 2.0 / 9.0
    p = p * z + 2.0 / 7.0
    p = p * z + 2.0 / 5.0
    p = p * z + 2.0 / 3.0
    half_square = 0.5 * f * f
    return k * _LN2_HIGH - ((half_square - (s * (half_square + z * p) + k * _LN2_LOW)) - f)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _log_of_scaled(x: float, k: float) -> float:
    """Return ln(x 2^k) of a finite x from 2^-1022."""
    bits = np.float64(x).view(np.uint64)
    k += np.float64(np.int64(bits >> np.uint64(52)) - 1023)
    mantissa = (bits & np.uint64((1 << 52) - 1)) | np.uint64(1023 << 52)
    m = np.uint64(mantissa).view(np.float64)
    upper = m > 1.0 + _SQRT2_MINUS_1
    return _log_of_one_plus((0.5 * m if upper else m) - 1.0, k + 1.0 if upper else k)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def log_of_normal(x: float) -> float:
    """Return ``log(x)`` of a finite x from 2^-1022; a loop around it vectorises."""
    return _log_of_scaled(x, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def log(x: float) -> float:
    """Natural logarithm, within 1 ulp. 0 gives -inf, a negative number or NaN gives NaN."""
    if not x > 0.0:
        return -np.inf if x == 0.0 else np.nan
    if x == np.inf:
        return np.inf
    return _log_of_scaled(x * 2.0**54, -54.0) if x < 2.0**-1022 else _log_of_scaled(x, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def softplus(x: float) -> float:
    """ln(1 + e^x), within 2 ulp, for every finite x. NaN stays."""
    e = exp(-abs(x))
    near = e < _SQRT2_MINUS_1
    # (e - 1) / 2 is exact where it is used: ln(1 + e) = ln 2 + ln(1 + (e - 1) / 2).
    tail = _log_of_one_plus(e if near else 0.5 * (e - 1.0), 0.0 if near else 1.0)
    return x + tail if x > 0.0 else tail


# LLVM finds this one too large to inline, and a loop around it vectorises only when it is.
@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def fixed_loss(loss: float, cap: float, factor: float) -> np.int64:
    """``loss * factor`` as the nearest integer, ties to even.

    ``loss``, at least 0, is first confined to ``cap``, which also stands for NaN; ``cap * factor``
    is at most 2^51.
    """
    capped = loss if loss < cap else cap  # noqa: FURB136 - min() would lose NaN
    shifted = np.float64(capped * factor + _INTEGER_SHIFT)
    return np.int64(shifted.view(np.int64) - _INTEGER_SHIFT_BITS)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def logloss_fixed(label: float, raw: float, factor: float = 1 << LOSS_BITS) -> np.int64:
    """Log loss of a row times ``factor`` as the nearest integer, ties to even.

    The loss is -ln of the probability that the log-odds ``raw`` give to ``label`` (0 or 1), at most
    LOSS_CAP, which also stands for NaN.
    """
    return fixed_loss(softplus(-raw if label > 0 else raw), LOSS_CAP, factor)


@njit(cache=True, nogil=True, error_model="numpy")
def _each_exp(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = exp(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _each_log(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = log(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _each_sigmoid(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = sigmoid(x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _each_softplus(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(x.size):
        out[i] = softplus(x[i])


def exps(x: ArrayLike) -> NDArray[np.float64]:
    """``exp`` of every element; same shape, float64."""
    values, out = _flat(x)
    _each_exp(values.ravel(), out.ravel())
    return out


def logs(x: ArrayLike) -> NDArray[np.float64]:
    """``log`` of every element; same shape, float64."""
    values, out = _flat(x)
    _each_log(values.ravel(), out.ravel())
    return out


def sigmoids(x: ArrayLike) -> NDArray[np.float64]:
    """``sigmoid`` of every element; same shape, float64."""
    values, out = _flat(x)
    _each_sigmoid(values.ravel(), out.ravel())
    return out


def softpluses(x: ArrayLike) -> NDArray[np.float64]:
    """``softplus`` of every element; same shape, float64."""
    values, out = _flat(x)
    _each_softplus(values.ravel(), out.ravel())
    return out


def _flat(x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.ascontiguousarray(x, dtype=np.float64)
    return values, np.empty_like(values)
