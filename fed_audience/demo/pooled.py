"""What a demo may do and a federation may not: train on all brands' rows in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from fed_audience.federation import ArrowSource, InProcessTransport, SiteProgram, train
from fed_audience.gbdt.evaluation import Interval, auc_interval
from fed_audience.jobs.quality import scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fed_audience.jobs.train import TrainedModel

_SITE: Final = "pooled"


@dataclass(frozen=True, slots=True)
class PooledComparison:
    """The pooled model's hash, and its AUC on each brand's held-out rows."""

    sha256: str
    auc: Mapping[str, Interval | None]


def train_pooled(model: TrainedModel, category_key: bytes) -> PooledComparison:
    """Train ``model``'s manifest on the rows of all its brands as if they were one site.

    Nothing is shared with the federated run but the manifest: bins and base score are agreed
    anew, from the raw rows.
    """
    rows = pa.concat_tables(model.training.values(), promote_options="permissive")
    manifest = replace(model.manifest, sites=(_SITE,), run_id=f"{model.manifest.run_id}/pooled")
    program = SiteProgram(_SITE, ArrowSource(rows), category_key)
    result = train(InProcessTransport({_SITE: program}), manifest)
    label = manifest.label
    return PooledComparison(
        sha256=result.sha256,
        auc={
            site: auc_interval(
                np.asarray(table[label].to_numpy()), scores(result, table, category_key)
            )
            for site, table in model.held_out.items()
        },
    )
