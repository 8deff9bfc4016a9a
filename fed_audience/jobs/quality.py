"""What federating is worth to one brand: its own model against the shared one, on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from fed_audience.errors import DataError
from fed_audience.federation import ArrowSource, InProcessTransport, SiteProgram, train
from fed_audience.gbdt.evaluation import (
    Interval,
    auc_difference,
    auc_interval,
    score_histogram,
)
from fed_audience.gbdt.models.predictor import raw_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from fed_audience.federation import Manifest, TrainingResult
    from fed_audience.gbdt.models.model import Model

Verdict = Literal["gains", "no difference", "loses"]


@dataclass(frozen=True, slots=True)
class BrandQuality:
    """AUC on one brand's own held-out rows; ``gain`` is federated minus alone, paired.

    ``alone`` and ``gain`` are None where the brand could not train by itself. ``histogram``
    (int64[2, B]) holds the federated scores, for lift and calibration.
    """

    site: str
    rows: int
    positives: int
    alone: Interval | None
    federated: Interval | None
    gain: Interval | None
    histogram: NDArray[np.int64]

    @property
    def verdict(self) -> Verdict | None:
        """Whether the gain's interval lies above, across or below zero."""
        if self.gain is None:
            return None
        if self.gain.low > 0.0:
            return "gains"
        return "loses" if self.gain.high < 0.0 else "no difference"


def measure(
    site: str,
    training: pa.Table,
    held_out: pa.Table,
    federated: TrainingResult,
    manifest: Manifest,
    category_key: bytes,
    copy: Model | None = None,
) -> BrandQuality:
    """Train ``site`` alone on the same rows and settings; compare on its held-out rows.

    ``copy``: the site's own copy of the model, where it has one; it is then what is measured.
    Everything here happens at home: no byte leaves the site.
    """
    labels = np.asarray(held_out[manifest.label].to_numpy(), dtype=np.int8)
    shared = scores(federated, held_out, category_key, copy)
    alone = train_alone(site, training, manifest, category_key)
    own = scores(alone, held_out, category_key) if alone is not None else None
    return BrandQuality(
        site=site,
        rows=len(labels),
        positives=int(labels.sum()),
        alone=auc_interval(labels, own) if own is not None else None,
        federated=auc_interval(labels, shared),
        gain=auc_difference(labels, shared, own) if own is not None else None,
        histogram=score_histogram(labels, shared),
    )


def train_alone(
    site: str, rows: pa.Table, manifest: Manifest, category_key: bytes
) -> TrainingResult | None:
    """Train the manifest's model on one site's ``rows``, at home and so without noise.

    None when they hold one class only.
    """
    program = SiteProgram(site, ArrowSource(rows), category_key)
    single = replace(
        manifest,
        run_id=f"{manifest.run_id}/{site}",
        sites=(site,),
        label_sites=None,
        privacy=None,
        public=(),
    )
    try:
        return train(InProcessTransport({site: program}), single)
    except DataError:
        # One class, or no row: there is nothing that the brand could learn alone.
        return None


def scores(
    result: TrainingResult, rows: pa.Table, category_key: bytes, copy: Model | None = None
) -> NDArray[np.float64]:
    """Log odds of ``rows`` under ``result``, or a site's own ``copy`` of it: float64[n]."""
    columns: Mapping[str, pa.ChunkedArray[pa.Scalar[pa.DataType]]] = dict(
        zip(rows.column_names, rows.columns, strict=True)
    )
    return raw_scores(copy or result.model, result.encoder.encode(columns, category_key))
