"""Why a model scores as it does: importance, contributions of features, partial dependence."""

from fed_audience.gbdt.explanation.contributions import (
    contribution_sums,
    contribution_unit,
    contributions,
    mean_contributions,
)
from fed_audience.gbdt.explanation.importance import FeatureImportance, importance
from fed_audience.gbdt.explanation.partial_dependence import (
    PartialDependence,
    partial_dependence,
)

__all__ = [
    "FeatureImportance",
    "PartialDependence",
    "contribution_sums",
    "contribution_unit",
    "contributions",
    "importance",
    "mean_contributions",
    "partial_dependence",
]
