"""Training parameters, under the names LightGBM gave them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal, Self, get_args

import numpy as np

from fed_audience.errors import ConfigError
from fed_audience.gbdt.parameters.options import chosen_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import Feature

ObjectiveName = Literal["binary", "regression", "poisson", "tweedie", "multiclass"]

MOST_CLASSES: Final = 100

_RANGES: Final[dict[str, tuple[float, float]]] = {
    "n_estimators": (1, 10_000),
    "learning_rate": (1e-6, 1.0),
    "max_depth": (1, 12),
    "num_leaves": (2, 4_096),
    "max_bin": (3, 255),
    "min_child_weight": (0.0, 1e9),
    "min_data_in_leaf": (0, 10**9),
    "min_data_in_bin": (1, 10**9),
    "lambda_l2": (0.0, 1e9),
    "min_gain_to_split": (0.0, 1e12),
    "cat_smooth": (0.0, 1e9),
    "cat_l2": (0.0, 1e9),
    "early_stopping_round": (0, 10_000),
    "validation_fraction": (0.0, 0.5),
    "row_cap": (1, 2**34),
    "num_class": (1, MOST_CLASSES),
    "tweedie_variance_power": (1.01, 1.99),
    "poisson_max_delta_step": (0.0, 10.0),
    "scale_pos_weight": (1e-6, 1e6),
    "leaves_per_round": (0, 4_095),
    "lambda_l1": (0.0, 1e9),
    "max_delta_step": (0.0, 1e9),
    "feature_fraction": (1e-6, 1.0),
    "bagging_fraction": (1e-6, 1.0),
    "min_data_per_group": (1, 10**9),
    "max_cat_threshold": (1, 254),
    "max_cat_to_onehot": (1, 254),
}


@dataclass(frozen=True, slots=True)
class TrainingParameters:
    """What every site must agree on before the first round; part of the run manifest.

    ``row_cap`` bounds the training rows of all sites together and fixes the gradient scale, so
    that no sum can wrap. ``early_stopping_round`` 0 trains all ``n_estimators`` trees and keeps
    no validation rows. ``leaves_per_round`` 0 grows a tree level by level, k splits the k best
    leaves of a round. ``bagging_fraction`` redraws rows, ``feature_fraction`` features for each
    tree; ``max_delta_step`` 0 sets no bound. Raises ConfigError when a value leaves its range or
    does not go with the objective.
    """

    n_estimators: int = 100
    learning_rate: float = 0.1
    max_depth: int = 6
    num_leaves: int = 63
    max_bin: int = 255
    min_child_weight: float = 1.0
    min_data_in_leaf: int = 20
    min_data_in_bin: int = 3
    lambda_l2: float = 0.0
    min_gain_to_split: float = 0.0
    cat_smooth: float = 10.0
    cat_l2: float = 10.0
    early_stopping_round: int = 0
    validation_fraction: float = 0.2
    row_cap: int = 2**27
    seed: int = 0
    objective: ObjectiveName = "binary"
    num_class: int = 1
    tweedie_variance_power: float = 1.5
    poisson_max_delta_step: float = 0.7
    scale_pos_weight: float = 1.0
    leaves_per_round: int = 0
    lambda_l1: float = 0.0
    max_delta_step: float = 0.0
    feature_fraction: float = 1.0
    bagging_fraction: float = 1.0
    monotone_constraints: tuple[tuple[str, int], ...] = ()
    min_data_per_group: int = 100
    max_cat_threshold: int = 32
    max_cat_to_onehot: int = 4

    def __post_init__(self) -> None:
        for field in fields(self):
            if (bounds := _RANGES.get(field.name)) is None:
                continue
            value = getattr(self, field.name)
            low, high = bounds
            if not low <= value <= high:
                raise ConfigError(
                    f"training parameter {field.name} is out of range",
                    value=value,
                    limit=f"{low:g} to {high:g}",
                    fix=f"set {field.name} within that range",
                )
        self._check_objective()
        self._check_monotone_constraints()

    def _check_objective(self) -> None:
        names = get_args(ObjectiveName)
        if self.objective not in names:
            raise ConfigError(
                "training parameter objective is unknown",
                value=self.objective,
                limit=", ".join(names),
                fix="choose one of these",
            )
        if (self.objective == "multiclass") != (self.num_class > 1):
            raise ConfigError(
                f"training parameter num_class does not go with objective {self.objective}",
                value=self.num_class,
                limit="2 or more for multiclass, 1 for any other objective",
                fix="set num_class to the number of classes, or choose objective multiclass",
            )
        if self.objective != "binary" and self.scale_pos_weight != 1.0:
            raise ConfigError(
                f"training parameter scale_pos_weight does not go with objective {self.objective}",
                value=self.scale_pos_weight,
                limit="1 for any objective but binary",
                fix="weight the rows with a weight column instead",
            )

    def _check_monotone_constraints(self) -> None:
        names = [name for name, _ in self.monotone_constraints]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(
                "training parameter monotone_constraints names a feature twice",
                value=", ".join(twice),
                fix="give each feature one direction",
            )
        for name, sign in self.monotone_constraints:
            if sign not in {-1, 1}:
                raise ConfigError(
                    f"training parameter monotone_constraints has no direction for '{name}'",
                    value=sign,
                    limit="1 (the score may only rise with the feature) or -1 (only fall)",
                    fix="choose one of these, or leave the feature out",
                )

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Self:
        """Read options as users write them: names of the fields, or LightGBM's other words.

        ``monotone_constraints`` is a mapping from feature to 1 or -1. Raises ConfigError for what
        does not exist or has a wrong value; an option that LightGBM has and we have not is refused
        by name, with what to do instead, unless its value asks for nothing we do not do.
        """
        chosen = chosen_fields(options, {field.name: field.default for field in fields(cls)})
        parameters = cls(**chosen)
        if "num_leaves" in chosen and parameters.num_leaves > 2**parameters.max_depth:
            raise ConfigError(
                f"training parameter num_leaves is out of reach at max_depth "
                f"{parameters.max_depth}",
                value=parameters.num_leaves,
                limit=f"at most {2**parameters.max_depth}",
                fix="raise max_depth (up to 12), or lower num_leaves",
            )
        return parameters

    def monotone_signs(self, features: Sequence[Feature]) -> NDArray[np.int8]:
        """Return int8[F]: the direction of each of ``features``, 0 where it is free.

        Raises ConfigError when a constrained feature is not among them, or is categorical.
        """
        signs = dict(self.monotone_constraints)
        numeric = [feature.name for feature in features if not feature.categorical]
        for name in signs:
            if name not in numeric:
                near = get_close_matches(name, numeric, n=1, cutoff=0.4)
                raise ConfigError(
                    "training parameter monotone_constraints names no numeric feature of the model",
                    value=name,
                    limit=", ".join(numeric) or "the model has no numeric feature",
                    fix=f"did you mean '{near[0]}'?" if near else "take it out",
                )
        return np.array([signs.get(feature.name, 0) for feature in features], dtype=np.int8)
