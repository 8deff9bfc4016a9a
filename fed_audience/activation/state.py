"""What each destination has acknowledged, in three tables of the brand's own warehouse.

``sync_state`` holds one row per person ever sent, named by a keyed digest. A row says what was
acknowledged (``in_audience``, ``fingerprint``), and whether something was sent whose arrival
nobody confirmed (``in_doubt``): such a person is sent again, or removed if consent is gone.
No table holds a customer id, an identifier or a payload.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from fed_audience.activation.keys import StateKeys
from fed_audience.errors import ConfigError
from fed_audience.warehouse.protocol import Relation, Warehouse, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pydantic import SecretStr

    from fed_audience.activation.definition import Sync

_TABLES: Mapping[str, Mapping[str, str]] = {
    "sync_state": {
        "sync_id": "VARCHAR",
        "record_key": "VARCHAR",
        "in_audience": "BOOLEAN",
        "in_doubt": "BOOLEAN",
        "version": "BIGINT",
        "fingerprint": "VARCHAR",
        "compared": "VARCHAR",
        "remote_id": "VARCHAR",
        "last_run_id": "VARCHAR",
        "last_sent_at": "TIMESTAMP",
        "attempts": "BIGINT",
        "last_code": "VARCHAR",
    },
    "sync_run": {
        "run_id": "VARCHAR",
        "sync_id": "VARCHAR",
        "purpose": "VARCHAR",
        "connector": "VARCHAR",
        "key_id": "VARCHAR",
        "as_of": "TIMESTAMP",
        "started_at": "TIMESTAMP",
        "ended_at": "TIMESTAMP",
        "status": "VARCHAR",
        "counts": "VARCHAR",
        "message": "VARCHAR",
    },
    "sync_reject": {
        "sync_id": "VARCHAR",
        "record_key": "VARCHAR",
        "run_id": "VARCHAR",
        "operation": "VARCHAR",
        "code": "VARCHAR",
        "reason": "VARCHAR",
        "fingerprint": "VARCHAR",
        "rejected_at": "TIMESTAMP",
    },
}
_ARROW: Mapping[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "TIMESTAMP": pa.timestamp("us"),
}


@dataclass(frozen=True, slots=True)
class StateRow:
    """What is known of one person at the destination.

    ``version`` counts the changes that were answered, so the same change sent again is
    recognised and a later, equal one is not. ``compared`` are the numbers last acknowledged
    for attributes that are compared with a tolerance. ``attempts`` counts sends since the last
    acknowledgement.
    """

    record_key: str
    in_audience: bool = False
    in_doubt: bool = False
    version: int = 0
    fingerprint: str | None = None
    compared: Mapping[str, float] = field(default_factory=dict)
    remote_id: str | None = None
    attempts: int = 0
    last_code: str = ""

    @property
    def held(self) -> bool:
        """Whether the destination holds the person, or may."""
        return self.in_audience or self.in_doubt


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that the destination refused, without any of its content."""

    record_key: str
    operation: str
    code: str
    reason: str
    fingerprint: str | None


class SyncState:
    """The state of one sync. Creates its tables; raises ConfigError when the secret changed."""

    def __init__(
        self,
        warehouse: Warehouse,
        sync: Sync,
        secret: SecretStr,
        *,
        schema: str = "fed_audience",
        database: str | None = None,
    ) -> None:
        self.sync = sync
        self.keys = StateKeys(secret, sync.scope)
        self._warehouse = warehouse
        self._schema = schema
        self._database = database
        self._create_tables()
        self._refuse_other_secret()

    def load(self) -> dict[str, StateRow]:
        """Return every row of this sync by record key."""
        rows = self._warehouse.query(
            "SELECT record_key, in_audience, in_doubt, version, fingerprint, compared, remote_id,"
            f" attempts, last_code FROM {self._table('sync_state').sql()} WHERE sync_id = ?",
            [self.sync.id],
        )
        found = {}
        for row in rows.to_pylist():
            row["compared"] = json.loads(row["compared"]) if row["compared"] else {}
            found[row["record_key"]] = StateRow(**row)
        return found

    def refused_fingerprints(self) -> dict[str, str]:
        """Return what was refused and is not worth sending again until it changes."""
        rows = self._warehouse.query(
            f"SELECT record_key, fingerprint FROM {self._table('sync_reject').sql()}"
            " WHERE sync_id = ? AND fingerprint IS NOT NULL",
            [self.sync.id],
        )
        return dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def begin_run(self, *, connector: str, as_of: datetime, started_at: datetime) -> str:
        """Open a run and return its id; a run that never ended is marked as crashed."""
        run_id = secrets.token_hex(8)
        table = self._table("sync_run")
        with self._warehouse.transaction():
            self._warehouse.execute(
                f"UPDATE {table.sql()} SET status = 'crashed', ended_at = ?"
                " WHERE sync_id = ? AND status = 'running'",
                [started_at, self.sync.id],
            )
            row = {
                "run_id": run_id,
                "sync_id": self.sync.id,
                "purpose": self.sync.purpose,
                "connector": connector,
                "key_id": self.keys.id,
                "as_of": as_of,
                "started_at": started_at,
                "status": "running",
            }
            self._warehouse.insert(table, _arrow("sync_run", [row]))
        return run_id

    def end_run(
        self,
        run_id: str,
        *,
        status: str,
        ended_at: datetime,
        counts: Mapping[str, object],
        message: str = "",
    ) -> None:
        """Close a run with its counts (stored as JSON)."""
        self._warehouse.execute(
            f"UPDATE {self._table('sync_run').sql()}"
            " SET status = ?, ended_at = ?, counts = ?, message = ? WHERE run_id = ?",
            [status, ended_at, json.dumps(counts, sort_keys=True), message, run_id],
        )

    def write(
        self,
        rows: Iterable[StateRow],
        *,
        run_id: str,
        at: datetime,
        rejections: Iterable[Rejection] = (),
    ) -> None:
        """Replace the rows of these people, and their rejections, in one transaction."""
        written = [
            {
                "sync_id": self.sync.id,
                "record_key": row.record_key,
                "in_audience": row.in_audience,
                "in_doubt": row.in_doubt,
                "version": row.version,
                "fingerprint": row.fingerprint,
                "compared": json.dumps(row.compared) if row.compared else None,
                "remote_id": row.remote_id,
                "last_run_id": run_id,
                "last_sent_at": at,
                "attempts": row.attempts,
                "last_code": row.last_code,
            }
            for row in rows
        ]
        refused = [
            {
                "sync_id": self.sync.id,
                "record_key": one.record_key,
                "run_id": run_id,
                "operation": one.operation,
                "code": one.code,
                "reason": one.reason,
                "fingerprint": one.fingerprint,
                "rejected_at": at,
            }
            for one in rejections
        ]
        if not written:
            return
        staging = self._table("sync_staging")
        with self._warehouse.transaction():
            # Portable among warehouses: no MERGE, no list parameters, one bulk insert.
            self._warehouse.insert(staging, _arrow("sync_state", written))
            for name in ("sync_state", "sync_reject"):
                self._warehouse.execute(
                    f"DELETE FROM {self._table(name).sql()} WHERE sync_id = ?"
                    f" AND record_key IN (SELECT record_key FROM {staging.sql()})",
                    [self.sync.id],
                )
            columns = ", ".join(_TABLES["sync_state"])
            self._warehouse.execute(
                f"INSERT INTO {self._table('sync_state').sql()} ({columns})"
                f" SELECT {columns} FROM {staging.sql()}"
            )
            self._warehouse.execute(f"DELETE FROM {staging.sql()}")
            if refused:
                self._warehouse.insert(self._table("sync_reject"), _arrow("sync_reject", refused))

    def _table(self, name: str) -> Relation:
        return Relation(self._schema, name, self._database)

    def _create_tables(self) -> None:
        tables = {**_TABLES, "sync_staging": _TABLES["sync_state"]}
        missing = [
            name for name in tables if not self._warehouse.relation_exists(self._table(name))
        ]
        if not missing:
            return
        schema = quoted(self._schema)
        if self._database:
            schema = f"{quoted(self._database)}.{schema}"
        self._warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name in missing:
            columns = ", ".join(f"{column} {kind}" for column, kind in tables[name].items())
            self._warehouse.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table(name).sql()} ({columns})"
            )

    def _refuse_other_secret(self) -> None:
        rows = self._warehouse.query(
            f"SELECT DISTINCT key_id FROM {self._table('sync_run').sql()} WHERE sync_id = ?",
            [self.sync.id],
        )
        others = {str(key) for key in rows.column("key_id").to_pylist()} - {self.keys.id}
        if others:
            raise ConfigError(
                "the state key is not the one that this sync was written with",
                value=f"key {self.keys.id}",
                limit=f"key {', '.join(sorted(others))}",
                looked=f"{self._schema}.sync_run of {self.sync.id}",
                fix="restore the earlier secret; with another one nobody could be removed",
            )


def _arrow(table: str, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    schema = pa.schema([(name, _ARROW[kind]) for name, kind in _TABLES[table].items()])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
