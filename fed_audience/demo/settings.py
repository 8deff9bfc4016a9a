"""What the generated brands are: sizes, people, prices, seasons and how they differ.

All generated; no person is real. Rates are per block of ``BLOCK_DAYS`` days, traits are standard
normal over everyone, money is in the brand's currency.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from fed_audience.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Setting = Literal["kindred", "discord"]
"""``kindred``: what drives a purchase is the same at every brand. ``discord``: not at travel."""

AS_OF: Final = datetime(2026, 10, 1)  # noqa: DTZ001 - warehouse timestamps are naive UTC
BLOCK_DAYS: Final = 15
BLOCKS: Final = 48
START: Final = AS_OF - timedelta(days=BLOCK_DAYS * BLOCKS)
RECENT_BLOCKS: Final = 26
"""Blocks of sessions and events that the brands keep: thirteen months."""
MAIL_BLOCKS: Final = 14
"""Blocks of e-mail engagement that the brands keep: seven months."""
MINIMUM_CUSTOMERS: Final = 200


@dataclass(frozen=True, slots=True)
class Category:
    """A department of a brand: its share of lines and the median price of a piece."""

    name: str
    weight: float
    price: float


@dataclass(frozen=True, slots=True)
class Brand:
    """One brand, its customers and its trade.

    ``trait_means`` shift the traits of its own customers (covariate shift); ``order_rate`` moves
    its repeat purchases (label shift). ``peaks`` are (day of year, width in days, height in log
    rate); ``sales`` are (first, last day of year). ``absent`` lists columns its systems lack.
    """

    name: str
    share: float
    order_rate: float
    visit_rate: float
    noise: float
    extra_lines: float
    age: tuple[float, float]
    countries: Mapping[str, float]
    trait_means: Mapping[str, float]
    categories: tuple[Category, ...]
    currency: str
    channels: Mapping[str, float]
    peaks: tuple[tuple[float, float, float], ...]
    sales: tuple[tuple[int, int], ...]
    acquaintances: float = 0.0
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def season(self) -> NDArray[np.float64]:
        """Return the seasonal log rate of each block: yearly peaks and slow growth; [BLOCKS]."""
        day = _middle_days()
        log_rate = 0.08 * np.arange(BLOCKS) / BLOCKS
        for peak, width, height in self.peaks:
            distance = np.abs(day - peak)
            distance = np.minimum(distance, 365.25 - distance)
            log_rate += height * np.exp(-0.5 * (distance / width) ** 2)
        return log_rate

    def on_sale(self) -> NDArray[np.bool_]:
        """Return which blocks fall into a sale; [BLOCKS]."""
        day = _middle_days()
        inside = np.zeros(BLOCKS, dtype=np.bool_)
        for first, last in self.sales:
            inside |= (day >= first) & (day <= last)
        return inside


def _middle_days() -> NDArray[np.float64]:
    middle = [START + timedelta(days=BLOCK_DAYS * (block + 0.5)) for block in range(BLOCKS)]
    return np.array([moment.timetuple().tm_yday for moment in middle], dtype=np.float64)


FASHION: Final = Brand(
    name="fashion",
    share=0.6,
    order_rate=-2.2,
    visit_rate=-0.75,
    noise=0.25,
    extra_lines=0.9,
    age=(35.0, 12.0),
    countries={"DE": 0.28, "GB": 0.27, "FR": 0.14, "NL": 0.09, "US": 0.12, "IT": 0.06, "CH": 0.04},
    trait_means={"premium": 0.1, "mobile": 0.25, "paid": 0.1},
    categories=(
        Category("women", 0.30, 34.0),
        Category("men", 0.20, 36.0),
        Category("kids", 0.14, 21.0),
        Category("shoes", 0.16, 52.0),
        Category("sport", 0.11, 31.0),
        Category("accessories", 0.09, 18.0),
        Category("premium", 0.0, 84.0),
    ),
    currency="EUR",
    channels={"web": 0.62, "app": 0.26, "store": 0.12},
    peaks=((330, 12, 0.45), (350, 10, 0.25), (95, 25, 0.15), (265, 22, 0.12)),
    sales=((2, 31), (180, 212), (325, 336)),
)
GROCERY: Final = Brand(
    name="grocery",
    share=0.3,
    order_rate=-1.6,
    visit_rate=-0.85,
    noise=0.25,
    extra_lines=1.7,
    age=(46.0, 14.0),
    countries={"GB": 0.62, "DE": 0.18, "NL": 0.12, "FR": 0.05, "US": 0.03},
    trait_means={"premium": -0.15, "family": 0.35, "deal": 0.25, "regular": 0.3},
    categories=(
        Category("fresh", 0.28, 21.0),
        Category("pantry", 0.24, 17.0),
        Category("household", 0.16, 19.0),
        Category("kids", 0.12, 23.0),
        Category("drinks", 0.12, 26.0),
        Category("finefood", 0.0, 44.0),
        Category("wellness", 0.08, 24.0),
    ),
    currency="GBP",
    channels={"web": 0.48, "app": 0.34, "store": 0.18},
    peaks=((350, 12, 0.35), (100, 14, 0.15)),
    sales=((8, 22), (160, 174), (268, 282)),
    acquaintances=0.15,
    absent={"orders": ("coupon",)},
)
TRAVEL: Final = Brand(
    name="travel",
    share=0.1,
    order_rate=-2.4,
    visit_rate=-0.65,
    noise=0.25,
    extra_lines=0.6,
    age=(51.0, 13.0),
    countries={"DE": 0.34, "US": 0.22, "FR": 0.17, "GB": 0.12, "CH": 0.09, "NL": 0.06},
    trait_means={"premium": 0.2, "mobile": -0.35, "mailer": 0.15},
    categories=(
        Category("city", 0.26, 46.0),
        Category("beach", 0.22, 58.0),
        Category("kids", 0.20, 44.0),
        Category("sport", 0.16, 60.0),
        Category("accessories", 0.16, 22.0),
        Category("suite", 0.0, 110.0),
    ),
    currency="EUR",
    channels={"web": 0.74, "app": 0.16, "store": 0.10},
    peaks=((25, 20, 0.45), (140, 25, 0.2), (255, 18, 0.1)),
    sales=((4, 35), (305, 325)),
    acquaintances=0.2,
    absent={"email_engagement": ("opened_at",)},
)
BRANDS: Final = (FASHION, GROCERY, TRAVEL)

PREMIUM_CATEGORY: Final = {"fashion": "premium", "grocery": "finefood", "travel": "suite"}
"""The department that premium taste leads to; chosen by taste, not by weight."""


@dataclass(frozen=True, slots=True)
class Drivers:
    """What makes customers of a brand buy, as factors of the terms in ``trade``.

    ``base`` is added for everyone, ``intent`` weighs intent alike for everyone, ``satiety`` is how
    much a recent order puts off the next one, ``lifetime`` the mean number of blocks until a
    customer leaves.
    """

    propensity: float = 0.5
    steady: float = 1.0
    response: float = 1.0
    rhythm: float = 1.1
    base: float = 0.0
    intent: float = 0.0
    satiety: float = 0.0
    lifetime: float = 70.0


SHARED_DRIVERS: Final = Drivers()
CONTRARY_DRIVERS: Final = Drivers(
    propensity=0.0,
    steady=-0.5,
    response=0.0,
    rhythm=0.0,
    base=4.0,
    intent=-1.0,
    satiety=12.0,
    lifetime=500.0,
)
"""Visitors research and do not buy, whoever has just bought has had enough, few leave."""


def drivers(brand: Brand, setting: Setting) -> Drivers:
    """Return what drives purchases at ``brand``: in ``discord``, travel goes the other way."""
    return CONTRARY_DRIVERS if (setting, brand.name) == ("discord", "travel") else SHARED_DRIVERS


def brand_sizes(customers: int) -> dict[str, int]:
    """Split ``customers`` over the brands by their shares; raises UsageError when too few."""
    if customers < MINIMUM_CUSTOMERS:
        raise UsageError(
            "too few customers to make three brands of",
            value=customers,
            limit=f"at least {MINIMUM_CUSTOMERS}",
            fix="ask for more customers",
        )
    sizes = {brand.name: round(brand.share * customers) for brand in BRANDS[:-1]}
    sizes[BRANDS[-1].name] = customers - sum(sizes.values())
    return sizes


def check_setting(setting: str) -> Setting:
    """Return ``setting`` if it exists; raises UsageError naming those that do."""
    known: tuple[Setting, ...] = get_args(Setting)
    for each in known:
        if setting == each:
            return each
    raise UsageError(
        "unknown setting of the generated brands",
        value=setting,
        limit=", ".join(known),
        fix="choose one of them",
    )
