"""The meal-delivery example: weekly demand from three files, with no look into the future."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fed_audience.errors import DataError, UsageError
from fed_audience.simulate.run import simulate
from fed_audience.simulate.settings import SimulationSettings
from tests.examples.conftest import script


@pytest.fixture(scope="session")
def preparing(repository: Path) -> ModuleType:
    return script(repository / "examples" / "meal_delivery" / "prepare.py")


@pytest.fixture
def files(preparing: ModuleType, tmp_path: Path) -> Path:
    """Two centres of one region and one of another; one meal, orders equal to the week."""
    texts = {
        "demand": "id,week,center_id,meal_id,checkout_price,base_price,emailer_for_promotion,"
        "homepage_featured,num_orders\n"
        + "".join(
            f"{week * 10 + centre},{week},{centre},1,{90 if week % 2 else 100},100,0,1,"
            f"{week * centre}\n"
            for week in range(110, 122)
            for centre in (1, 2, 3)
        ),
        "centres": "center_id,city_code,region_code,center_type,op_area\n"
        "1,5,56,TYPE_A,2.0\n2,5,56,TYPE_B,3.0\n3,6,34,TYPE_A,4.0\n",
        "meals": "meal_id,category,cuisine\n1,Pizza,Italian\n",
    }
    for name, text in texts.items():
        with gzip.open(tmp_path / preparing.FILES[name], "wt") as file:
            file.write(text)
    return tmp_path


def test_features_of_a_week_come_from_the_weeks_before(preparing: ModuleType, files: Path) -> None:
    out = files / "meals.parquet"
    assert preparing.prepare(files, out) == (8 * 3, 4 * 3)
    rows = pq.read_table(out)
    assert pc.max(rows["week"]).as_py() == 117
    assert pc.min(pq.read_table(preparing.test_file(out))["week"]).as_py() == 118
    listed = rows.to_pylist()
    first = [row for row in listed if row["week"] == 110]
    assert len(first) == 3
    assert all(row["orders_last"] is None and row["meal_4_weeks"] is None for row in first)
    (row,) = (one for one in listed if (one["week"], one["centre"]) == (115, "centre_2"))
    assert row["region"] == "region_56"
    assert row["orders_last"] == 114 * 2
    assert row["weeks_since_last"] == 1
    assert row["orders_last_4"] == np.mean([week * 2 for week in range(111, 115)])
    assert row["centre_4_weeks"] == row["orders_last_4"]
    here = [week * centre for week in range(111, 115) for centre in (1, 2)]
    assert row["meal_4_weeks"] == np.mean(here), "of its region alone"
    assert row["discount"] == pytest.approx(0.1)
    assert row["price_change"] == pytest.approx(0.9)


def test_a_missing_file_is_named_and_nothing_is_written(
    preparing: ModuleType, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = files / "meals.parquet"
    (files / preparing.FILES["meals"]).unlink()
    with pytest.raises(DataError, match="meal_info"):
        preparing.prepare(files, out)
    with pytest.raises(UsageError, match="not Parquet"):
        preparing.prepare(files, files / "meals.csv")
    assert preparing.main([str(files), "--out", str(out)]) == 2
    assert "meal_info" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_federated_demand_is_as_good_as_lightgbm(
    preparing: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    if not (shared_data / preparing.FILES["demand"]).is_file():
        pytest.skip(f"the meal-delivery files are not in {shared_data}")
    out = tmp_path / "meals.parquet"
    assert preparing.prepare(shared_data, out) == (36_555, 9_100)
    outcome = simulate(
        SimulationSettings(
            out,
            "num_orders",
            test=preparing.test_file(out),
            task="demand",
            site_column="region",
            drop=("week",),
            options=(("min_data_in_leaf", 100),),
            threads=1,
        )
    )
    assert outcome.model_sha256.federated == outcome.model_sha256.pooled
    assert len(outcome.sites) == 8
    assert outcome.rmse is not None
    assert outcome.rmse.federated is not None
    assert outcome.rmse.pooled_lightgbm is not None
    assert outcome.rmse.federated < 1.01 * outcome.rmse.pooled_lightgbm
