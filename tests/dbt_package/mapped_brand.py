"""A brand fed by every mapping: of the canonical raw tables it has only who owns a cookie."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fed_audience.errors import DbtError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dbt_package.conftest import Brand, Stage

TOOLS = ("shopify", "segment", "rudderstack", "snowplow", "ga4")
MAPPINGS = (*TOOLS, "google_consent_mode", "gpc")
EVERY_TOOL: dict[str, object] = {
    **{f"fed_audience__using_{mapping}": True for mapping in MAPPINGS},
    **{
        f"fed_audience__{table}_from": [tool for tool in TOOLS if tool != lacking]
        for table, lacking in (
            ("orders", None),
            ("order_items", None),
            ("events", None),
            ("web_sessions", "shopify"),
        )
    },
    "fed_audience__segment_jurisdiction": "EU",
    "fed_audience__shopify_jurisdiction": "EU",
}
WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")

# What the brand's own seed would say: who approved it makes the difference, but not to a refusal.
MAPPED = """
insert into consent_mapping values
    ('web', 'google_ad_storage', '*', 'profile', 'consent', 'Ada', '2025-01-01'),
    ('segment', 'advertising', '*', 'activate:email', 'consent', 'Ada', '2025-01-01'),
    ('shopify', 'email_marketing', '*', 'activate:email', 'consent', 'Ada', '2025-01-01'),
    ('snowplow', 'analytics', '*', 'profile', 'consent', null, null),
    ('web', 'gpc', '*', 'train', null, null, null)
"""

# 7001 leaves, 7002 comes back, 7003 is gone, 7004 stays as it was.
A_DAY_LATER = """
update shopify.customer set email_marketing_consent_state = 'unsubscribed' where id = 7001;
update shopify.customer set email_marketing_consent_state = 'subscribed' where id = 7002;
delete from shopify.customer where id = 7003;
"""


@pytest.fixture(scope="session")
def mapped_brand(make_brand: Callable[..., Brand]) -> Brand:
    return make_brand("mapped", tuple(f"mappings/{name}" for name in (*TOOLS, "web")))


@pytest.fixture(scope="session")
def mapped(mapped_brand: Brand) -> Stage:
    """Every tool at once, with the mapping of flags that ships: none."""
    return mapped_brand.dbt(
        "build", "--select", "package:fed_audience", *WITHOUT_TESTS, **EVERY_TOOL
    )


@pytest.fixture(scope="session")
def mapped_later(mapped_brand: Brand, mapped: Stage) -> Stage:
    """A day later: flags are mapped, and the shop's customers have changed their minds."""
    mapped_brand.execute(MAPPED)
    mapped_brand.execute(A_DAY_LATER)
    return mapped_brand.dbt("run", "--select", "+fct_customer_features", **EVERY_TOOL)


@pytest.fixture(scope="session")
def mapped_refused(mapped_brand: Brand, mapped_later: Stage) -> tuple[dict[str, str], Stage]:
    """What dbt says of each view when tables and decisions are missing, in a build without rows
    that is to forget all history.
    """
    mapped_brand.execute("drop table segment.identifies cascade")
    mapped_brand.execute(
        "create table raw.email_engagement (message_id varchar, customer_id varchar)"
    )
    variables: dict[str, Any] = {**EVERY_TOOL, "fed_audience__using_ga4": False}
    del variables["fed_audience__orders_from"]
    variables["fed_audience__web_sessions_from"] = ["shopify"]
    variables["fed_audience__customers_from"] = []
    with pytest.raises(DbtError):
        mapped_brand.dbt(
            "run", "--empty", "--full-refresh", "--select", "fed_audience.staging", **variables
        )
    results = json.loads((mapped_brand.project / "target" / "run_results.json").read_text())
    said = {node["unique_id"].split(".")[-1]: node["message"] for node in results["results"]}
    return said, mapped_brand.now()
