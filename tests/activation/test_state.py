"""State names nobody, survives crashes, and notices a changed secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from fed_audience.activation import Sync, SyncState
from fed_audience.activation.keys import StateKeys
from fed_audience.errors import ConfigError

SECRET = SecretStr("a deployment secret of some length")


def every_cell(brand: Any) -> str:
    tables = ("sync_state", "sync_run", "sync_reject", "sync_staging")
    return "\n".join(
        str(brand.warehouse.query(f"SELECT * FROM fed_audience.{table}").to_pylist())
        for table in tables
    )


def test_no_table_holds_an_id_or_an_address(brand: Any) -> None:
    ids = brand.customers(6)
    refused = brand.key(ids[3])
    brand.receiver.inbox.reject = lambda event: (
        f"{ids[3]} and {ids[3]}@mail.example are bad" if event["id"] == refused else None
    )
    brand.send(brand.members(ids))
    cells = every_cell(brand)
    assert refused in cells
    assert "customer-" not in cells
    assert "mail.example" not in cells


def test_a_record_key_is_keyed_and_scoped() -> None:
    one = StateKeys(SECRET, "fashion@crm").record_key("c1")
    assert one == StateKeys(SECRET, "fashion@crm").record_key("c1")
    assert len(one) == 32
    assert one != StateKeys(SECRET, "fashion@ads").record_key("c1")
    assert one != StateKeys(SECRET, "grocery@crm").record_key("c1")
    assert one != StateKeys(SecretStr("another secret of some length"), "fashion@crm").record_key(
        "c1"
    )


def test_digest_parts_cannot_run_into_each_other() -> None:
    keys = StateKeys(SECRET, "s")
    assert keys.digest("u", ["ab", "c"]) != keys.digest("u", ["a", "bc"])
    assert keys.digest("u", ["a"]) != keys.digest("v", ["a"])


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="too short") as caught:
        StateKeys(SecretStr("short"), "s")
    assert "short" not in str(caught.value).replace("too short", "")


def test_a_changed_secret_is_noticed_before_anything_is_sent(brand: Any) -> None:
    ids = brand.customers(1)
    brand.send(brand.members(ids))
    with pytest.raises(ConfigError, match="not the one that this sync was written with"):
        SyncState(brand.warehouse, brand.sync, SecretStr("another secret of some length"))


def test_two_syncs_do_not_see_each_other(brand: Any) -> None:
    ids = brand.customers(2)
    brand.send(brand.members(ids))
    brand.sync = Sync("fashion", "lookalike", "crm", "activate:email")
    assert brand.state().load() == {}
    assert brand.send(brand.members(ids[:1])).added == 1
    assert len(brand.receiver.members(audience="repurchase")) == 2
    assert len(brand.receiver.members(audience="lookalike")) == 1


def test_a_person_has_one_row_however_often_sent(brand: Any) -> None:
    ids = brand.customers(2)
    for score in (0.1, 0.2, 0.3):
        brand.send(brand.members(ids, score=score))
    rows = brand.warehouse.query("SELECT version, in_audience FROM fed_audience.sync_state")
    assert rows.to_pylist() == [{"version": 3, "in_audience": True}] * 2
    assert brand.warehouse.query("SELECT * FROM fed_audience.sync_staging").num_rows == 0


def test_a_removed_person_stays_as_a_bare_key(brand: Any) -> None:
    ids = brand.customers(1)
    brand.send(brand.members(ids))
    brand.withdraw(ids)
    brand.send(brand.members(ids))
    (row,) = brand.state().load().values()
    assert (row.in_audience, row.in_doubt, row.fingerprint, dict(row.compared)) == (
        False,
        False,
        None,
        {},
    )


def test_a_failed_write_changes_nothing(brand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = brand.customers(1)
    brand.send(brand.members(ids))
    state = brand.state()
    (row,) = state.load().values()
    honest = brand.warehouse.execute

    def execute(sql: str, parameters: Any = ()) -> int:
        if sql.startswith("INSERT INTO"):
            message = "the disk is full"
            raise OSError(message)
        return int(honest(sql, parameters))

    monkeypatch.setattr(brand.warehouse, "execute", execute)
    with pytest.raises(OSError, match="disk is full"):
        state.write([row], run_id="r", at=brand.plan([]).as_of)
    monkeypatch.undo()
    assert brand.state().load() == {row.record_key: row}


def test_a_run_that_never_ended_is_marked_by_the_next(brand: Any) -> None:
    ids = brand.customers(1)
    at = brand.plan([]).as_of
    brand.state().begin_run(connector="webhook/1", as_of=at, started_at=at)
    brand.send(brand.members(ids))
    rows = brand.warehouse.query("SELECT status FROM fed_audience.sync_run ORDER BY status")
    assert rows.column("status").to_pylist() == ["crashed", "succeeded"]
