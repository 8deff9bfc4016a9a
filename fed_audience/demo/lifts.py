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
from fed_audience.jobs.sites import site_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fed_audience.demo.workspace import Workspace
    from fed_audience.jobs.settings import SiteSettings

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

    def lift(scores: NDArray[np.float64]) -> tuple[float, float]:
        chosen = cut_by_share(scores, ids, SHARE, key=b"hidden lift").chosen
        rate, base = float(high[chosen].mean()), float(high.mean())
        return rate / base, float(np.sqrt(rate * (1.0 - rate) / len(chosen))) / base

    found, error = lift(_numbers(rows["score"]))
    return HiddenLift(
        model=found,
        low=found - 1.96 * error,
        high=found + 1.96 * error,
        random=lift(random_scores(ids, seed=seed))[0],
        rfm=lift(rfm_scores(recency, frequency, monetary))[0],
        ceiling=lift(high)[0],
    )


def _numbers(column: pa.ChunkedArray[pa.Scalar[pa.DataType]]) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
