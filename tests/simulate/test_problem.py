"""Features, label and oddities found in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fed_audience.errors import DataError
from fed_audience.gbdt.bins import Feature
from fed_audience.simulate.problem import read_problem
from tests.simulate.conftest import customers

if TYPE_CHECKING:
    from tests.simulate.conftest import MakeSettings


def test_every_column_that_is_not_set_aside_is_a_feature(settings: MakeSettings) -> None:
    problem = read_problem(settings(site_column="brand", drop=("visits",)))
    assert problem.features == (Feature("spend"), Feature("channel", categorical=True))
    assert problem.columns.column_names == ["spend", "channel"]
    assert problem.site_values is not None
    assert problem.site_values.to_pylist() == customers()["brand"].tolist()
    assert problem.positive == "yes"


def test_names_that_a_model_cannot_carry_are_made_plain(settings: MakeSettings) -> None:
    table = customers()
    for name in ("spend in €", "spend_in_€", "a=b", "label", "row"):
        table[name] = table["visits"] * 2.5
    problem = read_problem(settings(table))
    assert problem.names["spend_in_€"] == "spend in €"
    assert problem.names["spend_in_€_2"] == "spend_in_€"
    assert problem.names["a_b"] == "a=b"
    assert {problem.names["label_2"], problem.names["row_2"]} == {"label", "row"}


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        ("--label", {"label": "bougth"}),
        ("--site-column", {"site_column": "Brand"}),
        ("--drop", {"drop": ("vists",)}),
        ("--group", {"group": "chanel"}),
    ],
)
def test_a_missing_column_names_the_nearest(
    settings: MakeSettings, option: str, changes: dict[str, str]
) -> None:
    nearest = {"--label": "bought", "--site-column": "brand", "--drop": "visits"}
    with pytest.raises(
        DataError, match=f"did you mean '{nearest.get(option, 'channel')}'"
    ) as error:
        read_problem(settings(**changes))
    assert option in str(error.value)


def test_identifiers_are_left_out_or_warned_about(settings: MakeSettings) -> None:
    table = customers()
    table["email"] = [f"{i}@example.org" for i in range(1_200)]
    table["customer_number"] = np.arange(1_200) + 7
    problem = read_problem(settings(table))
    assert "email" not in problem.names
    assert "customer_number" in problem.names
    assert any("'email' looks like an identifier" in text for text in problem.warnings)
    assert any("--drop customer_number" in text for text in problem.warnings)


def test_infinite_values_are_counted_and_said(settings: MakeSettings) -> None:
    table = customers()
    table["spend"][:3] = [np.inf, -np.inf, np.inf]
    problem = read_problem(settings(table))
    assert problem.warnings == ("column 'spend': 3 infinite values clipped to +-2^64",)


def test_rows_without_a_label_and_empty_columns_are_left_out(settings: MakeSettings) -> None:
    table = customers()
    table["bought"] = np.where(np.arange(1_200) < 10, "", table["bought"])
    table["nothing"] = [""] * 1_200
    problem = read_problem(settings(table))
    assert problem.rows == problem.columns.num_rows == 1_190
    assert "10 rows without a label are left out" in problem.notes
    assert "column 'nothing' is empty: left out" in problem.notes
    assert "nothing" not in problem.names


def test_a_table_without_features_is_refused(settings: MakeSettings) -> None:
    with pytest.raises(DataError, match="no column is left"):
        read_problem(settings(drop=("spend", "visits", "channel", "brand")))
