"""Generate the customers of five brands that differ in every way brands differ.

    python examples/shifted_brands/generate.py --out shifted_brands.parquet

Training rows go to that file, test rows beside it (`shifted_brands_test.parquet`).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fed_audience.errors import FedAudienceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BRANDS: Final = ("atlas", "birch", "coral", "delta", "ember")
ROWS: Final = (60_000, 30_000, 12_000, 5_000, 2_000)
TEST_ROWS: Final = 20_000

CONCEPT_SHIFT: Final = 0.5
"""Spread of a brand's own weights, where the shared weights have a spread of 1."""

FEATURE_SHIFT: Final = 0.5
"""Spread of a brand's means, in standard deviations of a feature."""

LABEL_SHIFT: Final = 0.7
"""Spread of a brand's own intercept, in log odds."""

SIGNAL: Final = 0.65
"""Log odds of one standard deviation of a feature with weight 1."""

NUMBERS: Final = (
    *("recency_days", "orders", "spend", "visits", "opens", "clicks", "tenure_days"),
    *("discount_share", "return_share", "basket_items", "categories", "age"),
)
COUNTED: Final = frozenset({"orders", "visits", "opens", "clicks", "basket_items", "categories"})
SKEWED: Final = frozenset({"recency_days", "spend", "tenure_days"})
CATEGORIES: Final = {
    "channel": ("email", "paid", "organic", "social", "affiliate"),
    "device": ("phone", "desktop", "tablet"),
    "region": tuple(f"region_{number:02}" for number in range(1, 13)),
}
PAIRS: Final = 6
"""Pairs of features that act together."""

STEP: Final = 0.5
"""Where, in standard deviations, a feature's effect jumps."""

UNKNOWN_DISCOUNTS: Final = 0.1
"""Share of customers whose `discount_share` is missing."""


@dataclass(frozen=True, slots=True)
class Taste:
    """What makes people buy: the same shape for all brands and for what one brand adds."""

    linear: Floats
    steps: Floats
    pairs: Floats
    categories: tuple[Floats, ...]

    @classmethod
    def drawn(cls, random: np.random.Generator) -> Taste:
        """Draw weights of spread 1."""
        size = len(NUMBERS)
        return cls(
            random.normal(0.0, 1.0, size),
            random.normal(0.0, 1.0, size),
            random.normal(0.0, 1.0, PAIRS),
            tuple(random.normal(0.0, 0.6, len(values)) for values in CATEGORIES.values()),
        )

    def score(
        self, numbers: Floats, categories: Sequence[NDArray[np.intp]], pairs: NDArray[np.intp]
    ) -> Floats:
        """Weighted sum for each row of ``numbers`` (float64[n, features])."""
        total = np.tanh(numbers) @ self.linear + (numbers > STEP) @ self.steps
        total += (np.tanh(numbers[:, pairs[:, 0]]) * np.tanh(numbers[:, pairs[:, 1]])) @ self.pairs
        for chosen, weights in zip(categories, self.categories, strict=True):
            total += weights[chosen]
        return SIGNAL * total


def generate(
    seed: int, rows: Sequence[int] = ROWS, test_rows: int = TEST_ROWS
) -> tuple[pa.Table, pa.Table]:
    """Return training rows (``rows[i]`` of brand i) and ``test_rows`` of each brand.

    The same seed gives the same tables. Means and spreads of the features (feature shift), the
    rate of buyers (label shift) and the weights behind it (concept shift) differ by brand.
    """
    random = np.random.default_rng(seed)
    shared = Taste.drawn(random)
    pairs = np.array([random.choice(len(NUMBERS), 2, replace=False) for _ in range(PAIRS)])
    training, test = [], []
    for brand, count in zip(BRANDS, rows, strict=True):
        table = _brand(random, shared, pairs, brand, count + test_rows)
        training.append(table.slice(0, count))
        test.append(table.slice(count))
    return pa.concat_tables(training), pa.concat_tables(test)


def _brand(
    random: np.random.Generator, shared: Taste, pairs: NDArray[np.intp], brand: str, rows: int
) -> pa.Table:
    size = len(NUMBERS)
    own = Taste.drawn(random)
    means = random.normal(0.0, FEATURE_SHIFT, size)
    spreads = random.uniform(0.7, 1.3, size)
    numbers = means + spreads * random.normal(0.0, 1.0, (rows, size))
    categories = []
    for values in CATEGORIES.values():
        shares = random.dirichlet(np.full(len(values), 2.0))
        categories.append(random.choice(len(values), rows, p=shares))
    raw = shared.score(numbers, categories, pairs)
    raw += CONCEPT_SHIFT * own.score(numbers, categories, pairs)
    # The brand's rate of buyers is its own, whatever its features add up to.
    raw += random.normal(-1.2, LABEL_SHIFT) - raw.mean()
    bought = random.random(rows) < 1.0 / (1.0 + np.exp(-raw))
    columns: dict[str, Any] = {"brand": np.full(rows, brand)}
    for at, name in enumerate(NUMBERS):
        columns[name] = _as_measured(name, numbers[:, at])
    unknown = random.random(rows) < UNKNOWN_DISCOUNTS
    columns["discount_share"] = pa.array(columns["discount_share"], mask=unknown)
    for (name, values), chosen in zip(CATEGORIES.items(), categories, strict=True):
        columns[name] = np.array(values)[chosen]
    columns["bought"] = bought.astype(np.int8)
    return pa.table(columns)


def _as_measured(name: str, latent: Floats) -> Floats:
    """Turn a standard normal feature into counts, days or money; order is kept."""
    if name in COUNTED:
        return np.floor(np.exp(1.2 + 0.8 * latent))
    if name in SKEWED:
        return np.round(np.exp(4.0 + latent), 2)
    if name.endswith("_share"):
        return np.round(1.0 / (1.0 + np.exp(-latent)), 4)
    return np.round(np.clip(42.0 + 13.0 * latent, 18.0, 95.0))


def test_file(out: Path) -> Path:
    """Return where the test rows go."""
    return out.with_name(f"{out.stem}_test{out.suffix}")


def write(table: pa.Table, path: Path) -> None:
    """Write CSV or Parquet by the ending; raise UsageError for another one."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        raise UsageError(
            "--out is neither CSV nor Parquet",
            value=path.name,
            limit=".csv or .parquet",
            fix="name a file with one of these endings",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when both files are written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="a .csv or .parquet file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, nargs=len(BRANDS), default=ROWS)
    parser.add_argument("--test-rows", type=int, default=TEST_ROWS, help="of each brand")
    chosen = parser.parse_args(arguments)
    try:
        for table, path in zip(
            generate(chosen.seed, chosen.rows, chosen.test_rows),
            (chosen.out, test_file(chosen.out)),
            strict=True,
        ):
            write(table, path)
            print(f"{path}: {table.num_rows:,} rows")
    except (FedAudienceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
