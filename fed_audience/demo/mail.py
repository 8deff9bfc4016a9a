"""E-mail engagement: two campaigns a month to those who allowed them. All generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.demo.behaviour import arrival
from fed_audience.demo.columns import (
    AS_OF_US,
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    SECOND,
    START_US,
    instants,
    picked,
    table,
    words,
)
from fed_audience.demo.draws import happens, logistic
from fed_audience.demo.settings import BLOCK_DAYS, BLOCKS, MAIL_BLOCKS

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from fed_audience.demo.customers import Customers
    from fed_audience.demo.settings import Brand
    from fed_audience.demo.trade import Trade

CAMPAIGNS: Final = ("news", "sale", "inspiration", "loyalty")


def mail_table(
    brand: Brand,
    customers: Customers,
    trade: Trade,
    allowed: tuple[NDArray[np.int64], NDArray[np.int64]],
    rng: np.random.Generator,
) -> pa.Table:
    """Return raw ``email_engagement``; ``allowed`` is from when until when each may be mailed.

    The end is the unsubscription, which shows on the last message before it.
    """
    since, until = allowed
    customer, block, sent = _sent(since, until, rng)
    size = sent.size
    traits = customers.people.traits
    bounced = happens(rng, 0.012, size)
    delivered = np.where(bounced, NEVER, sent + rng.integers(2, 240, size) * SECOND)
    eager = 1.1 * traits.mailer[customer] + 0.5 * trade.intent[customer, block]
    clicked = ~bounced & happens(rng, logistic(eager - 2.3), size)
    proxy = happens(rng, 0.3, size)
    opened = ~bounced & (clicked | proxy | happens(rng, logistic(eager - 1.0), size))
    opened_at = sent + rng.integers(1, 1800, size) * MINUTE
    clicked_at = opened_at + rng.integers(3, 400, size) * SECOND
    clicked &= clicked_at < AS_OF_US
    opened &= opened_at < AS_OF_US
    leaving = (until[customer] < sent + BLOCK_DAYS * DAY) & (until[customer] < AS_OF_US)
    return table(
        {
            "customer_id": picked(customers.ids, customer),
            "campaign": words(
                block - (BLOCKS - MAIL_BLOCKS),
                [f"{CAMPAIGNS[n % len(CAMPAIGNS)]}-{n + 1:02d}" for n in range(MAIL_BLOCKS)],
            ),
            "sent_at": instants(sent),
            "delivered_at": instants(delivered),
            "opened_at": instants(np.where(opened, opened_at, NEVER)),
            "clicked_at": instants(np.where(clicked, clicked_at, NEVER)),
            "bounced_at": instants(np.where(bounced, sent + MINUTE, NEVER)),
            "unsubscribed_at": instants(np.where(leaving, until[customer], NEVER)),
        },
        loaded=arrival(sent, late_share=0.01, late_days=3, rng=rng),
        source="mailer",
        key=("message_id", f"{brand.name[0]}m-"),
    )


def _sent(
    since: NDArray[np.int64], until: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return customer, block and instant of each message within the permission."""
    first = BLOCKS - MAIL_BLOCKS
    blocks = np.arange(first, BLOCKS)
    start = START_US + blocks * (BLOCK_DAYS * DAY)
    campaign = (
        start + rng.integers(1, 12, blocks.size) * DAY + rng.integers(7, 17, blocks.size) * HOUR
    )
    jitter = rng.integers(0, 5400, (since.size, blocks.size)) * SECOND
    sent = campaign[None, :] + jitter
    customer, place = np.nonzero((sent > since[:, None]) & (sent < until[:, None]))
    return customer, blocks[place], sent[customer, place]
