"""How well a lookalike finds the taste that the demo hid from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fed_audience.audiences.baselines import random_scores, rfm_scores
from fed_audience.audiences.reach import cut_by_share
from fed_audience.jobs.quality import scores
from fed_audience.jobs.sites import site_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.audiences.tie_breaking import StringColumn
    from fed_audience.demo.workspace import Workspace
    from fed_audience.jobs.settings import SiteSettings
    from fed_audience.jobs.train import TrainedModel

SHARE: Final = 0.1
_RFM: Final = ("f_recency_days", "f_orders_365d", "f_revenue_365d")


@dataclass(frozen=True, slots=True)
class HiddenLift:
    """Lift of the hidden taste in the best tenth of one brand, by the way of choosing it.

    ``low`` and ``high`` bound the model's lift at 95 %. ``ceiling`` is that of knowing the truth.
    """

    model: float
    low: float
    high: float
    random: float
    rfm: float
    ceiling: float


def hidden_lift(
    workspace: Workspace, site_settings: SiteSettings, model: str, *, seed: int
) -> HiddenLift:
    """Compare the scores of ``model`` at a brand with its hidden truth and two baselines."""
    site = site_of(site_settings)
    with site.open() as warehouse:
        rows = warehouse.query(
            f"select s.customer_id, s.score, {', '.join(f'f.{name}' for name in _RFM)}"
            f" from {site.model('fct_scores').sql()} s"
            f" join {site.model('fct_scoring_features').sql()} f using (customer_id)"
            " where s.model_name = ? order by s.customer_id",
            [model],
        )
    truth = pq.read_table(workspace.truth(site.name), columns=["customer_id", "is_premium"])
    place = pc.index_in(rows["customer_id"], value_set=truth["customer_id"].combine_chunks())
    high = np.asarray(truth["is_premium"].take(place).to_numpy(), dtype=np.float64)
    ids = rows["customer_id"].combine_chunks()
    recency, frequency, monetary = (_numbers(rows[name]) for name in _RFM)

    return _compared(
        high,
        ids,
        _numbers(rows["score"]),
        random_scores(ids, seed=seed),
        rfm_scores(recency, frequency, monetary),
    )


def seed_rule_lift(model: TrainedModel, site: str, category_key: bytes, *, seed: int) -> HiddenLift:
    """Compare a model of every brand's own rule with two baselines, on held-out customers."""
    rows = model.held_out[site]
    labels = np.asarray(rows[model.manifest.label].to_numpy(), dtype=np.float64)
    ids = rows[model.manifest.row_key].cast(pa.string()).combine_chunks()
    recency, frequency, monetary = (_numbers(rows[name]) for name in _RFM)
    return _compared(
        labels,
        ids,
        scores(model.result, rows, category_key),
        random_scores(ids, seed=seed),
        rfm_scores(recency, frequency, monetary),
    )


def _compared(
    high: NDArray[np.float64],
    ids: StringColumn,
    model: NDArray[np.float64],
    random: NDArray[np.float64],
    rfm: NDArray[np.float64],
) -> HiddenLift:
    def lift(scores: NDArray[np.float64]) -> tuple[float, float]:
        chosen = cut_by_share(scores, ids, SHARE, key=b"hidden lift").chosen
        rate, base = float(high[chosen].mean()), float(high.mean())
        return rate / base, float(np.sqrt(rate * (1.0 - rate) / len(chosen))) / base

    found, error = lift(model)
    return HiddenLift(
        model=found,
        low=found - 1.96 * error,
        high=found + 1.96 * error,
        random=lift(random)[0],
        rfm=lift(rfm)[0],
        ceiling=lift(high)[0],
    )


def _numbers(column: pa.ChunkedArray[pa.Scalar[pa.DataType]]) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
