"""What a source's flags stand for: nothing, until somebody approved a mapping; refusals at once."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
import yaml

from fed_audience.warehouse.dbt import package_path
from fed_audience.warehouse.protocol import Warehouse

MODELS = package_path() / "models" / "intermediate" / "consent"
STAGED = (
    "consent_event_id varchar, source_system varchar, source_id varchar, purpose varchar,"
    " source_flag varchar, status varchar, legal_basis varchar, jurisdiction varchar,"
    " effective_at timestamp, recorded_at timestamp, expires_at timestamp, time_trust varchar,"
    " is_minor boolean, method varchar, policy_version varchar, _loaded_at timestamp"
)


def rendered(model: str) -> str:
    """Render a model as dbt does, its references in schema `main`."""
    environment = jinja2.Environment(autoescape=jinja2.select_autoescape(default_for_string=False))
    names: dict[str, Any] = {
        "ref": lambda *name: f"main.{name[-1]}",
        "var": lambda _name, default: default,
    }
    text = (MODELS / f"{model}.sql").read_text(encoding="utf-8")
    return environment.from_string(text).render(names)


@pytest.fixture
def warehouse(empty_warehouse: Warehouse) -> Warehouse:
    seeds = yaml.safe_load((package_path() / "dbt_project.yml").read_text())["seeds"]
    types = seeds["fed_audience"]["consent_mapping"]["+column_types"]
    header = (package_path() / "seeds" / "consent_mapping.csv").read_text().strip()
    assert header.split(",") == list(types)
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    empty_warehouse.execute(f"create table main.consent_mapping ({columns})")
    empty_warehouse.execute(f"create table main.stg_cdp__consent_events ({STAGED})")
    for event in (
        ("g1", None, "tcf_purpose_4", "granted", "5"),
        ("g2", None, "tcf_purpose_9", "granted", "4"),
        ("r1", None, "tcf_purpose_9", "withdrawn", "5"),
        ("p1", "train", None, "granted", None),
        ("p2", "train", "tcf_purpose_4", "denied", "5"),
        ("n1", None, None, "granted", None),
    ):
        empty_warehouse.execute(
            "insert into main.stg_cdp__consent_events (consent_event_id, source_system, source_id,"
            " purpose, source_flag, status, policy_version, legal_basis, recorded_at) values"
            " (?, 'cmp', 'x', ?, ?, ?, ?, 'consent', '2026-01-01')",
            list(event),
        )
    return empty_warehouse


def map_flag(
    warehouse: Warehouse, flag: str, purpose: str | None, version: str = "*", by: str | None = "Ada"
) -> None:
    warehouse.execute(
        "insert into main.consent_mapping values ('cmp', ?, ?, ?, 'contract', ?, '2026-01-01')",
        [flag, version, purpose, by],
    )


def mapped(warehouse: Warehouse) -> dict[str, tuple[str, str]]:
    rows = warehouse.query(rendered("int_consent_events_mapped")).to_pylist()
    assert all(row["member_id"] == "cmp:x" for row in rows)
    return {row["consent_event_id"]: (row["purpose"], row["legal_basis"]) for row in rows}


def unmapped(warehouse: Warehouse) -> set[tuple[str, str, int]]:
    rows = warehouse.query(rendered("int_consent_unmapped")).to_pylist()
    return {(row["source_flag"], row["policy_version"], row["events"]) for row in rows}


def test_without_a_mapping_only_what_names_a_purpose_counts(warehouse: Warehouse) -> None:
    assert mapped(warehouse) == {"p1": ("train", "consent"), "p2": ("train", "consent")}
    assert unmapped(warehouse) == {
        ("tcf_purpose_4", "5", 1),
        ("tcf_purpose_9", "4", 1),
        (None, None, 1),
    }


def test_a_flag_may_stand_for_several_purposes(warehouse: Warehouse) -> None:
    map_flag(warehouse, "tcf_purpose_4", "profile")
    map_flag(warehouse, "tcf_purpose_4", "activate:ads")
    assert mapped(warehouse) == {
        "p1": ("train", "consent"),
        "p2": ("train", "consent"),
        "g1:profile": ("profile", "contract"),
        "g1:activate:ads": ("activate:ads", "contract"),
    }
    assert unmapped(warehouse) == {("tcf_purpose_9", "4", 1), (None, None, 1)}


def test_a_mapping_holds_for_its_policy_version(warehouse: Warehouse) -> None:
    map_flag(warehouse, "tcf_purpose_9", "train", version="5")
    assert set(mapped(warehouse)) == {"p1", "p2", "r1:train"}
    map_flag(warehouse, "tcf_purpose_9", "train", version="4")
    assert set(mapped(warehouse)) == {"p1", "p2", "r1:train", "g2:train"}


def test_a_grant_needs_an_approval_and_a_refusal_does_not(warehouse: Warehouse) -> None:
    map_flag(warehouse, "tcf_purpose_9", "train", by=None)
    assert set(mapped(warehouse)) == {"p1", "p2", "r1:train"}
    assert ("tcf_purpose_9", "4", 1) in unmapped(warehouse)


def test_a_row_without_a_purpose_says_that_nothing_is_meant(warehouse: Warehouse) -> None:
    map_flag(warehouse, "tcf_purpose_4", None)
    assert set(mapped(warehouse)) == {"p1", "p2"}
    assert unmapped(warehouse) == {("tcf_purpose_9", "4", 1), (None, None, 1)}


def test_no_shipped_mapping_grants_anything() -> None:
    lines = (package_path() / "seeds" / "consent_mapping.csv").read_text().splitlines()
    assert len(lines) == 1
