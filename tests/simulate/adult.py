"""The Adult census data as three brands that differ as much as brands can."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation"),
    *("relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week"),
    *("native_country", "income"),
)
BLANK_AT_WOMEN = ("capital_gain", "occupation", "native_country")


def brand(row: dict[str, str]) -> str:
    """Cut by sex and age: no brand has an age group and a sex of another."""
    if row["sex"] == "Female":
        return "women"
    return "young_men" if int(row["age"]) < 40 else "older_men"


def write_brands(data: Path, target: Path) -> Path:
    """Write one CSV with a brand column; one brand lacks three features, the first the best."""
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [c for c in COLUMNS if c != "fnlwgt"] + ["brand"])
        writer.writeheader()
        for part in ("train", "test"):
            with gzip.open(data / f"adult_{part}.csv.gz", "rt", encoding="utf-8") as lines:
                for values in csv.reader(lines):
                    if len(values) != len(COLUMNS):
                        continue
                    row = dict(zip(COLUMNS, (value.strip() for value in values), strict=True))
                    del row["fnlwgt"]  # a sampling weight, no feature
                    row["brand"] = brand(row)
                    if row["brand"] == "women":
                        row |= dict.fromkeys(BLANK_AT_WOMEN, "")
                    writer.writerow(row)
    return target
