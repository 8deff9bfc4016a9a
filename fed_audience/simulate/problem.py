"""The learning problem in a table: features, label, groups, and what is odd about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import Feature
from fed_audience.simulate.column_types import as_text
from fed_audience.simulate.labels import read_classes, read_labels, read_numbers
from fed_audience.simulate.reading import read_table

if TYPE_CHECKING:
    import numpy.typing as npt

    from fed_audience.simulate.column_types import Column
    from fed_audience.simulate.settings import SimulationSettings

LABEL: Final = "label"
ROW_KEY: Final = "row"
WEIGHT: Final = "weight of the row"
BRAND: Final = "brand of the row"
"""Names that hold a space are never a feature's."""

_ID_ROWS: Final = 100
_ID_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows ready to be dealt to sites; row order is the file's, the test file's rows last.

    ``columns``: one a feature, float64 or string, null for missing, infinities kept.
    ``names`` maps a feature's name to the column it came from. ``labels``: [n], 0 or 1, a number,
    or the position in ``classes``. ``weights``: float64[n] above 0. ``groups`` and ``site_values``
    are text, one a row. ``test_from`` is the first row of a separate test file.
    """

    features: tuple[Feature, ...]
    names: dict[str, str]
    columns: pa.Table
    labels: npt.NDArray[Any]
    weights: npt.NDArray[np.float64] | None
    groups: pa.ChunkedArray[Any] | None
    site_values: pa.ChunkedArray[Any] | None
    test_from: int | None
    positive: str | None
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Number of rows with a label."""
        return len(self.labels)


def read_problem(settings: SimulationSettings) -> Problem:
    """Read the table and find features and label in it. Raises DataError."""
    asked = [settings.label, settings.site_column, settings.group, settings.weight]
    raw = read_table(settings.path, settings.test, expected=[n for n in asked if n])
    table, looked = raw.columns, str(settings.path)
    notes, warnings = list(raw.notes), list[str]()
    for option, name in (
        ("--label", settings.label),
        ("--site-column", settings.site_column),
        ("--group", settings.group),
        ("--weight", settings.weight),
        *(("--drop", name) for name in settings.drop),
    ):
        if name is not None and name not in table.column_names:
            raise _no_column(option, name, table.column_names, looked)
    target = _target(table.column(settings.label), settings)
    notes += target.notes
    labels, test_from = target.labels, raw.test_from
    if not target.known.all():
        kept: Any = np.flatnonzero(target.known)
        test_from = None if test_from is None else int(np.searchsorted(kept, test_from))
        table, labels = table.take(kept), labels[kept]
    weights = None
    if settings.weight is not None:
        weights = _weights(table.column(settings.weight), settings.weight)
    aside = {settings.label, settings.site_column, settings.group, settings.weight}
    aside |= set(settings.drop)
    chosen = {}
    for name in table.column_names:
        if name not in aside and _usable(name, table.column(name), notes, warnings):
            chosen[name] = table.column(name)
    if not chosen:
        raise DataError("no column is left to learn from", looked=looked, fix="drop fewer columns")
    names = _feature_names(list(chosen))
    features = tuple(
        Feature(feature, categorical=pa.types.is_string(chosen[name].type))
        for feature, name in names.items()
    )
    columns: Any = {feature: chosen[name] for feature, name in names.items()}
    return Problem(
        features=features,
        names=names,
        columns=pa.table(columns),
        labels=labels,
        weights=weights,
        groups=_text(table, settings.group),
        site_values=_text(table, settings.site_column),
        test_from=test_from,
        positive=target.positive,
        classes=target.classes,
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class _Target:
    """Labels of all rows, which of them are known, and what was found out about them."""

    labels: npt.NDArray[Any]
    known: npt.NDArray[np.bool_]
    notes: list[str]
    positive: str | None = None
    classes: tuple[str, ...] = ()


def _target(column: Column, settings: SimulationSettings) -> _Target:
    if settings.learns == "binary":
        flags, positive, notes = read_labels(column, settings.label, settings.positive)
        return _Target(flags, flags >= 0, notes, positive)
    if settings.learns == "multiclass":
        codes, classes, notes = read_classes(column, settings.label)
        return _Target(codes, ~np.isnan(codes), notes, classes=classes)
    least = None if settings.learns == "regression" else 0.0
    numbers, notes = read_numbers(column, settings.label, least=least)
    return _Target(numbers, ~np.isnan(numbers), notes)


def _weights(column: Any, name: str) -> npt.NDArray[np.float64]:
    if not pa.types.is_floating(column.type):
        raise DataError(
            f"the weight column {name!r} does not hold numbers",
            value=str(column.type),
            fix="choose another --weight",
        )
    weights: npt.NDArray[np.float64] = column.fill_null(np.nan).to_numpy()
    if bad := int((~(np.isfinite(weights) & (weights > 0))).sum()):
        raise DataError(
            f"the weight column {name!r} holds weights that are missing or not above 0",
            value=f"{bad:,} of {len(weights):,} rows",
            limit="finite numbers above 0",
            fix="leave those rows out, or give them a small weight",
        )
    return weights


def _text(table: pa.Table, name: str | None) -> pa.ChunkedArray[Any] | None:
    return None if name is None else as_text(table.column(name))


def _no_column(option: str, name: str, known: list[str], looked: str) -> DataError:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    lower = {column.casefold(): column for column in known}
    best = lower.get(name.casefold()) or (near[0] if near else None)
    return DataError(
        f"there is no column {name!r} ({option})",
        looked=f"{looked}: {', '.join(known[:30])}{', ...' if len(known) > 30 else ''}",  # noqa: PLR2004 - as shown
        fix=f"did you mean {best!r}?" if best else "choose one of these columns",
    )


def _usable(name: str, column: Any, notes: list[str], warnings: list[str]) -> bool:
    """Whether a column can be a feature; what is odd about it goes to ``warnings``."""
    present = len(column) - column.null_count
    if not present:
        notes.append(f"column {name!r} is empty: left out")
        return False
    if pa.types.is_string(column.type):
        distinct = pc.count_distinct(column).as_py()
        if distinct > max(_ID_ROWS, _ID_SHARE * present):
            warnings.append(
                f"column {name!r} looks like an identifier or free text "
                f"({distinct:,} values in {present:,} rows): left out"
            )
            return False
        return True
    finite = pc.is_finite(column)
    if infinite := present - pc.sum(finite).as_py():
        warnings.append(f"column {name!r}: {infinite:,} infinite values clipped to +-2^64")
    whole = present >= _ID_ROWS and pc.all(pc.equal(column, pc.floor(column))).as_py()
    if whole and pc.count_distinct(column).as_py() == present:
        warnings.append(
            f"column {name!r} is a different whole number in every row, like an identifier "
            f"or a row number: if it is one, leave it out with --drop {name}"
        )
    return True


def _feature_names(columns: list[str]) -> dict[str, str]:
    """Names that a model file can carry, each with the column it stands for."""
    names: dict[str, str] = {}
    for column in columns:
        printable = "".join(c if c.isprintable() else "_" for c in column)
        plain = re.sub(r'[\s=",:\[\]{}\\]', "_", printable) or "unnamed"
        number, name = 2, plain
        while name in names or name in {LABEL, ROW_KEY}:
            name, number = f"{plain}_{number}", number + 1
        names[name] = column
    return names
