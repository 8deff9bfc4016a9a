"""How good scores are: from integer vectors that sites sum, or exactly from rows at hand."""

from fed_audience.gbdt.evaluation.binary import CalibrationBin, Decile, Metrics, logloss
from fed_audience.gbdt.evaluation.counts import CountDecile, CountMetrics
from fed_audience.gbdt.evaluation.multiclass import MulticlassMetrics
from fed_audience.gbdt.evaluation.ranking import Interval, auc, auc_difference, auc_interval
from fed_audience.gbdt.evaluation.reading import AnyMetrics, metrics_from_json
from fed_audience.gbdt.evaluation.score_histogram import (
    RAW_RANGE,
    SCORE_BINS,
    lift_at,
    score_bin,
    score_edge,
    score_histogram,
    threshold_for,
)

__all__ = [
    "RAW_RANGE",
    "SCORE_BINS",
    "AnyMetrics",
    "CalibrationBin",
    "CountDecile",
    "CountMetrics",
    "Decile",
    "Interval",
    "Metrics",
    "MulticlassMetrics",
    "auc",
    "auc_difference",
    "auc_interval",
    "lift_at",
    "logloss",
    "metrics_from_json",
    "score_bin",
    "score_edge",
    "score_histogram",
    "threshold_for",
]
