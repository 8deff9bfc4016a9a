"""Generates the three brands as Parquet files. All generated; no person is real."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from fed_audience.demo.browsing import event_table, session_table, visits_of
from fed_audience.demo.consents import consent_histories
from fed_audience.demo.customers import (
    customers_of,
    customers_table,
    identities_of,
    identity_table,
)
from fed_audience.demo.draws import stream
from fed_audience.demo.ledger import ledger_table
from fed_audience.demo.mail import mail_table
from fed_audience.demo.people import People, people_of_brands
from fed_audience.demo.settings import (
    AS_OF,
    BRANDS,
    Brand,
    Setting,
    brand_sizes,
    check_setting,
    drivers,
)
from fed_audience.demo.shopping import lines_of, order_tables, orders_of
from fed_audience.demo.trade import simulate
from fed_audience.demo.truth import truth_table
from fed_audience.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class BrandData:
    """Where one brand's generated tables are; ``rows`` counts them by table."""

    name: str
    raw: Path
    truth: Path
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DemoData:
    """Everything that was generated, and the instant at which it ends."""

    folder: Path
    seed: int
    setting: Setting
    as_of: datetime
    brands: tuple[BrandData, ...]

    @property
    def customers(self) -> int:
        """Customers of all brands; who shops at two counts twice."""
        return sum(brand.rows["customers"] for brand in self.brands)

    @property
    def events(self) -> int:
        """Rows of all raw ``events`` tables."""
        return sum(brand.rows["events"] for brand in self.brands)


def generate(
    folder: Path,
    *,
    seed: int = 7,
    customers: int = 60_000,
    setting: str = "kindred",
    on_brand: Callable[[BrandData], None] | None = None,
) -> DemoData:
    """Write `<folder>/<brand>/raw/*.parquet` and `<folder>/truth/<brand>.parquet`.

    The same ``seed``, ``customers`` (of all brands together, at least 200) and ``setting``
    (``kindred`` or ``discord``) give the same values. A brand's files appear all at once or not
    at all; earlier ones are replaced. ``on_brand`` is called after each brand. Raises UsageError
    for an argument out of range and ResourceError when the folder cannot be written.
    """
    chosen = check_setting(setting)
    brand_sizes(customers)
    everyone = people_of_brands(customers, seed)
    written = []
    for brand in BRANDS:
        tables, truth = _tables(brand, everyone[brand.name], seed, chosen)
        data = _write(folder, brand, tables, truth)
        written.append(data)
        if on_brand is not None:
            on_brand(data)
    return DemoData(folder, seed, chosen, AS_OF, tuple(written))


def _tables(
    brand: Brand, people: People, seed: int, setting: Setting
) -> tuple[dict[str, pa.Table], pa.Table]:
    """Return one brand's raw tables by name, and its truth."""

    def part(name: str) -> np.random.Generator:
        return stream(seed, brand.name, name)

    customers = customers_of(brand, people, part("customers"))
    identities = identities_of(customers, part("identities"))
    ledger, allowed = consent_histories(customers, identities, part("consents"))
    trade = simulate(
        brand,
        people.traits,
        customers.created,
        drivers=drivers(brand, setting),
        rng=part("trade"),
    )
    orders = orders_of(brand, customers, trade, part("orders"))
    lines = lines_of(brand, customers, orders, part("lines"))
    visits = visits_of(customers, identities, trade, orders, part("visits"))
    tables = {
        "customers": customers_table(customers, part("contacts")),
        "identity_map": identity_table(identities, customers, part("links")),
        **order_tables(brand, customers, orders, lines, part("money")),
        "events": event_table(brand, customers, identities, trade, visits, part("events")),
        "web_sessions": session_table(brand, customers, identities, visits, part("sessions")),
        "email_engagement": mail_table(brand, customers, trade, allowed, part("mail")),
        "consent_events": ledger_table(brand, customers, ledger, part("ledger")),
    }
    for name, columns in brand.absent.items():
        tables[name] = tables[name].drop_columns(list(columns))
    return tables, truth_table(customers, trade)


def _write(
    folder: Path, brand: Brand, tables: Mapping[str, pa.Table], truth: pa.Table
) -> BrandData:
    raw = folder / brand.name / "raw"
    unfinished = raw.with_name("raw.unfinished")
    truth_path = folder / "truth" / f"{brand.name}.parquet"
    unfinished_truth = truth_path.with_suffix(".unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        truth_path.parent.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            pq.write_table(rows, unfinished / f"{name}.parquet", compression="zstd")
        pq.write_table(truth, unfinished_truth)
        shutil.rmtree(raw, ignore_errors=True)
        unfinished.rename(raw)
        unfinished_truth.rename(truth_path)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ResourceError(
            "the generated brands cannot be written",
            value=error.strerror,
            looked=str(folder),
            fix="choose a folder that you may write to, with about 200 MB free",
        ) from error
    return BrandData(
        brand.name, raw, truth_path, {name: rows.num_rows for name, rows in tables.items()}
    )
