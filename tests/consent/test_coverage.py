"""Coverage counts people where their consent came from; the check names what has no meaning."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from fed_audience.consent.coverage import (
    SourceCount,
    Unmapped,
    check_mapping,
    consent_by_source,
    unmapped_flags,
)
from fed_audience.errors import ConsentError

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
ROW = {
    "source_system": "cmp",
    "source_flag": "tcf_purpose_4",
    "policy_version": "*",
    "purpose": "activate:ads",
    "legal_basis": "consent",
    "approver": "Ada",
    "approved_on": date(2026, 5, 1),
}


@pytest.fixture
def mapped(brand: Any) -> Any:
    """A brand with a mapping and nothing unmapped."""
    schema = brand.relations.ledger.schema
    brand.warehouse.execute(f"alter table {brand.relations.ledger.sql()} add source_system varchar")
    brand.warehouse.execute(
        f"create table {schema}.consent_mapping (source_system varchar, source_flag varchar,"
        " policy_version varchar, purpose varchar, legal_basis varchar, approver varchar,"
        " approved_on date)"
    )
    brand.warehouse.execute(
        f"create table {schema}.int_consent_unmapped (source_system varchar, source_flag varchar,"
        " policy_version varchar, events bigint)"
    )
    return brand


def add(brand: Any, **changes: object) -> None:
    row = ROW | changes
    brand.warehouse.execute(
        f"insert into {brand.relations.ledger.schema}.consent_mapping ({', '.join(row)})"
        f" values ({', '.join('?' * len(row))})",
        list(row.values()),
    )


def leave_unmapped(brand: Any, *rows: tuple[str | None, str | None, str | None, int]) -> None:
    for row in rows:
        brand.warehouse.execute(
            f"insert into {brand.relations.ledger.schema}.int_consent_unmapped values (?, ?, ?, ?)",
            list(row),
        )


def test_people_are_counted_by_purpose_source_and_legal_basis(mapped: Any) -> None:
    mapped.add_customers("a", "b", "c", "d")
    for person in ("a", "b"):
        mapped.say(person, "profile", "granted", source_system="crm")
    mapped.say("c", "profile", "granted", source_system="cmp", legal_basis="contract")
    mapped.say("d", "profile", "withdrawn", source_system="crm")
    mapped.say("a", "train", "granted", source_system="cmp", days_ago=2)
    mapped.say("a", "train", "granted", source_system=None, legal_basis=None, days_ago=1)
    mapped.say("no customer", "profile", "granted", source_system="crm")
    assert consent_by_source(mapped.warehouse, mapped.relations, NOW) == (
        SourceCount("profile", "cmp", "contract", 1),
        SourceCount("profile", "crm", "consent", 2),
        SourceCount("train", "", "", 1),
    )


def test_a_whole_mapping_passes(mapped: Any) -> None:
    assert check_mapping(mapped.warehouse, mapped.relations) == 0
    add(mapped)
    add(mapped, source_flag="marketing", purpose=None, legal_basis=None)
    assert check_mapping(mapped.warehouse, mapped.relations) == 2


def test_the_flag_with_most_events_is_named(mapped: Any) -> None:
    leave_unmapped(mapped, ("cmp", "tcf_purpose_9", "5", 3), ("shop", "newsletter", None, 7))
    assert unmapped_flags(mapped.warehouse, mapped.relations) == (
        Unmapped("shop", "newsletter", "", 7),
        Unmapped("cmp", "tcf_purpose_9", "5", 3),
    )
    with pytest.raises(
        ConsentError,
        match=r"flag of shop has no approved mapping, and 1 more; value: newsletter, policy "
        r"version unknown: 7 grants.*consent_mapping.*approver and date",
    ):
        check_mapping(mapped.warehouse, mapped.relations)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"approver": None}, "lacks approver; value: cmp, tcf_purpose_4"),
        ({"approved_on": None, "policy_version": None}, "lacks policy_version, approved_on"),
        ({"purpose": "activate-ads"}, "no such purpose.*did you mean 'activate:ads'"),
        ({"legal_basis": "curiosity"}, "legal basis.*curiosity; allowed: consent, legit"),
    ],
)
def test_a_row_that_cannot_be_right_is_named(
    mapped: Any, change: dict[str, object], says: str
) -> None:
    add(mapped, **change)
    with pytest.raises(ConsentError, match=says):
        check_mapping(mapped.warehouse, mapped.relations)
