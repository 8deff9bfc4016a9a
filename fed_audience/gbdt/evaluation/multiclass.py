"""How good the probabilities of several classes are, from summed integers.

A vector holds the score histogram of every class against the rest, the confusion matrix and the
loss. Cells of the log-odds are coarser than those of two classes: a histogram a class travels.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numba import njit

from fed_audience.errors import DataError
from fed_audience.gbdt.arithmetic import LOSS_BITS, log
from fed_audience.gbdt.evaluation.binary import auc_of
from fed_audience.gbdt.evaluation.score_histogram import cell_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

CLASS_BINS: Final = 1 << 13
"""Cells of a class's score histogram, 2^-8 of log-odds wide."""


@dataclass(frozen=True, slots=True)
class MulticlassMetrics:
    """Quality of K probabilities over rows, each counting 1; None where it is not defined.

    ``confusion[y][k]``: rows of class y that were predicted k, the most probable class (the first
    of equals). ``class_auc[k]``: AUC of class k against the rest, by its probability; that of the
    unrounded scores is within ``auc_error_bounds[k]`` of it. ``macro_auc``: mean over the classes
    that have one.
    """

    KIND: ClassVar[str] = "multiclass"

    rows: int
    logloss: float | None
    error_rate: float | None
    confusion: tuple[tuple[int, ...], ...]
    class_auc: tuple[float | None, ...]
    auc_error_bounds: tuple[float | None, ...]
    macro_auc: float | None

    @classmethod
    def from_sums(cls, classes: int, sums: Integers) -> MulticlassMetrics:
        """Metrics of summed vectors of ``multiclass_sums``."""
        histograms, confusion, loss = np.split(sums, np.cumsum(_parts(classes))[:2])
        confusion = confusion.reshape(classes, classes)
        rows = int(confusion.sum())
        aucs, bounds = [], []
        for histogram in histograms.reshape(classes, 2, CLASS_BINS):
            interval, bound = auc_of(histogram) if histogram.any(axis=1).all() else (None, None)
            aucs.append(interval.estimate if interval else None)
            bounds.append(bound)
        known = [value for value in aucs if value is not None]
        return cls(
            rows=rows,
            logloss=int(loss[0]) / rows / (1 << LOSS_BITS) if rows else None,
            error_rate=(rows - int(np.trace(confusion))) / rows if rows else None,
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            class_auc=tuple(aucs),
            auc_error_bounds=tuple(bounds),
            macro_auc=sum(known) / len(known) if known else None,
        )

    @property
    def headline(self) -> str | None:
        """The one number to tell, in words."""
        if self.error_rate is None:
            return None
        return f"{1.0 - self.error_rate:.1%} of the classes right, log loss {self.logloss:.4f}"

    def to_json(self) -> str:
        """JSON object with the names of the fields, and the kind."""
        return json.dumps({"kind": self.KIND, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> MulticlassMetrics:
        """Read what ``to_json`` wrote. Raises DataError for anything else."""
        try:
            document: dict[str, Any] = json.loads(text)
            if document.pop("kind") != cls.KIND:
                raise KeyError(cls.KIND)  # noqa: TRY301 - told below with all the others
            document["confusion"] = tuple(tuple(row) for row in document["confusion"])
            for name in ("class_auc", "auc_error_bounds"):
                document[name] = tuple(document[name])
            return cls(**document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"metrics are malformed: {error}", fix="evaluate the model again"
            ) from error


def multiclass_size(classes: int) -> int:
    """Length of the vector of ``multiclass_sums``."""
    return sum(_parts(classes))


def multiclass_sums(labels: Floats, probabilities: Floats, loss: int) -> Integers:
    """Sum the rows of a site: int64[multiclass_size(K)].

    ``labels``: [n], 0 to K - 1; ``probabilities``: float64[K, n]; ``loss``: of these rows, unit
    2^-LOSS_BITS.
    """
    classes = len(probabilities)
    histograms = np.zeros((classes, 2, CLASS_BINS), dtype=np.int64)
    confusion = np.zeros((classes, classes), dtype=np.int64)
    _add_rows(labels, np.ascontiguousarray(probabilities), histograms, confusion)
    return np.concatenate((histograms.ravel(), confusion.ravel(), [loss]))


def _parts(classes: int) -> tuple[int, int, int]:
    return classes * 2 * CLASS_BINS, classes * classes, 1


@njit(nogil=True, cache=True, error_model="numpy")
def _add_rows(
    labels: Floats, probabilities: Floats, histograms: Integers, confusion: Integers
) -> None:
    for i in range(labels.size):
        label = np.int64(labels[i])
        best = 0
        for k in range(probabilities.shape[0]):
            p = probabilities[k, i]
            if p > probabilities[best, i]:
                best = k
            cell = cell_of(log(p) - log(1.0 - p), CLASS_BINS)
            histograms[k, np.int64(label == k), cell] += 1
        confusion[label, best] += 1
