"""What a brand may report of its features, as far as the contract lets it: types, fill, drift."""

from __future__ import annotations

import json
from math import floor, log10
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from fed_audience.audit.fields import band
from fed_audience.federation.messages.members import FeatureReport
from fed_audience.files import write_whole
from fed_audience.jobs.feature_checks import kind_of
from fed_audience.warehouse.protocol import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fed_audience.federation.contract.terms import Contract, ModelTerms
    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.control import TrainingRequest
    from fed_audience.warehouse.protocol import Relation, Warehouse

MUCH_MOVED: Final = 0.25
"""Population stability index from which a feature counts as another one (Siddiqi 2006)."""

_PARTS: Final = 10
_LEAST_SHARE: Final = 1e-4


def report_of(
    site: Site,
    warehouse: Warehouse,
    contract: Contract,
    request: TrainingRequest,
    baseline: Path,
) -> tuple[dict[str, FeatureReport], str | None]:
    """Return what ``site`` may report of a queued table: features by name, its rows as a band.

    ``baseline``: file of the distributions at the last training, made by ``keep_baseline``.
    """
    rows = band(request.row_count) if contract.may_report(site.name, "rows") else None
    if not contract.may_report(site.name, "schema"):
        return {}, rows
    columns = warehouse.columns(request.relation)
    summaries = contract.may_report(site.name, "summaries")
    before = json.loads(baseline.read_text(encoding="utf-8")) if baseline.exists() else {}
    reports = {}
    for feature in contract.model(request.model_name).features:
        if feature.name not in columns:
            reports[feature.name] = FeatureReport(type=None)
            continue
        told: dict[str, Any] = {"type": kind_of(columns[feature.name])}
        if summaries:
            told |= _summary(warehouse, request.relation, feature.name, before.get(feature.name))
        reports[feature.name] = FeatureReport.model_validate(told)
    return reports, rows


def keep_baseline(table: pa.Table, terms: ModelTerms, baseline: Path) -> None:
    """Keep at the site how the numbers of a training were distributed, for ``report_of``.

    ``table``: the rows that were trained on. Of each number, cuts between tenths and the shares.
    """
    kept = {}
    for feature in terms.features:
        if feature.type == "number" and feature.name in table.column_names:
            values = _numbers(table[feature.name])
            if len(values):
                cuts = np.unique(np.quantile(values, np.arange(1, _PARTS) / _PARTS, method="lower"))
                kept[feature.name] = {"cuts": cuts.tolist(), "shares": _shares(values, cuts)}
    write_whole(baseline, json.dumps(kept).encode(), "the features' distributions")


def stability_index(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the population stability index of two distributions over the same parts.

    Sum of (now - before) ln(now / before) over the shares of each part, 0 for equal ones
    (Siddiqi 2006).
    """
    old = np.maximum(np.asarray(before, dtype=np.float64), _LEAST_SHARE)
    new = np.maximum(np.asarray(now, dtype=np.float64), _LEAST_SHARE)
    return float(np.sum((new - old) * np.log(new / old)))


def one_digit(value: float) -> float:
    """Round to one significant digit."""
    return round(value, -floor(log10(abs(value)))) if value else 0.0


def _summary(
    warehouse: Warehouse, relation: Relation, column: str, before: dict[str, Any] | None
) -> dict[str, Any]:
    values = warehouse.query(f"select {quoted(column)} as x from {relation.sql()}")["x"]
    filled = 1.0 - values.null_count / max(1, len(values))
    told: dict[str, Any] = {"filled": round(filled, 3)}
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return told
    numbers = _numbers(values)
    if len(numbers):
        told["middle"] = one_digit(float(np.median(numbers)))
        if before is not None:
            now = _shares(numbers, np.asarray(before["cuts"]))
            told["moved"] = round(stability_index(before["shares"], now), 2)
    return told


def _numbers(values: pa.ChunkedArray[Any]) -> NDArray[np.float64]:
    found = values.drop_null().cast(pa.float64()).to_numpy().astype(np.float64)
    return found[np.isfinite(found)]


def _shares(values: NDArray[np.float64], cuts: NDArray[np.float64]) -> list[float]:
    """Return the share of values in each part: below the first cut, between two, from the last."""
    parts = np.searchsorted(cuts, values, side="right")
    counted = np.bincount(parts, minlength=len(cuts) + 1)
    return [float(count) / len(values) for count in counted]
