"""The hidden truth about each customer, for scoring the demo only; no warehouse ever holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from fed_audience.demo.columns import column

if TYPE_CHECKING:
    from fed_audience.demo.customers import Customers
    from fed_audience.demo.trade import Trade

HIGH_TASTE: Final = 0.85
"""Premium affinity from which the taste counts as high; about one person in five."""


def truth_table(customers: Customers, trade: Trade) -> pa.Table:
    """Return customer_id, affinity, premium_affinity, is_premium and coming_orders.

    ``affinity`` is the person's propensity to buy anywhere, ``premium_affinity`` their taste for
    the exclusive (both about standard normal), ``is_premium`` whether that taste is high,
    ``coming_orders`` how many orders the brand may expect in the 30 days after the as-of.
    """
    traits = customers.people.traits
    return pa.table(
        {
            "customer_id": customers.ids,
            "affinity": column(np.round(traits.propensity, 6)),
            "premium_affinity": column(np.round(traits.premium, 6)),
            "is_premium": column(traits.premium >= HIGH_TASTE),
            "coming_orders": column(np.round(trade.coming_orders, 6)),
        }
    )
