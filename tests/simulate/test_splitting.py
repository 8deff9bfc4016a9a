"""Who holds which row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from fed_audience.errors import DataError
from fed_audience.simulate.problem import read_problem
from fed_audience.simulate.splitting import NO_SITE, Deal, deal
from tests.simulate.conftest import customers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulate.conftest import MakeSettings


def dealt(make: MakeSettings, table: dict[str, Any] | None = None, **changes: Any) -> Deal:
    chosen = make(table, **changes)
    return deal(read_problem(chosen), chosen)


def test_test_rows_do_not_depend_on_the_sites(settings: MakeSettings) -> None:
    one, three, skewed = (
        dealt(settings, sites=1),
        dealt(settings, sites=3, split="time"),
        dealt(settings, sites=5, split="dirichlet:0.3"),
    )
    assert (one.test == three.test).all()
    assert (one.test == skewed.test).all()
    assert one.test.mean() == pytest.approx(0.25, abs=0.04)
    assert (dealt(settings, seed=1).test != one.test).any()


def test_every_row_is_at_one_site_and_on_one_side(settings: MakeSettings) -> None:
    found = dealt(settings, sites=4)
    rows = [found.training_rows(s) for s in range(4)] + [found.test_rows(s) for s in range(4)]
    assert sorted(np.concatenate(rows)) == list(range(1_200))
    assert np.bincount(found.site).min() > 200


def test_time_cuts_blocks_of_file_order(settings: MakeSettings) -> None:
    found = dealt(settings, sites=4, split="time")
    assert found.site.tolist() == sorted(found.site.tolist())
    assert np.bincount(found.site).tolist() == [300] * 4


def test_dirichlet_skews_labels_more_the_smaller_its_alpha(settings: MakeSettings) -> None:
    table = customers()
    label = (table["bought"] == "yes").astype(float)

    def spread(alpha: str) -> float:
        shares = []
        for seed in range(5):
            found = dealt(settings, sites=3, split=f"dirichlet:{alpha}", seed=seed)
            held = [np.sum(found.site[label == c] == s) for c in (0, 1) for s in range(3)]
            shares.append(np.std(held))
        return float(np.mean(shares))

    assert spread("0.3") > 2 * spread("1000")


def test_a_site_column_names_the_sites(settings: MakeSettings) -> None:
    table = customers()
    table["brand"] = np.where(np.arange(1_200) < 5, "", table["brand"])
    found = dealt(settings, table, site_column="brand")
    assert found.sites == (NO_SITE, "fashion", "grocery", "travel")
    assert (found.site[:5] == 0).all()


def test_numbered_sites_are_ordered_by_number(settings: MakeSettings) -> None:
    table = customers()
    table["region"] = np.arange(1_200) % 12
    assert dealt(settings, table, site_column="region").sites == tuple(map(str, range(12)))


def test_too_many_sites_are_refused(settings: MakeSettings) -> None:
    table = customers()
    table["store"] = np.arange(1_200)
    with pytest.raises(DataError, match="names too many sites; value: 1200; allowed: 500"):
        dealt(settings, table, site_column="store")


def test_a_person_stays_on_one_side_and_at_one_site(settings: MakeSettings) -> None:
    table = customers()
    table["person"] = [f"p{i % 150}" if i % 7 else "" for i in range(1_200)]
    found = dealt(settings, table, group="person", sites=3)
    groups: dict[str, set[tuple[bool, int]]] = {}
    for person, test, site in zip(table["person"], found.test, found.site, strict=True):
        groups.setdefault(person, set()).add((bool(test), int(site)))
    nobody = groups.pop("")
    assert len(nobody) == 6, "rows without a person are dealt one by one"
    assert all(len(places) == 1 for places in groups.values())
    assert found.test.mean() == pytest.approx(0.25, abs=0.1)


def test_a_test_file_brings_the_test_rows(settings: MakeSettings, tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    pyarrow.csv.write_csv(pa.table(customers(400, seed=9)), path)
    found = dealt(settings, test=path, sites=2, split="time")
    assert found.test.tolist() == [False] * 1_200 + [True] * 400
    assert found.site.tolist() == [0] * 600 + [1] * 600 + [0] * 200 + [1] * 200


def test_rows_of_one_class_are_refused(settings: MakeSettings, tmp_path: Path) -> None:
    table = customers(400, seed=9)
    table["bought"] = ["yes"] * 400
    path = tmp_path / "test.csv"
    pyarrow.csv.write_csv(pa.table(table), path)
    with pytest.raises(DataError, match="the test rows are of one class only; value: 400 rows"):
        dealt(settings, test=path)
