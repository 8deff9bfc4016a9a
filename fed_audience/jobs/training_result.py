"""What came out of a training, as JSON for other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fed_audience.federation import TrainingResult
    from fed_audience.jobs.train import TrainedModel


def metrics_document(result: TrainingResult) -> dict[str, Any]:
    """Return the metrics of a training, and under `privacy` what noise promised; may be empty."""
    measured = json.loads(result.metrics.to_json()) if result.metrics is not None else {}
    promised = {"privacy": result.privacy.document()} if result.privacy is not None else {}
    return {**measured, **promised}


def result_json(trained: TrainedModel) -> str:
    """Return the result of a training; ``rows`` are noisy where ``privacy`` is not null."""
    result = trained.result
    document = {
        "model": trained.name,
        "version": trained.version,
        "model_sha256": result.sha256,
        "run": trained.manifest.run_id,
        "sites": list(trained.manifest.sites),
        "trees": len(result.model.trees),
        "rows": result.counts.rows,
        "rounds": result.rounds,
        "seconds": trained.seconds,
        "stopped": result.stopped,
        "bytes_up": dict(result.bytes_up),
        "secure_sum": result.protection.secure,
        "overrides": list(result.protection.overrides),
        "metrics": metrics_document(result) or None,
        "privacy": None if result.privacy is None else result.privacy.document(),
        "warnings": [*trained.warnings, *trained.notes],
    }
    return json.dumps(document, indent=2) + "\n"
