"""Five generated brands: the same every time, different from each other, ready for `simulate`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fed_audience.simulate.run import simulate
from fed_audience.simulate.settings import SimulationSettings
from tests.examples.conftest import script

ROWS = (1_200, 600, 300, 200, 100)


@pytest.fixture(scope="session")
def generating(repository: Path) -> ModuleType:
    return script(repository / "examples" / "shifted_brands" / "generate.py")


def test_a_seed_gives_the_same_brands_again(generating: ModuleType) -> None:
    one, test = generating.generate(3, ROWS, 400)
    again, test_again = generating.generate(3, ROWS, 400)
    other, _ = generating.generate(4, ROWS, 400)
    assert one.equals(again)
    assert test.equals(test_again)
    assert not one.equals(other)
    counts = {entry["values"]: entry["counts"] for entry in one["brand"].value_counts().to_pylist()}
    assert tuple(counts[name] for name in generating.BRANDS) == ROWS
    assert test.num_rows == 5 * 400


def test_brands_differ_in_customers_in_buyers_and_in_reasons(generating: ModuleType) -> None:
    tables: Any = generating.generate(0, (4_000,) * 5, 1)[0]
    means, rates, reasons = [], [], []
    for at in range(5):
        brand = tables.slice(at * 4_000, 4_000)
        opens, bought = np.log1p(brand["opens"].to_numpy()), brand["bought"].to_numpy()
        means.append(opens.mean() / opens.std())
        rates.append(bought.mean())
        reasons.append(
            [
                np.corrcoef(np.log1p(brand[name].to_numpy()), bought)[0, 1]
                for name in ("recency_days", "orders", "visits", "opens", "clicks")
            ]
        )
    assert np.ptp(means) > 0.3
    assert np.ptp(rates) > 0.1
    assert np.ptp(reasons, axis=0).max() > 0.2


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_the_files_are_what_simulate_reads(
    generating: ModuleType, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"brands{ending}"
    sizes = [str(rows) for rows in ROWS]
    assert generating.main(["--out", str(out), "--test-rows", "400", "--rows", *sizes]) == 0
    outcome = simulate(
        SimulationSettings(
            out,
            "bought",
            test=generating.test_file(out),
            site_column="brand",
            trees=3,
            threads=1,
        )
    )
    assert outcome.sites == generating.BRANDS
    assert tuple(site.rows for site in outcome.per_site) == ROWS
    assert outcome.rows_test == 2_000
    assert outcome.features == 15
    assert not any("brand" in note or "column" in note for note in outcome.warnings)


def test_another_ending_is_refused_before_anything_is_written(
    generating: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--test-rows", "10", "--rows", *["20"] * 5]
    assert generating.main(["--out", str(tmp_path / "brands.xlsx"), *small]) == 2
    assert ".csv or .parquet" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_comparison_prints_a_line_a_brand(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comparing = script(repository / "examples" / "shifted_brands" / "compare.py")
    sizes = [str(rows) for rows in ROWS]
    assert comparing.main(["--seeds", "1", "--test-rows", "300", "--rows", *sizes]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["atlas", "birch", "coral", "delta", "ember"]
    assert all("mean" in line and "worst" in line for line in lines)


@pytest.mark.slow
def test_no_brand_loses_by_trees_of_its_own(repository: Path, generating: ModuleType) -> None:
    comparing = script(repository / "examples" / "shifted_brands" / "compare.py")
    gained = comparing.advantages(0, generating.ROWS, generating.TEST_ROWS, 1)
    for name, rows in zip(generating.BRANDS, generating.ROWS, strict=True):
        assert gained[name] > (-0.002 if rows >= 5_000 else -0.005)
    assert gained["ember"] > 0.01
