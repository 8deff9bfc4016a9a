"""How good predicted amounts are: errors, explained deviance and deciles from summed integers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from fed_audience.errors import DataError
from fed_audience.gbdt.evaluation.count_sums import CountSums, CountUnits, read_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_DECILES: Final = 10


@dataclass(frozen=True, slots=True)
class CountDecile:
    """A tenth of the rows, largest predictions first. A cell that the cut divides is shared out.

    ``share`` is where it ends (0.1 to 1), ``predicted`` its mean prediction, ``observed`` its mean
    label, ``lift`` that over the mean of all labels, ``gain`` the share of the labels' sum found
    up to its end; the last two are None unless that sum is above 0.
    """

    share: float
    predicted: float
    observed: float
    lift: float | None
    gain: float | None


@dataclass(frozen=True, slots=True)
class CountMetrics:
    """Quality of predicted amounts over rows, each counting 1; None where it is not defined.

    ``deviance`` is the mean of the objective's: squared error, Poisson or Tweedie deviance.
    ``explained_deviance`` compares it with predicting the mean label for all, ``r2`` does so for
    squared errors. Labels, predictions and deviances beyond their caps are clipped to them:
    ``clipped`` counts the rows. Every row is rounded to 2^-50 of the largest error there can be.
    """

    KIND: ClassVar[str] = "count"

    objective: str
    rows: int
    clipped: int
    mean_label: float | None
    mean_prediction: float | None
    rmse: float | None
    mae: float | None
    deviance: float | None
    explained_deviance: float | None
    r2: float | None
    deciles: tuple[CountDecile, ...]

    @classmethod
    def from_sums(
        cls,
        objective: str,
        units: CountUnits,
        sums: Integers,
        deviance_of_mean: Callable[[float, float, int], float],
    ) -> CountMetrics:
        """Metrics of summed vectors of ``count_sums``.

        ``deviance_of_mean``: what the deviance of all rows would be if each were predicted the
        mean, from the sum of the ``own`` terms, the mean label and the number of rows.
        """
        read = read_sums(units, sums)
        rows = int(read.rows.sum())
        if rows == 0:
            return cls(objective, 0, 0, *(None,) * 7, deciles=())
        mean, errors = read.label_sum / rows, read.errors
        spread = errors["label_squared"] - rows * mean * mean
        return cls(
            objective=objective,
            rows=rows,
            clipped=read.clipped,
            mean_label=mean,
            mean_prediction=read.prediction_sum / rows,
            rmse=float(np.sqrt(errors["squared"] / rows)),
            mae=errors["absolute"] / rows,
            deviance=errors["deviance"] / rows,
            explained_deviance=_explained(
                errors["deviance"], deviance_of_mean(errors["own"], mean, rows)
            ),
            r2=_explained(errors["squared"], spread),
            deciles=_deciles(read),
        )

    @property
    def headline(self) -> str | None:
        """The one number to tell, in words."""
        if self.explained_deviance is None:
            return None
        return f"{self.explained_deviance:.1%} of the deviance explained, RMSE {self.rmse:.4g}"

    def to_json(self) -> str:
        """JSON object with the names of the fields, and the kind."""
        return json.dumps({"kind": self.KIND, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> CountMetrics:
        """Read what ``to_json`` wrote. Raises DataError for anything else."""
        try:
            document: dict[str, Any] = json.loads(text)
            if document.pop("kind") != cls.KIND:
                raise KeyError(cls.KIND)  # noqa: TRY301 - told below with all the others
            document["deciles"] = tuple(CountDecile(**decile) for decile in document["deciles"])
            return cls(**document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"metrics are malformed: {error}", fix="evaluate the model again"
            ) from error


def _explained(left: float, of_mean: float) -> float | None:
    return 1.0 - left / of_mean if of_mean > 0.0 else None


def _deciles(sums: CountSums) -> tuple[CountDecile, ...]:
    rows, labels, predictions = (
        np.concatenate(([0.0], np.cumsum(column[::-1])))
        for column in (sums.rows, sums.labels, sums.predictions)
    )
    each = rows[-1] / _DECILES
    ends = np.arange(_DECILES + 1) * each
    found = np.interp(ends, rows, labels)
    observed = np.diff(found) / each
    predicted = np.diff(np.interp(ends, rows, predictions)) / each
    mean = labels[-1] / rows[-1]
    return tuple(
        CountDecile(
            share=(k + 1) / _DECILES,
            predicted=float(predicted[k]),
            observed=float(observed[k]),
            lift=float(observed[k] / mean) if mean > 0.0 else None,
            gain=float(found[k + 1] / found[-1]) if mean > 0.0 else None,
        )
        for k in range(_DECILES)
    )
