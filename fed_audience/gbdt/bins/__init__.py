"""From columns to codes: the agreed cuts of a feature, and the code each of its values gets."""

from fed_audience.gbdt.bins.feature_bins import (
    MAX_BINS,
    MISSING_CODE,
    CategoryBins,
    Feature,
    FeatureBins,
    NumericBins,
)

__all__ = [
    "MAX_BINS",
    "MISSING_CODE",
    "CategoryBins",
    "Feature",
    "FeatureBins",
    "NumericBins",
]
