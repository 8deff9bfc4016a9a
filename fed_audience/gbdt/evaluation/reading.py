"""Reading metrics back, whatever they measure."""

from __future__ import annotations

import json

from fed_audience.errors import DataError
from fed_audience.gbdt.evaluation.binary import Metrics
from fed_audience.gbdt.evaluation.counts import CountMetrics
from fed_audience.gbdt.evaluation.multiclass import MulticlassMetrics

AnyMetrics = Metrics | CountMetrics | MulticlassMetrics


def metrics_from_json(text: str) -> AnyMetrics:
    """Read what ``to_json`` of any metrics wrote; those of two classes carry no kind.

    Raises DataError for anything else.
    """
    try:
        document = json.loads(text)
        kind = document.get("kind")
    except (ValueError, AttributeError) as error:
        raise DataError(
            f"metrics are malformed: {error}", fix="evaluate the model again"
        ) from error
    if kind == CountMetrics.KIND:
        return CountMetrics.from_json(text)
    if kind == MulticlassMetrics.KIND:
        return MulticlassMetrics.from_json(text)
    return Metrics.from_json(text)
