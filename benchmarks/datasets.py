"""Generated tables, the same numbers on every machine: written once to disk, read by every cell.

A table is made block by block, each from its own seed, so that its first rows do not depend on
how many follow, and five million rows need no more memory than a hundred thousand.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

Floats = NDArray[np.float64]
Block = Callable[[np.random.Generator, int], tuple[Floats, Floats]]

BLOCK_ROWS: Final = 100_000
TEST_ROWS: Final = 50_000
"""Rows behind the training rows of every generated table, for measuring quality."""

_CATEGORY_SIZES: Final = (4, 12, 30, 60, 120, 200)
_EFFECTS_SEED: Final = 20


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of generated table. ``categorical``: features that hold category numbers."""

    features: int
    categorical: tuple[int, ...]
    block: Block


def _labels(rng: np.random.Generator, logit: Floats) -> Floats:
    return (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(np.float64)


def _mixed(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """14 numbers, 4 zero-inflated counts, 6 columns with gaps, 6 categories; 17 % positives."""
    numbers = rng.normal(size=(14, rows))
    numbers[8:] = np.round(np.exp(numbers[8:]), 2)
    counts = rng.poisson(3, (4, rows)) * (rng.random((4, rows)) < 0.4)
    gappy = rng.normal(size=(6, rows))
    gappy[rng.random((6, rows)) < np.linspace(0.05, 0.4, 6)[:, None]] = np.nan
    sizes = np.array(_CATEGORY_SIZES)[:, None]
    categories = np.minimum(rng.geometric(3.0 / sizes, (6, rows)) - 1, sizes - 1)
    fixed = np.random.default_rng(_EFFECTS_SEED)
    effects = [fixed.normal(0, 0.35, size) for size in _CATEGORY_SIZES]
    logit = (
        -2.3
        + 0.5 * numbers[0]
        + 0.4 * np.sin(2 * numbers[1])
        + 0.3 * numbers[2] * numbers[3]
        + 0.2 * np.log1p(numbers[8])
        + 0.15 * counts[0]
        + np.where(np.isnan(gappy[2]), 0.5, 0.3 * np.nan_to_num(gappy[2]))
        + sum(effect[row] for effect, row in zip(effects, categories, strict=True))
    )
    return np.vstack([numbers, counts, gappy, categories]), _labels(rng, logit)


def _wide(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """120 numbers, 40 skewed amounts in cents, 40 zero-inflated counts; 24 of them matter."""
    numbers = rng.normal(size=(120, rows))
    amounts = np.round(np.exp(rng.normal(size=(40, rows)) + 2), 2)
    counts = rng.poisson(4, (40, rows)) * (rng.random((40, rows)) < 0.3)
    weights = np.random.default_rng(_EFFECTS_SEED).normal(0, 0.3, 24)
    logit = (
        -2.0
        + weights[:10] @ numbers[:10]
        + weights[10:14] @ np.sin(2 * numbers[10:14])
        + 0.4 * numbers[14] * numbers[15]
        + weights[14:19] @ np.log1p(amounts[:5])
        + weights[19:] @ np.minimum(counts[:5], 6)
    )
    return np.vstack([numbers, amounts, counts]), _labels(rng, logit)


SHAPES: Final = {
    "mixed": Shape(30, tuple(range(24, 30)), _mixed),
    "wide": Shape(200, (), _wide),
}


class Table(ABC):
    """Rows of ``features`` numbers: ``rows`` for training, then ``test_rows``; NaN is a gap.

    ``categorical``: the features that hold category numbers.
    """

    features: int
    categorical: tuple[int, ...]
    rows: int
    test_rows: int

    @abstractmethod
    def values(self, start: int, stop: int) -> Floats:
        """Return a copy of rows ``start`` to ``stop``: float64[features, stop - start]."""

    @abstractmethod
    def labels(self, start: int, stop: int) -> Floats:
        """Return the labels of rows ``start`` to ``stop``: float64[stop - start]."""

    def matrix(self, start: int, stop: int) -> Floats:
        """Rows as most learners take them: float64[stop - start, features], C order."""
        out = np.empty((stop - start, self.features))
        for begin in range(start, stop, BLOCK_ROWS):
            end = min(begin + BLOCK_ROWS, stop)
            out[begin - start : end - start] = self.values(begin, end).T
        return out


@dataclass(frozen=True, slots=True)
class Generated(Table):
    """A generated table on disk."""

    folder: Path
    features: int
    categorical: tuple[int, ...]
    rows: int
    test_rows: int = TEST_ROWS

    def values(self, start: int, stop: int) -> Floats:
        """Read rows ``start`` to ``stop``."""
        whole = self.rows + self.test_rows
        out = np.empty((self.features, stop - start))
        with (self.folder / "values.f64").open("rb") as file:
            for feature in range(self.features):
                file.seek(8 * (feature * whole + start))
                file.readinto(memoryview(out[feature]).cast("B"))
        return out

    def labels(self, start: int, stop: int) -> Floats:
        """Read the labels of rows ``start`` to ``stop``."""
        return np.fromfile(
            self.folder / "labels.f64", dtype=np.float64, count=stop - start, offset=8 * start
        )


def generated(home: Path, kind: str, rows: int, seed: int = 1) -> Generated:
    """Return the table of that kind, made in ``home`` unless an earlier run left it there."""
    shape = SHAPES[kind]
    folder = home / f"{kind}-{rows}-{seed}"
    if not folder.is_dir():
        unfinished = home / f"{folder.name}.{os.getpid()}"
        unfinished.mkdir(parents=True)
        _write(unfinished, shape, rows + TEST_ROWS, seed)
        if folder.is_dir():
            shutil.rmtree(unfinished)
        else:
            unfinished.rename(folder)
    return Generated(folder, shape.features, shape.categorical, rows)


def _write(folder: Path, shape: Shape, rows: int, seed: int) -> None:
    labels = np.empty(rows)
    with (folder / "values.f64").open("wb") as file:
        for number, start in enumerate(range(0, rows, BLOCK_ROWS)):
            rng = np.random.default_rng((seed, number))
            values, answers = shape.block(rng, BLOCK_ROWS)
            size = min(BLOCK_ROWS, rows - start)
            labels[start : start + size] = answers[:size]
            for feature in range(shape.features):
                file.seek(8 * (feature * rows + start))
                file.write(np.ascontiguousarray(values[feature, :size]).data)
    labels.tofile(folder / "labels.f64")
