"""Join the meal-delivery files to one table of weekly demand, with features from past weeks only.

    python examples/meal_delivery/prepare.py FOLDER --out meals.parquet

Weeks up to 117 train and go to that file, later ones beside it (`meals_test.parquet`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from fed_audience.errors import DataError, FedAudienceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_TRAINING_WEEK: Final = 117
FILES: Final = {
    "demand": "meal_delivery_demand.csv.gz",
    "centres": "meal_delivery_fulfilment_center_info.csv.gz",
    "meals": "meal_delivery_meal_info.csv.gz",
}

TABLE: Final = """
select
    'region_' || region_code as region,
    week,
    num_orders,
    'centre_' || center_id as centre,
    'meal_' || meal_id as meal,
    'city_' || city_code as city,
    center_type,
    op_area,
    category,
    cuisine,
    (week - 1) % 52 as week_of_year,
    checkout_price,
    base_price,
    1 - checkout_price / nullif(base_price, 0) as discount,
    emailer_for_promotion as in_newsletter,
    homepage_featured as on_homepage,
    lag(num_orders) over here as orders_last,
    week - lag(week) over here as weeks_since_last,
    avg(num_orders) over (here rows between 4 preceding and 1 preceding) as orders_last_4,
    avg(num_orders) over (here rows between 12 preceding and 1 preceding) as orders_last_12,
    checkout_price / nullif(lag(checkout_price) over here, 0) as price_change,
    avg(num_orders) over (at_centre range between 4 preceding and 1 preceding) as centre_4_weeks,
    avg(num_orders) over (of_meal range between 4 preceding and 1 preceding) as meal_4_weeks
from demand
join centres using (center_id)
join meals using (meal_id)
window
    here as (partition by center_id, meal_id order by week),
    at_centre as (partition by center_id order by week),
    of_meal as (partition by region_code, meal_id order by week)
order by week, center_id, meal_id
"""
"""One row a week, centre and meal; averages over a meal stay within its region, as brands would."""


def prepare(folder: Path, out: Path) -> tuple[int, int]:
    """Write training rows to ``out`` and test rows beside it; return how many of each.

    Raises DataError when a file of ``folder`` is missing, UsageError unless ``out`` is Parquet.
    """
    if out.suffix != ".parquet":
        raise UsageError("--out is not Parquet", value=out.name, fix="name a .parquet file")
    if missing := [name for name in FILES.values() if not (folder / name).is_file()]:
        raise DataError(
            "the meal-delivery files are not all there",
            value=", ".join(missing),
            looked=str(folder),
            fix="give the folder that holds them",
        )
    with duckdb.connect() as database:
        for name, file in FILES.items():
            database.execute(f"create view {name} as from read_csv('{folder / file}')")
        database.execute(f"create table rows as {TABLE}")
        counts = []
        for path, weeks in ((out, "<="), (test_file(out), ">")):
            chosen = f"from rows where week {weeks} {LAST_TRAINING_WEEK}"
            database.execute(f"copy ({chosen}) to '{path}' (format parquet)")
            found = database.execute(f"select count(*) {chosen}").fetchone()
            counts.append(int(found[0]) if found else 0)
    return counts[0], counts[1]


def test_file(out: Path) -> Path:
    """Return where the test rows go."""
    return out.with_name(f"{out.stem}_test{out.suffix}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when both files are written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a .parquet file")
    chosen = parser.parse_args(arguments)
    try:
        training, test = prepare(chosen.folder, chosen.out)
    except (FedAudienceError, OSError, duckdb.Error) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{chosen.out}: {training:,} rows to train with")
    print(f"{test_file(chosen.out)}: {test:,} rows to test on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
