"""What a brand's warehouse tells of its trainings, consents and deliveries, in rows of text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fed_audience.audit.fields import band
from fed_audience.consent.coverage import consent_by_source
from fed_audience.consent.statement import ConsentRelations
from fed_audience.warehouse.control import control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from fed_audience.jobs.sites import Site
    from fed_audience.warehouse.protocol import Relation, Warehouse

_RUNS: Final = 20

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Rows of text, the newest first where they have a time; counts are bands.

    ``runs``: finished, model, status, run, partners, rows, withdrawn. ``models``: name, version,
    trained, run. ``consent``: purpose, source, legal basis, people. ``deliveries``: audience,
    destination, purpose, connector, last, status, number of syncs. ``erased``: people, or nothing.
    ``columns`` of each training table that was built.
    """

    runs: Rows
    models: Rows
    consent: Rows
    deliveries: Rows
    erased: str
    columns: Mapping[Relation, tuple[str, ...]]


def facts_of(site: Site, now: datetime, trained: Sequence[Relation] = ()) -> SiteFacts:
    """Read the facts of one brand; a table that is not there yet has no rows.

    ``trained``: its training tables.
    """
    relations = ConsentRelations.of_schema(site.profile.schema_)
    with site.open() as warehouse:
        consent: Rows = ()
        if warehouse.relation_exists(relations.ledger):
            consent = tuple(
                (one.purpose, one.source, one.legal_basis, band(one.people))
                for one in consent_by_source(warehouse, relations, now)
            )
        return SiteFacts(
            _runs(warehouse),
            _models(warehouse),
            consent,
            _deliveries(warehouse),
            _erased(warehouse),
            {
                one: tuple(warehouse.columns(one))
                for one in trained
                if warehouse.relation_exists(one)
            },
        )


def _runs(warehouse: Warehouse) -> Rows:
    if not warehouse.relation_exists(control("training_runs")):
        return ()
    rows = warehouse.query(
        "select run_id, model_name, status, coalesce(finished_at, started_at) as at, partners,"
        f" rows_used, rows_withdrawn from {control('training_runs').sql()}"
        f" order by coalesce(finished_at, started_at) desc, run_id limit {_RUNS}"
    ).to_pylist()
    return tuple(
        (
            _day(row["at"]),
            row["model_name"],
            row["status"],
            row["run_id"],
            ", ".join(json.loads(row["partners"] or "[]")),
            "" if row["rows_used"] is None else band(row["rows_used"]),
            "" if row["rows_withdrawn"] is None else band(row["rows_withdrawn"]),
        )
        for row in rows
    )


def _models(warehouse: Warehouse) -> Rows:
    if not warehouse.relation_exists(control("model_registry")):
        return ()
    rows = warehouse.query(
        "select model_name, model_version, created_at, run_id"
        f" from {control('model_registry').sql()} where is_active order by model_name"
    ).to_pylist()
    return tuple(
        (row["model_name"], row["model_version"], _day(row["created_at"]), row["run_id"] or "")
        for row in rows
    )


def _deliveries(warehouse: Warehouse) -> Rows:
    table = control("sync_run")
    if not warehouse.relation_exists(table):
        return ()
    rows = warehouse.query(
        "select sync_id, purpose, connector, status, started_at, syncs from (select *,"
        " count(*) over (partition by sync_id) as syncs,"
        " row_number() over (partition by sync_id order by started_at desc, run_id) as place"
        f" from {table.sql()}) as all_runs where place = 1 order by sync_id"
    ).to_pylist()
    return tuple(
        (
            row["sync_id"].partition("/")[2].partition("@")[0],
            row["sync_id"].partition("@")[2],
            row["purpose"],
            row["connector"],
            _day(row["started_at"]),
            row["status"],
            str(row["syncs"]),
        )
        for row in rows
    )


def _erased(warehouse: Warehouse) -> str:
    table = control("erasures")
    if not warehouse.relation_exists(table):
        return ""
    people = warehouse.query(f"select count(*) as people from {table.sql()}")["people"][0].as_py()
    return band(people) if people else ""


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
