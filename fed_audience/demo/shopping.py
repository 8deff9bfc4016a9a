"""Orders and their lines: what people buy, at what price, what they send back. All generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.demo.behaviour import arrival, moments, spread
from fed_audience.demo.columns import (
    AS_OF_US,
    DAY,
    HOUR,
    NEVER,
    SECOND,
    identifiers,
    instants,
    money,
    picked,
    table,
    words,
)
from fed_audience.demo.draws import choose, happens, logistic
from fed_audience.demo.settings import PREMIUM_CATEGORY, Brand

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from fed_audience.demo.columns import Column
    from fed_audience.demo.customers import Customers
    from fed_audience.demo.trade import Trade

PRODUCTS_PER_CATEGORY: Final = 240
COUPONS: Final = ("WELCOME10", "SUMMER15", "VIP5", "COMEBACK20", "FRIENDS10")
STATUSES: Final = ("completed", "cancelled", "returned")
COMPLETED, CANCELLED, RETURNED = range(3)
_TAX: Final = 0.2
_FREE_SHIPPING_FROM: Final = 60.0


@dataclass(frozen=True, slots=True)
class Orders:
    """One row an order, in no particular order."""

    customer: NDArray[np.int64]
    block: NDArray[np.int64]
    at: NDArray[np.int64]
    channel: NDArray[np.int64]
    loaded: NDArray[np.int64]

    @property
    def size(self) -> int:
        """How many."""
        return int(self.customer.size)


@dataclass(frozen=True, slots=True)
class Lines:
    """One row a line; ``order`` is the row of its order."""

    order: NDArray[np.int64]
    number: NDArray[np.int64]
    category: NDArray[np.int64]
    product: NDArray[np.int64]
    quantity: NDArray[np.int64]
    price: NDArray[np.float64]


def orders_of(brand: Brand, customers: Customers, trade: Trade, rng: np.random.Generator) -> Orders:
    """Place every counted order at an instant; stores report over night, some orders days late."""
    customer, block = spread(trade.orders)
    traits = customers.people.traits
    at = moments(block, traits.evening[customer], customers.created[customer], rng)
    channel = choose(rng, list(brand.channels.values()), at.size)
    # Whoever uses the phone orders in the app rather than on the web.
    to_app = (channel == 0) & happens(rng, 0.3 * logistic(1.5 * traits.mobile[customer]), at.size)
    channel[to_app] = 1
    loaded = arrival(at, late_share=0.025, late_days=9, rng=rng)
    in_store = channel == list(brand.channels).index("store")
    loaded = np.where(in_store, np.maximum(loaded, at // DAY * DAY + 27 * HOUR), loaded)
    return Orders(customer, block, at, channel, loaded)


def lines_of(brand: Brand, customers: Customers, orders: Orders, rng: np.random.Generator) -> Lines:
    """Fill every order: favourites, the exclusive by taste, prices that taste lifts."""
    traits = customers.people.traits
    count = 1 + np.minimum(rng.poisson(brand.extra_lines, orders.size), 11)
    order = np.repeat(np.arange(orders.size), count)
    number = np.arange(order.size) - np.repeat(np.cumsum(count) - count, count) + 1
    buyer = orders.customer[order]
    category = _categories(brand, customers, buyer, rng)
    names = [each.name for each in brand.categories]
    taste = traits.premium[buyer]
    exclusive = happens(rng, logistic(1.5 * taste - 2.6), order.size)
    category[exclusive] = names.index(PREMIUM_CATEGORY[brand.name])
    median = np.array([each.price for each in brand.categories])[category]
    price = median * np.exp(rng.normal(0.0, 0.38, order.size) + 0.2 * taste)
    product = category * 1000 + np.floor(
        PRODUCTS_PER_CATEGORY * rng.random(order.size) ** 2
    ).astype(np.int64)
    quantity = 1 + np.minimum(rng.poisson(0.2 * brand.extra_lines, order.size), 9)
    return Lines(order, number, category, product, quantity, money(np.maximum(price, 1.0)))


def _categories(
    brand: Brand, customers: Customers, buyer: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the category of each line: half from the buyer's two favourites."""
    weights = np.array([each.weight for each in brand.categories])
    names = [each.name for each in brand.categories]
    favourites = np.stack([choose(rng, weights, customers.size) for _ in range(2)], axis=1)
    with_children = names.index("kids")
    parents = happens(rng, logistic(2.0 * customers.people.traits.family - 1.2), customers.size)
    favourites[parents, 0] = with_children
    category = choose(rng, weights, buyer.size)
    loyal = happens(rng, 0.5, buyer.size)
    second = happens(rng, 0.35, buyer.size).astype(np.int64)
    return np.where(loyal, favourites[buyer, second], category)


def order_tables(
    brand: Brand, customers: Customers, orders: Orders, lines: Lines, rng: np.random.Generator
) -> dict[str, pa.Table]:
    """Return raw ``orders`` and ``order_items``."""
    traits, size = customers.people.traits, orders.size
    gross = money(_sums(lines.order, lines.price * lines.quantity, size))
    taste, deal = traits.premium[orders.customer], traits.deal[orders.customer]
    sale = brand.on_sale()[orders.block]
    full_price = happens(rng, logistic(0.5 + 1.0 * taste - 0.8 * deal - 1.1 * sale), size)
    off = np.clip(rng.beta(2.0, 6.0, size) + 0.05 + 0.08 * sale, 0.05, 0.6)
    discount = money(np.where(full_price, 0.0, off * gross))
    coupon = np.where(
        ~full_price & happens(rng, logistic(0.9 * deal - 0.4), size),
        rng.integers(0, len(COUPONS), size),
        -1,
    )
    status, refunded, refunded_at = _sent_back(orders, gross - discount, rng)
    in_store = orders.channel == list(brand.channels).index("store")
    order_ids = identifiers(f"{brand.name[0]}o-", _rank(orders.at))
    columns: dict[str, Column | NDArray[Any]] = {
        "order_id": order_ids,
        "customer_id": picked(customers.ids, orders.customer),
        "ordered_at": instants(orders.at),
        "status": words(status, STATUSES),
        "gross": gross,
        "discount": discount,
        "tax": money((gross - discount) * _TAX / (1.0 + _TAX)),
        "shipping": np.where(in_store | (gross >= _FREE_SHIPPING_FROM), 0.0, 4.95),
        "refunded": refunded,
        "refunded_at": instants(refunded_at),
        "currency": words(np.zeros(size, dtype=np.int64), [brand.currency]),
        "channel": words(orders.channel, list(brand.channels)),
        "coupon": words(coupon, COUPONS),
    }
    products = [
        f"{each.name}-{number:03d}"
        for each in brand.categories
        for number in range(PRODUCTS_PER_CATEGORY)
    ]
    item = lines.product // 1000 * PRODUCTS_PER_CATEGORY + lines.product % 1000
    items: dict[str, Column | NDArray[Any]] = {
        "order_id": picked(order_ids, lines.order),
        "line": lines.number.astype(np.int32),
        "product_id": words(item, products),
        "category": words(lines.category, [each.name for each in brand.categories]),
        "qty": lines.quantity.astype(np.int32),
        "price": lines.price,
    }
    return {
        "orders": table(columns, loaded=orders.loaded, source="shop"),
        "order_items": table(items, loaded=orders.loaded[lines.order], source="shop"),
    }


def _sent_back(
    orders: Orders, paid: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return status, refunded amount and its instant; what is not yet refunded is completed."""
    cancelled, back = (happens(rng, share, orders.size) for share in (0.03, 0.07))
    days = 3 + rng.random(orders.size) * 17
    when = orders.at + (days * 86_400).astype(np.int64) * SECOND
    back &= ~cancelled & (when < AS_OF_US)
    whole = happens(rng, 0.7, orders.size)
    part = np.where(whole, 1.0, 0.2 + 0.6 * rng.random(orders.size))
    status = np.where(cancelled, CANCELLED, np.where(back & whole, RETURNED, COMPLETED))
    return (
        status,
        money(np.where(back, paid * part, 0.0)),
        np.where(back, when, NEVER),
    )


def _rank(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of each instant in time, from 1."""
    rank = np.empty(at.size, dtype=np.int64)
    rank[np.argsort(at, kind="stable")] = np.arange(1, at.size + 1)
    return rank


def _sums(groups: NDArray[np.int64], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the sum of ``values`` in each of ``size`` groups."""
    return np.bincount(groups, values, minlength=size).astype(np.float64)
