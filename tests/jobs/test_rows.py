"""A site's rows: who may be trained on, what counts as a feature, who is kept aside."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fed_audience.errors import DataError
from fed_audience.federation.site import spooled_table
from fed_audience.gbdt.bins import Feature
from fed_audience.jobs.rows import (
    Selection,
    SiteRows,
    read_consented_rows,
    require_column,
    require_features,
)
from fed_audience.warehouse.protocol import Relation
from tests.jobs.small_federation import NOW, SmallFederation

TRAINING = Relation("main", "fed_training_repurchase")


def rows(**columns: list[object]) -> SiteRows:
    return SiteRows("ant", pa.table(columns), 0)


def test_only_columns_called_so_are_features_and_text_is_a_category() -> None:
    found = rows(customer_id=["a"], f_x=[1.5], f_kind=["web"], label=[1], ff_y=[2.0])
    assert found.features() == {
        "f_x": Feature("f_x"),
        "f_kind": Feature("f_kind", categorical=True),
    }
    assert list(found.features(["f_x"])) == ["f_kind"]


def test_fill_rates_count_what_is_there() -> None:
    assert rows(f_x=[1.0, None, 3.0, 4.0], f_y=[None] * 4).fill_rates == {"f_x": 0.75, "f_y": 0.0}
    assert SiteRows("ant", pa.table({"f_x": pa.array([], pa.float64())}), 0).fill_rates == {
        "f_x": 1.0
    }


def test_a_person_is_kept_aside_by_hash_whoever_else_is_there() -> None:
    everyone = rows(customer_id=[f"c{n}" for n in range(1_000)])
    training, held_out = everyone.split("customer_id", 0.2, seed=3)
    assert training.num_rows + held_out.num_rows == 1_000
    assert 150 < held_out.num_rows < 250
    few = SiteRows("ant", everyone.table.slice(0, 100), 0)
    again = few.split("customer_id", 0.2, seed=3)[1]["customer_id"].to_pylist()
    assert again == [
        name for name in map(str, held_out["customer_id"].to_pylist()) if int(name[1:]) < 100
    ]
    assert everyone.split("customer_id", 0.2, seed=4)[1] != held_out
    assert everyone.split("customer_id", 0.0, seed=3)[1].num_rows == 0


@pytest.mark.parametrize("most_in_memory", [spooled_table.MOST_IN_MEMORY, -1])
def test_rows_without_both_consents_stay_at_home(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch, most_in_memory: int
) -> None:
    monkeypatch.setattr(spooled_table, "MOST_IN_MEMORY", most_in_memory)
    small_federation.execute(
        "ant",
        "delete from int_consent_ledger where purpose = 'share_model' and subject_id = 'ant000'",
    )
    site = small_federation.site("ant")
    with site.open() as warehouse:
        found = read_consented_rows(
            site, warehouse, TRAINING, entity="customer_id", label="label", as_of=NOW
        )
        one = read_consented_rows(
            site,
            warehouse,
            TRAINING,
            entity="customer_id",
            as_of=NOW,
            selection=Selection(where="customer_id = ?", parameters=["ant001"]),
        )
        nobody = read_consented_rows(
            site,
            warehouse,
            TRAINING,
            entity="customer_id",
            as_of=NOW,
            selection=Selection(where="false"),
        )
    assert (found.site, found.withdrawn, found.table.num_rows) == ("ant", 6, 294)
    assert "ant000" not in found.table["customer_id"].to_pylist()
    assert one.table["customer_id"].to_pylist() == ["ant001"]
    assert nobody.table.column_names == found.table.column_names
    assert (nobody.table.num_rows, nobody.withdrawn) == (0, 0)


def test_a_missing_column_names_the_nearest_or_none() -> None:
    table = pa.table({"customer": [1], "f_x": [1.0]})
    require_column("ant", TRAINING, table, "customer")
    with pytest.raises(
        DataError, match=r"ant: the table has no column customer_id; looked in: \"main"
    ):
        require_column("ant", TRAINING, table, "customer_id")
    with pytest.raises(DataError, match="add it to the brand's dbt model"):
        require_column("ant", TRAINING, table, "zzz")


def test_a_missing_feature_names_the_brand_that_lacks_it() -> None:
    both = {"ant": rows(f_x=[1.0], f_y=[1.0]), "bee": rows(f_y=[None])}
    require_features(both, [Feature("f_y")])
    with pytest.raises(DataError, match=r"bee lacks features .*; value: f_x; looked"):
        require_features(both, [Feature("f_x"), Feature("f_y")])
