"""Signals of consent from other tools: nothing of them grants anything until somebody maps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fed_audience.consent.gate import ConsentGate
from fed_audience.consent.statement import ConsentRelations, decisions_sql
from fed_audience.errors import ConsentError
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from fed_audience.warehouse.protocol import Relation

if TYPE_CHECKING:
    from tests.dbt_package.conftest import Stage

# An hour from now: what the builds of this session saw is known by then.
SOON = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


def decisions(stage: Stage, as_of: datetime = SOON) -> dict[tuple[str, str], str]:
    """By which rule each person's consent to each purpose is decided."""
    warehouse = DuckDbWarehouse(stage.database)
    decided = decisions_sql(warehouse, ConsentRelations.of_schema(), as_of)
    rows = warehouse.query(f"select subject_id, purpose, rule from ({decided}) as decided")
    warehouse.close()
    return {(row["subject_id"], row["purpose"]): row["rule"] for row in rows.to_pylist()}


def allowed(stage: Stage, as_of: datetime = SOON) -> set[tuple[str, str]]:
    return {who for who, rule in decisions(stage, as_of).items() if rule == "granted"}


def grants(stage: Stage) -> set[tuple[str, ...]]:
    return set(
        stage.rows(
            "select distinct source_system, source_flag from stg_cdp__consent_events"
            " where status = 'granted' and purpose is null"
        )
    )


def heard(stage: Stage, subject: str, purpose: str) -> set[str]:
    return {
        status
        for (status,) in stage.rows(
            "select status from int_consent_ledger"
            f" where subject_id = '{subject}' and purpose = '{purpose}'"
        )
    }


def test_without_a_mapping_no_flag_of_any_tool_grants_anything(mapped: Stage) -> None:
    assert {system for system, _ in grants(mapped)} == {
        *("segment", "rudderstack", "snowplow", "shopify", "ga4", "web")
    }
    # The one grant names a purpose of ours itself: the tick in the CRM.
    assert allowed(mapped) == {("u3", "activate:email")}
    assert grants(mapped) == set(
        mapped.rows("select distinct source_system, source_flag from int_consent_unmapped")
    )


def test_only_a_browsers_refusal_goes_past_the_mapping(mapped: Stage) -> None:
    assert mapped.rows(
        "select distinct method, purpose, status from stg_cdp__consent_events"
        " where purpose is not null and method <> 'snapshot' order by all"
    ) == [("gpc", "activate:ads", "denied"), ("gpc", "share_partner", "denied")]
    assert heard(mapped, "u2", "activate:ads") == {"denied"}


def test_a_mapping_grants_what_it_says_and_no_more(mapped_later: Stage) -> None:
    assert allowed(mapped_later) == {
        ("u1", "profile"),
        ("u3", "activate:email"),
        ("7002", "activate:email"),
        ("7004", "activate:email"),
    }
    # Approved or not, a refusal counts: that of the browser, and that of the expired scope.
    assert heard(mapped_later, "u2", "train") == {"denied"}
    assert heard(mapped_later, "s1", "profile") == {"withdrawn", "unknown", "expired"}


def test_a_passed_on_browser_refuses_for_both_and_grants_for_neither(mapped_later: Stage) -> None:
    decided = decisions(mapped_later)
    assert decided["u1", "activate:email"] == "denied"
    # u2 granted on a browser of their own; that which was u1's had refused.
    assert decided["u2", "activate:email"] == "identity_merge"


def test_no_consent_is_assumed_before_a_state_was_first_seen(mapped_later: Stage) -> None:
    """The shop says that 7001 subscribed in 2024; a build saw it today, a later one its end."""
    seen = "select {}(observed_at) from stg_cdp__consent_state_changes where source_id = '7001'"
    first: datetime = mapped_later.rows(seen.format("min"))[0][0]
    last: datetime = mapped_later.rows(seen.format("max"))[0][0]
    tick = timedelta(microseconds=1)
    shop = {"7001", "7002", "7003", "7004"}

    def mail(as_of: datetime) -> set[str]:
        return shop & {who for who, purpose in allowed(mapped_later, as_of)}

    assert first < last
    assert mail(first - tick) == set()
    assert mail(first) == mail(last - tick) == {"7001", "7004"}
    assert mail(last) == {"7002", "7004"}


def test_a_state_that_is_gone_is_unknown_and_one_that_stays_is_told_once(
    mapped_later: Stage,
) -> None:
    told = mapped_later.rows(
        "select source_id, status from stg_cdp__consent_state_changes"
        " where source_system = 'shopify' and source_id is not null order by source_id, observed_at"
    )
    assert told == [
        *(("7001", "granted"), ("7001", "withdrawn")),
        *(("7002", "withdrawn"), ("7002", "granted")),
        *(("7003", "denied"), ("7003", "unknown")),
        ("7004", "granted"),
    ]


def test_of_two_states_of_one_person_the_refusal_is_kept(mapped: Stage) -> None:
    assert mapped.rows(
        "select purpose, source_flag, status from stg_cdp__consent_state_changes"
        " where source_id = 'u3' order by all"
    ) == [("activate:email", None, "granted"), (None, "newsletter", "denied")]


def test_a_build_without_rows_or_with_full_refresh_forgets_no_history(
    mapped_later: Stage, mapped_refused: tuple[dict[str, str], Stage]
) -> None:
    _, after = mapped_refused
    history = "select * from stg_cdp__consent_state_changes order by consent_event_id"
    assert after.rows(history) == mapped_later.rows(history)


def test_looking_keeps_the_ledger_young_though_nothing_changed(mapped: Stage) -> None:
    warehouse = DuckDbWarehouse(mapped.database)
    gate = ConsentGate(
        warehouse, Relation("main", "int_consent_ledger"), Relation("main", "jurisdiction_rules")
    )
    assert gate.allowed(["u3"], "activate:email", SOON)["u3"].allowed
    with pytest.raises(ConsentError, match="too old"):
        gate.allowed(["u3"], "activate:email", SOON + timedelta(hours=24))
    warehouse.close()
    assert mapped.rows(
        "select source_system, count(*) from stg_cdp__consent_state_changes"
        " where source_id is null group by 1 order by 1"
    ) == [("crm", 1), ("shopify", 1)]
