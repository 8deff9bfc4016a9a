"""How numbers, sizes, times and people are written in a report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fed_audience.report.data import Estimate

ABSENT: Final = "\u2013"
_MINUS: Final = "\u2212"
_KEPT: Final = 2
_KILO: Final = 1000
_WORDS: Final = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def count(number: float | None) -> str:
    """Write a whole number with thousands separated: 12,345."""
    return f"{number:,.0f}".replace("-", _MINUS) if _known(number) else ABSENT


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share of 0 to 1 as a percentage, without trailing zeros: 12.5%, 5%."""
    if _known(share):
        text = f"{100 * share:.{digits}f}"
        return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"
    return ABSENT


def decimal(number: float | None, digits: int = 3) -> str:
    """Write an AUC or a probability with fixed digits: 0.843."""
    return f"{number:.{digits}f}".replace("-", _MINUS) if _known(number) else ABSENT


def signed(number: float | None, digits: int = 3) -> str:
    """Write a difference with its sign, zero without one: +0.031, -0.004, 0.000."""
    if _known(number):
        text = f"{number:+.{digits}f}"
        return text[1:] if float(text) == 0.0 else text.replace("-", _MINUS)
    return ABSENT


def times(number: float | None) -> str:
    """Write a lift: 3.2x with a real multiplication sign."""
    return f"{number:.1f}\u00d7" if _known(number) else ABSENT


def span(estimate: Estimate | None, digits: int = 3) -> str:
    """Write an interval alone: 0.835 to 0.851."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ABSENT
    return f"{decimal(estimate.low, digits)} to {decimal(estimate.high, digits)}"


def signed_span(estimate: Estimate | None, digits: int = 3) -> str:
    """Write the interval of a difference: +0.001 to +0.006."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ABSENT
    return f"{signed(estimate.low, digits)} to {signed(estimate.high, digits)}"


def size(number: int | None) -> str:
    """Write bytes in powers of 1,000: 58.2 kB, 3.4 MB."""
    if number is None:
        return ABSENT
    if number < _KILO:
        return plural(number, "byte")
    value = float(number)
    for unit in ("kB", "MB", "GB"):
        value /= _KILO
        if value < _KILO:
            return f"{value:.1f} {unit}"
    return f"{value / _KILO:.1f} TB"


def moment(when: datetime | None) -> str:
    """Write a naive UTC time: 1 October 2026, 00:00 UTC."""
    return ABSENT if when is None else f"{when.day} {when:%B %Y, %H:%M} UTC"


def listing(names: Sequence[str]) -> str:
    """Join names as in a sentence: fashion, grocery and travel."""
    if len(names) <= 1:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def in_words(number: int) -> str:
    """Write a small number as the first word of a sentence: Three; larger ones as digits."""
    return _WORDS[number] if number < len(_WORDS) else count(number)


def plural(number: int, noun: str) -> str:
    """Write a number with its noun: 1 brand, 3 brands."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def mask(identifier: str) -> str:
    """Keep two characters at each end of an identifier, and only one of a short one.

    What is masked already stays as it is.
    """
    dots = "\u2022\u2022\u2022"
    if dots in identifier:
        return identifier
    if len(identifier) <= 3 * _KEPT:
        return f"{identifier[:1]}{dots}"
    return f"{identifier[:_KEPT]}{dots}{identifier[-_KEPT:]}"


def _known(number: float | None) -> TypeGuard[float]:
    return number is not None and math.isfinite(number)
