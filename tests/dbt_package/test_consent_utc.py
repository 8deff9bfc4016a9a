"""Consent compares instants in UTC: the package's unit test of it fails when an offset is dropped.

It is run here on the rendered macro, without dbt, under each mutation; dbt itself runs it with
every build of the package.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import duckdb
import jinja2
import pytest
import yaml

from fed_audience.warehouse.dbt import package_path

_MACROS = (package_path() / "macros/staging/staged.sql").read_text(encoding="utf-8")
MACRO = _MACROS[_MACROS.index("{% macro duckdb__in_utc") :].partition("{%- endmacro %}")[0]
(UNIT_TEST,) = yaml.safe_load(
    (package_path() / "models/staging/_staging_unit_tests.yml").read_text(encoding="utf-8")
)["unit_tests"]
INSTANTS = ("effective_at", "recorded_at", "expires_at")
MUTATIONS = {
    "an offset is dropped": ("when regexp_matches(", "when false and regexp_matches("),
    "only Z is an offset": ("(Z|[+-][0-9]{2}(:?[0-9]{2})?)$", "(Z)$"),
    "an offset of whole hours is dropped": ("[0-9]{2}(:?[0-9]{2})?)$", "[0-9]{2}:?[0-9]{2})$"),
    "an offset without a colon is dropped": ("[0-9]{2}(:?[0-9]{2})?)$", "[0-9]{2}(:[0-9]{2})?)$"),
    "an offset after a space is dropped": ("([.][0-9]+)? *(Z", "([.][0-9]+)?(Z"),
}


def holds(macro: str) -> bool:
    """Whether the unit test holds under this macro."""
    environment = jinja2.Environment(autoescape=jinja2.select_autoescape(default_for_string=False))
    module: Any = environment.from_string(macro + "{% endmacro %}").make_module()
    types = UNIT_TEST["overrides"]["macros"]["fed_audience.raw_columns"]
    columns = ", ".join(
        module.duckdb__in_utc(one["name"], one["data_type"]) if name in INSTANTS else one["name"]
        for name, one in types.items()
    )
    expected = csv.DictReader(io.StringIO(UNIT_TEST["expect"]["rows"]))
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select columns(*)::varchar from (select {columns} from"
            f" ({UNIT_TEST['given'][0]['rows']}) as given)"
        ).fetchall()
    wanted = [tuple(row[name] or None for name in types) for row in expected]
    return sorted(map(repr, found)) == sorted(map(repr, wanted))


def test_the_rule_holds_as_it_is() -> None:
    assert holds(MACRO)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_bent_rule_fails_the_unit_test(mutation: str) -> None:
    before, after = MUTATIONS[mutation]
    assert before in MACRO
    assert not holds(MACRO.replace(before, after))
