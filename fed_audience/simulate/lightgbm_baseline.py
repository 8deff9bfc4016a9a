"""LightGBM on the pooled rows, with the parameters and floors of our learner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from fed_audience.gbdt.bins import Feature
    from fed_audience.gbdt.parameters import TrainingParameters

    Floats = npt.NDArray[np.float64]

SAME_NAMES: Final = (
    *("objective", "num_class", "tweedie_variance_power", "poisson_max_delta_step"),
    *("num_leaves", "max_depth", "learning_rate", "max_bin", "min_data_in_leaf"),
    *("min_data_in_bin", "lambda_l1", "lambda_l2", "min_gain_to_split", "max_delta_step"),
    *("feature_fraction", "bagging_fraction", "scale_pos_weight"),
    *("cat_smooth", "cat_l2", "min_data_per_group", "max_cat_threshold", "max_cat_to_onehot"),
    "seed",
)
"""Parameters that both learners know by one name."""


def lightgbm_parameters(
    ours: TrainingParameters, features: Sequence[Feature], threads: int
) -> dict[str, Any]:
    """Return what makes LightGBM train as we do, features in the order of ``features``."""
    signs = dict(ours.monotone_constraints)
    parameters: dict[str, Any] = {name: getattr(ours, name) for name in SAME_NAMES}
    parameters |= {
        "min_sum_hessian_in_leaf": ours.min_child_weight,
        "bagging_freq": int(ours.bagging_fraction < 1.0),
        "num_threads": threads,
        "verbose": -1,
    }
    if signs:
        parameters["monotone_constraints"] = [signs.get(feature.name, 0) for feature in features]
    return parameters


def train_lightgbm(
    values: Floats,
    labels: npt.NDArray[Any],
    weights: Floats | None,
    features: Sequence[Feature],
    parameters: TrainingParameters,
    threads: int,
) -> tuple[Any, float]:
    """Train on ``values`` (float64[n, F]); the booster, and the seconds of binning and training."""
    import lightgbm  # noqa: PLC0415 - two seconds of import

    categorical = [i for i, feature in enumerate(features) if feature.categorical]
    options = lightgbm_parameters(parameters, features, threads)
    began = time.perf_counter()
    data = lightgbm.Dataset(
        values, labels, weight=weights, categorical_feature=categorical, free_raw_data=True
    )
    booster = lightgbm.train(options, data, parameters.n_estimators)
    return booster, time.perf_counter() - began
