"""What federating is worth to one brand: its own model against the shared one, on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from fed_audience.errors import DataError
from fed_audience.federation import ArrowSource, InProcessTransport, SiteProgram, train
from fed_audience.gbdt.bins.numbers import as_float64
from fed_audience.gbdt.evaluation import Interval, score_histogram
from fed_audience.gbdt.models.predictor import raw_scores
from fed_audience.jobs.measures import AUC, Measure, measures_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from fed_audience.federation import Manifest, TrainingResult
    from fed_audience.gbdt.models.model import Model

Verdict = Literal["gains", "no difference", "loses"]


@dataclass(frozen=True, slots=True)
class BrandQuality:
    """``measure`` on one brand's own held-out rows; ``gain``: how much better federated is, paired.

    ``alone`` and ``gain`` are None where the brand could not train by itself, ``positives`` where
    labels are amounts. ``histogram`` (int64[2, B]) holds the federated scores of labels 0 and 1,
    for lift and calibration; None for amounts.
    """

    site: str
    rows: int
    positives: int | None
    alone: Interval | None
    federated: Interval | None
    gain: Interval | None
    histogram: NDArray[np.int64] | None
    measure: Measure = AUC

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
    judge, labels = measures_of(manifest.parameters)[0], as_float64(held_out[manifest.label])
    classes = labels.astype(np.int8) if judge is AUC else None
    shared = scores(federated, held_out, category_key, copy)
    alone = train_alone(site, training, manifest, category_key)
    own = scores(alone, held_out, category_key) if alone is not None else None
    return BrandQuality(
        site=site,
        rows=len(labels),
        positives=None if classes is None else int(classes.sum()),
        alone=judge.interval(labels, own) if own is not None else None,
        federated=judge.interval(labels, shared),
        gain=judge.advantage(labels, shared, own) if own is not None else None,
        histogram=None if classes is None else score_histogram(classes, shared),
        measure=judge,
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
    """Raw scores of ``rows`` under ``result``, or a site's own ``copy`` of it: float64[n].

    Log odds of two classes; of amounts what the objective's link makes of them.
    """
    columns: Mapping[str, pa.ChunkedArray[pa.Scalar[pa.DataType]]] = dict(
        zip(rows.column_names, rows.columns, strict=True)
    )
    return raw_scores(copy or result.model, result.encoder.encode(columns, category_key))
