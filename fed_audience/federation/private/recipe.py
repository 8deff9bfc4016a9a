"""The recipe's constants, and what a manifest of a private run may not ask for.

Nothing here is chosen by looking at the rows of the run: the figures were found on public tables
(benchmarks/privacy/dp_quality.py) and depend on epsilon alone.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from typing import TYPE_CHECKING, Final

from fed_audience.errors import ConfigError
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.privacy.dp.plan import ROW_UNITS, PrivacyPlan

if TYPE_CHECKING:
    from fed_audience.federation.manifest import Manifest
    from fed_audience.gbdt.fixed_point import FixedPoint

LOW_EPSILON: Final = 3.0
"""Below it three passes over 16 bins, from it on six over 32: less noise bears finer steps."""

LEARNING_RATE: Final = 0.6
RIDGE: Final = 1.5
"""Ridge of a leaf in standard deviations of the noise in its gradient sum, at least 1."""

LARGEST_STEP: Final = 2.0
"""A leaf's value before the learning rate."""

HESSIAN_FACTOR: Final = 3
"""Hessians travel threefold, with a third of the noise, at no cost.

With p = sigmoid(score) a row has the pair (p - y, p (1 - p)). Let q be its error |p - y|: the pair
(q, 3 q (1 - q)) is never longer than 1, since 9 (1 - q)^2 <= 1 / q^2 - 1 on all of (0, 1].
"""

_ROUNDING_UNITS: Final = 4
"""What rounding to units can add to that length: half a unit of gradient, one of hessian."""


NOT_OF_THE_RECIPE: Final = frozenset(
    {
        "row_cap",
        "seed",
        "objective",
        "num_class",
        "early_stopping_round",
        "bagging_fraction",
        "feature_fraction",
        "scale_pos_weight",
        "monotone_constraints",
    }
)
"""Parameters of a run that the recipe says nothing of."""


def row_reach(fixed: FixedPoint) -> int:
    """How far one row moves a feature's sums (G, 3 H), in units of the gradient."""
    return fixed.gradient_bound + _ROUNDING_UNITS


def count_reach(numeric: int) -> int:
    """How far one row moves the counts of ``numeric`` features, in units: one cell of each."""
    return isqrt(ROW_UNITS * ROW_UNITS * numeric - 1) + 1


def private_parameters(
    epsilon: float, features: int, row_cap: int, passes: int | None = None
) -> TrainingParameters:
    """Parameters of a private run over so many ``features``; bins follow from epsilon.

    ``passes``: how often each feature has its turn; None for what suits epsilon.
    """
    usual, bins = (3, 16) if epsilon < LOW_EPSILON else (6, 32)
    return TrainingParameters(
        n_estimators=(passes or usual) * features,
        learning_rate=LEARNING_RATE,
        max_bin=bins,
        num_leaves=bins,
        row_cap=row_cap,
    )


def by_the_recipe(
    asked: TrainingParameters, epsilon: float, features: int, passes: int | None = None
) -> TrainingParameters:
    """Return what a private run makes of parameters chosen for an ordinary one.

    The recipe has its own of most; of the others, a manifest refuses what cannot be kept private.
    """
    own = private_parameters(epsilon, features, asked.row_cap, passes)
    return replace(own, **{name: getattr(asked, name) for name in NOT_OF_THE_RECIPE})


def plan_of(manifest: Manifest) -> PrivacyPlan:
    """Return the plan of a private run. Raises ConfigError for one that is not private."""
    if manifest.privacy is None:
        raise ConfigError("the run is not private", fix="declare epsilon and delta for it")
    return PrivacyPlan(
        manifest.privacy,
        sites=len(manifest.training_sites),
        secure=manifest.secure,
        numeric=sum(not feature.categorical for feature in manifest.features),
        steps=manifest.parameters.n_estimators,
    )


def check_private(manifest: Manifest) -> None:
    """Raise ConfigError naming the first thing that a private run cannot keep private."""
    if manifest.privacy is None:
        if manifest.public:
            raise _refused("public ranges and categories", "declare epsilon and delta as well")
        return
    plan_of(manifest)
    parameters = manifest.parameters
    for asked, what, fix in (
        (parameters.objective != "binary", "an objective but binary", "predict yes or no"),
        (manifest.weighted, "row or brand weights", "let every row weigh 1"),
        (manifest.brand is not None, "brands within a site", "leave brand out"),
        (manifest.group_key is not None, "several rows of one person", "make it one row a person"),
        (manifest.allow_missing_features, "features that a site lacks", "leave the feature out"),
        (parameters.early_stopping_round > 0, "early stopping", "set early_stopping_round to 0"),
        (parameters.bagging_fraction < 1, "drawn rows", "set bagging_fraction to 1"),
        (parameters.feature_fraction < 1, "drawn features", "set feature_fraction to 1"),
        (parameters.scale_pos_weight != 1, "weights of positives", "leave scale_pos_weight out"),
        (bool(parameters.monotone_constraints), "monotone constraints", "leave them out"),
    ):
        if asked:
            raise _refused(what, fix)
    known = {values.feature: values for values in manifest.public}
    if len(known) != len(manifest.public):
        raise _refused("two declarations of one feature", "declare each feature once")
    for feature in manifest.features:
        values = known.pop(feature.name, None)
        kind = "categories" if feature.categorical else "range"
        if values is None or values.categorical != feature.categorical:
            raise ConfigError(
                f"feature {feature.name} has no public {kind}, and reading it off the rows would "
                "give rows away",
                fix=f"declare its {kind} from what everybody knows, or leave the feature out",
            )
    if known:
        raise _refused(
            f"public values of {', '.join(sorted(known))}", "declare features of the run alone"
        )


def _refused(what: str, fix: str) -> ConfigError:
    return ConfigError(f"a private run does not go with {what}", fix=fix)
