"""Each tool's tables as the canonical ones: every row and column, as a hand maps them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.dbt_package.mapped_brand import TOOLS

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Stage

FOLDER = Path(__file__).parent / "mappings"
EXPECTED = {
    (tool, table): rows
    for tool in (*TOOLS, "google_consent_mode", "gpc")
    for table, rows in yaml.safe_load((FOLDER / f"{tool}.yml").read_text(encoding="utf-8")).items()
}


@pytest.mark.parametrize(("tool", "table"), EXPECTED)
def test_every_row_is_mapped(mapped: Stage, tool: str, table: str) -> None:
    """Columns that are not expected are NULL; the system is the tool, or what the row names."""
    relation = f"stg_{tool}__{table}"
    expected = sorted(csv.DictReader(io.StringIO(EXPECTED[tool, table])), key=str)
    names = [name for name in mapped.columns(relation) if name != "_source_system"]
    found = mapped.rows(f"select {', '.join(f'{name}::varchar' for name in names)} from {relation}")
    rows = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in found
    ]
    told = [{name: value for name, value in row.items() if value} for row in expected]
    assert sorted(rows, key=str) == sorted(told, key=str)
    systems = mapped.rows(f"select distinct _source_system from {relation}")
    assert systems == ([(tool if tool in TOOLS else "web",)] if expected else [])


def test_a_mapping_has_the_columns_and_types_of_the_canonical_table(mapped: Stage) -> None:
    for tool, table in EXPECTED:
        theirs = mapped.columns(f"stg_{tool}__{table}")
        ours = mapped.columns(f"stg_cdp__{table}")
        # Times of another source are cast again where the canonical view takes them in.
        assert theirs == ours, (tool, table)


def test_the_canonical_tables_hold_what_every_mapping_tells(mapped: Stage) -> None:
    counts = dict(mapped.rows("select _source_system, count(*) from stg_cdp__orders group by 1"))
    assert counts == {"segment": 3, "rudderstack": 1, "snowplow": 2, "shopify": 3, "ga4": 1}
    people = mapped.rows("select customer_id from stg_cdp__customers order by 1")
    assert [row[0] for row in people] == [
        *("7001", "7002", "7003", "7004"),
        *("g1", "r1", "r2", "s1", "s2", "s3", "u1", "u2"),
    ]


def test_behaviour_of_a_browser_is_its_owners_at_the_time(mapped_later: Stage) -> None:
    """Browser a1 was u1's until September; what it saw before u1 signed in is u1's too."""
    features = mapped_later.record(
        "select * from fct_customer_features where customer_id = 'u1' and cutoff_at = '2025-08-30'"
    )
    assert (features["f_views_90d"], features["f_carts_90d"]) == (1, 1)
    assert (features["f_orders_365d"], features["f_revenue_365d"]) == (1, 100 - 10 - 20)
    assert (features["f_units_365d"], features["f_categories_365d"]) == (3, 1)
    assert (features["f_sessions_90d"], features["f_paid_session_share_90d"]) == (2, 0.5)
    assert features["f_email_click_rate_90d"] == 1


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (
            "stg_segment__customers",
            (
                "fed_audience__using_segment is on, but there is no table"
                ' "mapped"."segment"."identifies". Load it, point fed_audience__segment_schema (or'
                " fed_audience__segment_identifies, the table's name) at it, or turn"
            ),
        ),
        (
            "stg_cdp__events",
            (
                "fed_audience__events_from names 'ga4', which is not on: set"
                " fed_audience__using_ga4: true."
            ),
        ),
        (
            "stg_cdp__orders",
            (
                "shopify and segment and rudderstack and snowplow all provide orders, which"
                " could count them twice. Say which to take: fed_audience__orders_from: [shopify]"
            ),
        ),
        (
            "stg_cdp__web_sessions",
            (
                "fed_audience__web_sessions_from names 'shopify', which does not provide it;"
                " these do: segment, rudderstack, snowplow, ga4."
            ),
        ),
        (
            "stg_cdp__email_engagement",
            (
                'table "mapped"."raw"."email_engagement" has no column \'sent_at\', without which'
                " its rows say nothing; it has message_id, customer_id. Point"
                " fed_audience__raw_schema at a view with a column of that name, or set"
                " fed_audience__using_email_engagement: false and turn on a mapping that provides"
                " it (fed_audience__using_segment"
            ),
        ),
        (
            "stg_cdp__customers",
            (
                'no table "mapped"."raw"."customers". Load it, point fed_audience__raw_schema'
                " at it, or turn on a mapping that provides it (fed_audience__using_shopify,"
                " fed_audience__using_segment,"
            ),
        ),
    ],
    ids=lambda value: value if value.startswith("stg_") else "",
)
def test_what_is_missing_is_one_error_that_names_the_switch(
    mapped_refused: tuple[dict[str, str], Stage], view: str, words: str
) -> None:
    said, _ = mapped_refused
    assert words in " ".join(said[view].split())
