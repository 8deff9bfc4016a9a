"""One hash for all machines: these rows must give these models on every platform.

The rows are integer arithmetic, so they are the same everywhere; the model is exact sums and
correctly rounded operations, so it must be too. A hash changes only when the learner changes on
purpose.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.federation.example import run

COMMON: dict[str, Any] = {"n_estimators": 40, "early_stopping_round": 3, "learning_rate": 0.5}
DEMAND: dict[str, Any] = {"task": "demand", "label": "orders"}
CLASSES: dict[str, Any] = {"task": "multiclass", "label": "kind", "num_class": 4}
KNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "binary": ({}, "adfae0ac482d95d79238ed986d8a8bf5d82007ee7c903f35718499883b0bb046"),
    "regression": (
        DEMAND | {"objective": "regression"},
        "167613f55fff5f7c6b42b5d9efbee983ff5ca424014d668e54fe1065da3f9b67",
    ),
    "poisson": (
        DEMAND | {"objective": "poisson"},
        "594a6f35b6fc4fc3b5e9958fae43123f35811d8e02170408066787f92c43326d",
    ),
    "tweedie": (
        DEMAND | {"objective": "tweedie"},
        "7a9a29d008b1edad8b6b19d4a6ec09d4f19a15494973239ec04fa6453422019d",
    ),
    "multiclass": (
        CLASSES | {"objective": "multiclass"},
        "8fb455e6ac9d9444ea8743a546962bc7df93e9a72e6561f93638057e80ce13b2",
    ),
    "best leaf first, drawn rows and features": (
        {"leaves_per_round": 2, "bagging_fraction": 0.7, "feature_fraction": 0.6},
        "9e024d5c8c0d3a8f76581308e6119a008a66abc285ceebd12c746a3eae41fac3",
    ),
    "weights and constraints": (
        {
            "weight": "weight",
            "max_weight": 1.5,
            "scale_pos_weight": 2.0,
            "lambda_l1": 1.0,
            "monotone_constraints": (("spend", -1), ("age", 1)),
        },
        "14fb5f29e34ae426470b5402b3481132ed8f4ee1b4c541b0a4ac443921c13d10",
    ),
}


def known_rows() -> pa.Table:
    i = np.arange(4_000, dtype=np.int64)
    x = (i * 2_654_435_761) % 1_000_003
    columns: dict[str, Any] = {
        "customer": [f"c{n}" for n in i],
        "spend": pa.array(x % 9_973 / 8.0),
        "visits": pa.array(x % 7 * (x % 3 == 0)),
        "age": pa.array((x % 71).astype(float), mask=x % 11 == 0),
        "country": [f"country {n}" for n in x % 23],
        "channel": [("web", "app", "shop")[n] for n in x % 3],
        "label": pa.array(((x % 9_973 > 5_000) ^ (x % 23 < 9)) | (x % 5 == 0)),
        "orders": pa.array((x % 7) * (x % 23 < 9) + x % 9_973 // 2_500),
        "kind": pa.array((x % 71 // 18 + (x % 5 == 0)) % 4),
        "weight": pa.array(0.5 + x % 3 / 2.0),
    }
    return pa.table(columns)


@pytest.mark.parametrize("name", KNOWN)
def test_known_rows_give_the_known_model(name: str) -> None:
    changes, known = KNOWN[name]
    result = run({"all": known_rows()}, **COMMON, **changes)
    assert result.best_iteration > 1
    assert result.sha256 == known
