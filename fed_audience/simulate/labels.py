"""What is to be predicted: which rows are positive, a number, or one of several classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import DataError
from fed_audience.simulate.column_types import as_text, is_number

if TYPE_CHECKING:
    import numpy.typing as npt

    from fed_audience.simulate.column_types import Column

_YES: Final = ("true", "t", "yes", "y", "positive", "pos")
_BINARY: Final = 2

MOST_CLASSES: Final = 100
"""Classes of a label; each round grows a tree for each."""


def read_labels(
    column: Column, name: str, positive: str | None
) -> tuple[npt.NDArray[np.int8], str, list[str]]:
    """Labels of all rows: int8[n], 1 positive, 0 negative, -1 missing; the positive value; notes.

    A dot at the end of a word is dropped where the word also stands without it. Raises DataError
    when ``positive`` does not occur, when there is one class only, or when it is needed to choose.
    """
    text: Any = as_text(column)
    values = [value for value in pc.unique(text).to_pylist() if value is not None]
    plain = {value: value.removesuffix(".") for value in values}
    same = {v: p if p != v and p in values else v for v, p in plain.items()}
    classes = sorted(set(same.values()))
    if len(classes) < _BINARY:
        raise _one_class(name, classes)
    notes = [f"label {name!r}: '{v}' read as '{p}'" for v, p in sorted(same.items()) if v != p]
    chosen = _choose(classes, positive, name)
    if positive is None:
        notes.append(f"positive label: {name} = '{chosen}' (choose with --positive)")
    wanted = [value for value in values if same[value] == chosen]
    is_positive = pc.is_in(text, value_set=pa.array(wanted, pa.string())).to_numpy().astype(np.int8)
    missing = pc.is_null(text).to_numpy()
    notes += _missing_note(int(missing.sum()))
    return np.where(missing, np.int8(-1), is_positive), chosen, notes


def _choose(classes: list[str], positive: str | None, name: str) -> str:
    if positive is not None:
        wanted = positive.strip()
        for match in (
            lambda v: v == wanted,
            lambda v: v.removesuffix(".") == wanted.removesuffix("."),
            lambda v: v.casefold() == wanted.casefold(),
            lambda v: is_number(v) and is_number(wanted) and float(v) == float(wanted),
            # A boolean column is read as 0 and 1.
            lambda v: v == {"true": "1", "false": "0"}.get(wanted.casefold()),
        ):
            if found := [value for value in classes if match(value)]:
                return found[0]
        raise DataError(
            f"the positive value does not occur in column {name!r}",
            value=positive,
            limit=_listed(classes),
            fix="choose one of them with --positive",
        )
    if len(classes) > _BINARY:
        raise DataError(
            f"the label column {name!r} has more than two classes",
            value=_listed(classes),
            limit="two, or one that is named positive",
            fix="name the positive one with --positive, or choose --task multiclass",
        )
    if all(map(is_number, classes)):
        return max(classes, key=float)
    yes = [value for value in classes if value.casefold() in _YES]
    if len(yes) == 1:
        return yes[0]
    raise DataError(
        f"which value of column {name!r} is the positive one?",
        value=_listed(classes),
        fix=f"say --positive '{classes[0]}' or --positive '{classes[1]}'",
    )


def _listed(classes: list[str]) -> str:
    shown = ", ".join(classes[:10])
    return shown if len(classes) <= 10 else f"{shown}, ... ({len(classes)} values)"  # noqa: PLR2004 - as shown


def read_numbers(
    column: Column, name: str, *, least: float | None = None
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Read a label to predict as a number: float64[n], NaN where it is missing; notes.

    Raises DataError when the column holds words, infinities, less than ``least``, or one value.
    """
    if not pa.types.is_floating(column.type):
        raise DataError(
            f"the label column {name!r} does not hold numbers",
            value=_listed(_values(column)),
            limit="numbers",
            fix="choose another --label, or --task multiclass for one of several categories",
        )
    numbers: Any = column
    values = numbers.fill_null(np.nan).to_numpy()
    known = values[~np.isnan(values)]
    lowest = -np.inf if least is None else least
    if wrong := int((~np.isfinite(known) | (known < lowest)).sum()):
        raise DataError(
            f"the label column {name!r} holds numbers that cannot be learnt from",
            value=f"{wrong:,} of {len(known):,} rows",
            limit="finite numbers" + ("" if least is None else f" from {least:g}"),
            fix="correct them, or choose --objective regression where they may be negative",
        )
    if len(np.unique(known)) < _BINARY:
        raise _one_class(name, _values(column))
    return values, _missing_note(len(values) - len(known))


def read_classes(
    column: Column, name: str
) -> tuple[npt.NDArray[np.float64], tuple[str, ...], list[str]]:
    """Read a label that is one of several values: position in the sorted classes, and those.

    float64[n], NaN where it is missing; notes. Raises DataError for one class, or more than
    MOST_CLASSES.
    """
    text: Any = as_text(column)
    classes = tuple(sorted(_values(column), key=_natural))
    if len(classes) < _BINARY:
        raise _one_class(name, list(classes))
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"the label column {name!r} has too many classes",
            value=len(classes),
            limit=MOST_CLASSES,
            fix="group rare classes, or choose --task demand for a number",
        )
    place: Any = pc.index_in(text, value_set=pa.array(classes, pa.string()))
    missing = pc.is_null(text).to_numpy()
    codes = np.where(missing, np.nan, place.to_numpy(zero_copy_only=False).astype(np.float64))
    listed = f"classes of {name}: {_listed(list(classes))}"
    return codes, classes, [listed, *_missing_note(int(missing.sum()))]


def _values(column: Column) -> list[str]:
    text: Any = as_text(column)
    return sorted(value for value in pc.unique(text).to_pylist() if value is not None)


def _missing_note(rows: int) -> list[str]:
    return [f"{rows} rows without a label are left out"] if rows else []


def _one_class(name: str, classes: list[str]) -> DataError:
    return DataError(
        f"the label column {name!r} has one class only",
        value=", ".join(classes) or "all missing",
        limit="two classes or more",
        fix="choose another --label",
    )


def _natural(name: str) -> tuple[int, float, str]:
    """Order numbers by value and before words."""
    return (0, float(name), name) if is_number(name) else (1, 0.0, name)
