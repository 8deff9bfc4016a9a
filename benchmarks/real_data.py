"""Public tables of real customers, for quality: read from a folder beside the checkout.

The files are not part of the project; a set whose file is absent is reported as absent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from benchmarks.datasets import Floats, Table
from benchmarks.learners import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_BESIDE: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
_TEST_SHARE: Final = 0.25
_LAST_TRAINING_WEEK: Final = 117
_ADULT_WEIGHT, _ADULT_LABEL = 2, 14


@dataclass(frozen=True, slots=True)
class Held(Table):
    """A table in memory. ``columns``: float64[features, rows + test_rows]."""

    columns: Floats
    answers: Floats
    categorical: tuple[int, ...]
    rows: int

    @property
    def features(self) -> int:  # type: ignore[override]
        """Number of features."""
        return len(self.columns)

    @property
    def test_rows(self) -> int:  # type: ignore[override]
        """Rows behind the training rows."""
        return len(self.answers) - self.rows

    def values(self, start: int, stop: int) -> Floats:
        """Copy rows ``start`` to ``stop``."""
        return self.columns[:, start:stop].copy()

    def labels(self, start: int, stop: int) -> Floats:
        """Copy the labels of rows ``start`` to ``stop``."""
        return self.answers[start:stop].copy()


def folder() -> Path:
    """Where the files are: ``FED_AUDIENCE_TEST_DATA``, else ``../shared/data``."""
    return Path(os.environ.get("FED_AUDIENCE_TEST_DATA", _BESIDE))


def _read(name: str, **options: object) -> pd.DataFrame:
    path = folder() / f"{name}.csv.gz"
    if not path.is_file():
        raise UnavailableError(f"{path.name} is not in the data folder; set FED_AUDIENCE_TEST_DATA")
    return pd.read_csv(path, **options)  # type: ignore[call-overload, no-any-return]


def _bank() -> tuple[pd.DataFrame, pd.Series[bool]]:
    rows = _read("bank_additional_full")  # the duration of a call is known only after it
    return rows.drop(columns=["y", "duration"]), rows["y"] == "yes"


def _adult() -> tuple[pd.DataFrame, pd.Series[bool]]:
    form = {"header": None, "skipinitialspace": True, "na_values": "?"}
    rows = pd.concat([_read("adult_train", **form), _read("adult_test", **form)])
    return rows.drop(columns=[_ADULT_WEIGHT, _ADULT_LABEL]), rows[_ADULT_LABEL].str.startswith(">")


def _adult_complete() -> tuple[pd.DataFrame, pd.Series[bool]]:
    form = {"header": None, "skipinitialspace": True, "na_values": "?"}
    rows = _read("adult_train", **form).dropna()  # what is measured of it elsewhere has no gaps
    return rows.drop(columns=[_ADULT_WEIGHT, _ADULT_LABEL]), rows[_ADULT_LABEL].str.startswith(">")


def _shoppers() -> tuple[pd.DataFrame, pd.Series[bool]]:
    rows = _read("online_shoppers_intention", sep=";")
    kinds = ["OperatingSystems", "Browser", "Region", "TrafficType"]
    features = rows.drop(columns="Revenue").astype(dict.fromkeys([*kinds, "Weekend"], str))
    return features, rows["Revenue"].astype(str).str.upper() == "TRUE"


def _hillstrom() -> tuple[pd.DataFrame, pd.Series[bool]]:
    rows = _read("hillstrom_email")
    return rows.drop(columns=["visit", "conversion", "spend"]), rows["visit"] == 1


PROPENSITY: Final[dict[str, Callable[[], tuple[pd.DataFrame, pd.Series[bool]]]]] = {
    "bank": _bank,
    "adult": _adult,
    "adult_complete": _adult_complete,
    "shoppers": _shoppers,
    "hillstrom": _hillstrom,
}


def propensity(name: str, seed: int) -> Held:
    """Return the set ``name``; a quarter of its rows, drawn by ``seed``, is for testing.

    Raises UnavailableError when the file is not there.
    """
    features, positive = PROPENSITY[name]()
    order = np.random.default_rng(seed).permutation(len(features))
    columns, categorical = _numbers(features)
    rows = len(order) - int(len(order) * _TEST_SHARE)
    answers = positive.to_numpy().astype(np.float64)
    return Held(columns[:, order], answers[order], categorical, rows)


def demand() -> Held:
    """Orders of meals by week, centre and meal; the weeks after 117 are for testing."""
    rows = _read("meal_delivery_demand").merge(
        _read("meal_delivery_fulfilment_center_info"), on="center_id"
    )
    rows = rows.merge(_read("meal_delivery_meal_info"), on="meal_id").sort_values(["week", "id"])
    rows["discount"] = 1 - rows["checkout_price"] / rows["base_price"]
    kinds = ["center_id", "meal_id", "city_code", "region_code"]
    features = rows.drop(columns=["id", "num_orders"]).astype(dict.fromkeys(kinds, str))
    columns, categorical = _numbers(features)
    training = int((rows["week"] <= _LAST_TRAINING_WEEK).sum())
    return Held(columns, rows["num_orders"].to_numpy(dtype=np.float64), categorical, training)


def _numbers(features: pd.DataFrame) -> tuple[Floats, tuple[int, ...]]:
    """Give text columns numbers: float64[features, rows], and which features those are."""
    columns: list[NDArray[np.float64]] = []
    categorical = []
    for index, name in enumerate(features.columns):
        column = features[name]
        if pd.api.types.is_numeric_dtype(column):
            columns.append(column.to_numpy(dtype=np.float64))
            continue
        codes, _ = pd.factorize(column, sort=True)
        columns.append(np.where(codes < 0, np.nan, codes))
        categorical.append(index)
    return np.vstack(columns), tuple(categorical)
