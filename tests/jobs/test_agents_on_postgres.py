"""One brand of three on PostgreSQL: its agent does there what the others do on DuckDB."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fed_audience.errors import RunInterrupted
from fed_audience.warehouse.control import LEASE
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from tests.jobs.small_federation import SECRETS, profiles_of
from tests.jobs.three_organisations import SITES, Organisations, prepare
from tests.postgres_server import PostgresServer


@pytest.fixture
def mixed(
    signed: Organisations, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Organisations:
    """`bee` with the same rows in a PostgreSQL database; everybody has signed and scores."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    database = postgres.emptied_database()
    monkeypatch.setenv("TEST_POSTGRES_PASSWORD", database.password.get_secret_value())
    signed.stop("bee")
    project = signed.folder / "bee" / "project"
    (project / "brand.duckdb").unlink()
    (project / "profiles.yml").write_text(profiles_of(database))
    warehouse = open_warehouse(Profile(type="postgres", postgres=database, schema="main"))
    warehouse.execute("create schema main")
    warehouse.execute("set search_path to main")
    prepare(warehouse, "bee", 1)
    warehouse.close()
    for site in SITES:
        signed.edit(site, "score: false", "score: true")
    signed.start("bee")
    return signed


def claims(organisations: Organisations) -> list[dict[str, Any]]:
    with organisations.site("bee").open() as warehouse:
        return warehouse.query(
            "select status, claimed_by, claimed_at from fed_audience.training_requests"
        ).to_pylist()


def test_a_run_over_both_engines_is_interrupted_and_ends_in_the_same_bytes(
    mixed: Organisations, undisturbed_model: str
) -> None:
    program = mixed.coordinator()

    def watch() -> None:
        if program.view.trees[0] >= 2:
            program.pause()

    program._on_change = watch
    began = mixed.now
    with pytest.raises(RunInterrupted):
        program.step()
    claimed = {"status": "claimed", "claimed_by": "fed-audience agent of bee"}
    assert claims(mixed) == [{**claimed, "claimed_at": began}]

    # The agent was away for longer than its claim holds, and takes it up again.
    mixed.stop("bee")
    mixed.now += LEASE + timedelta(minutes=1)
    mixed.start("bee")
    assert claims(mixed) == [{**claimed, "claimed_at": mixed.now}]
    record = mixed.coordinator().step()
    assert record is not None
    assert (record.stage, record.model_sha256) == ("settled", undisturbed_model)
    assert mixed.models() == dict.fromkeys(SITES, undisturbed_model)
    assert mixed.requests() == dict.fromkeys(SITES, "succeeded")
    books = (
        "select status, rounds, rows_requested, rows_used, rows_withdrawn, bytes_up is not null"
        " as told from fed_audience.training_runs"
    )
    kept = []
    for site in SITES:
        with mixed.site(site).open() as warehouse:
            kept += warehouse.query(books).to_pylist()
        assert mixed.value(site, "select count(distinct score) from fed_audience.scores") != 1
        assert mixed.value(site, "select count(*) from fed_audience.scores") == 300
        people = f"select count(*) from fed_audience.training_people where run_id = '{record.run}'"
        assert mixed.value(site, people) == 295
    assert kept == [kept[0]] * 3


def test_a_claim_that_somebody_else_took_is_not_renewed_on_postgresql(
    mixed: Organisations,
) -> None:
    """The agent's heart beats against the same row that a second one would claim."""
    desk = mixed.desks["bee"]
    program = mixed.coordinator()
    program._on_change = program.pause
    with pytest.raises(RunInterrupted):
        program.step()
    run = desk._run
    assert run is not None
    mixed.execute("bee", "update fed_audience.training_requests set claimed_by = 'another'")
    mixed.stop("bee")
    mixed.start("bee")
    assert not mixed.desks["bee"].holds_run
    assert claims(mixed)[0]["claimed_by"] == "another"
