"""The view of an audience's members as it is read, and what instant views of consent read at."""

from __future__ import annotations

import duckdb
import pytest

from tests.dbt_package.rendering import models, package

PEOPLE = ("ada", "no_profile", "no_channel", "left")


def test_a_member_needs_the_channel_and_profile() -> None:
    view = dict(models("duckdb"))["fct_audience_members"]
    refused = {("no_profile", "profile"), ("no_channel", "activate:email")}
    grants = [
        (f"{person}-{purpose}", person, purpose)
        for person in PEOPLE
        for purpose in ("profile", "activate:email", "activate:ads")
        if (person, purpose) not in refused
    ]
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as shop")
        for schema in ("analytics", "fed_audience"):
            connection.execute(f"create schema shop.{schema}")
        connection.execute(
            "create table shop.analytics.jurisdiction_rules as select 'EU' as jurisdiction,"
            " unnest(['profile', 'activate:email', 'activate:ads']) as purpose,"
            " 'opt_in' as default_mode, 730 as ttl_days, false as minor_unknown_is_minor"
        )
        connection.execute(
            "create table shop.analytics.int_consent_ledger (consent_event_id varchar,"
            " subject_id varchar, purpose varchar, status varchar default 'granted',"
            " member_id varchar default 'crm', jurisdiction varchar default 'EU',"
            " effective_at timestamp default '2026-01-01', recorded_at timestamp"
            " default '2026-01-01', expires_at timestamp default '2999-01-01',"
            " time_trust varchar default 'server', is_minor boolean default false)"
        )
        into = (
            "insert into shop.analytics.int_consent_ledger"
            " (consent_event_id, subject_id, purpose, status, effective_at) values (?, ?, ?, ?, ?)"
        )
        connection.executemany(into, [(*grant, "granted", "2026-01-01") for grant in grants])
        connection.execute(into, ["w", "left", "profile", "withdrawn", "2026-01-02"])
        connection.execute(
            "create table shop.fed_audience.audience_members as select 'top' as audience,"
            " 'email' as channel, unnest(?) as customer_id, 'm' as model_name,"
            " 'v' as model_version, 0.5 as score, timestamp '2026-01-01' as selected_at",
            [list(PEOPLE)],
        )
        rows = connection.execute(f"select customer_id from ({view})").fetchall()
    assert rows == [("ada",)]


@pytest.mark.parametrize("live_views", [False, True])
def test_views_keep_the_instant_of_the_build_unless_they_are_live(*, live_views: bool) -> None:
    given = {"fed_audience__as_of": "2026-10-01", "fed_audience__live_views": live_views}
    macros = package("duckdb", var=lambda name, default=None: given.get(name, default))
    assert "2026-10-01" in macros.as_of()
    assert ("2026-10-01" in macros.as_of(live=True)) is not live_views
    assert ("now()" in macros.as_of(live=True)) is live_views
