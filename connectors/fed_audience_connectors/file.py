"""Local files: append-only changes, the present audience, and a manifest that is written last.

``<folder>/<site>/<audience>/deltas/00000001-add-<key>.csv``  people who entered or were updated
``<folder>/<site>/<audience>/deltas/00000002-remove-<key>.csv``  people who left, by id alone
``<folder>/<site>/<audience>/snapshot-00000002.csv``  everybody in the audience
``<folder>/<site>/<audience>/manifest.json``  names, rows and SHA-256 of the files above

A reader acts on the manifest alone: what it does not name is not there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from fed_audience.activation import (
    INTERFACE_VERSION,
    Batch,
    BatchResult,
    Change,
    DestinationSpec,
    Limits,
    Operation,
    Record,
    Sync,
)
from fed_audience.config import StrictModel
from fed_audience.errors import DestinationError
from fed_audience_connectors.identifier_choice import CountryCode, IdentifierName, rules_of
from fed_audience_connectors.table_formats import TableFormat, decode, encode, table_of
from fed_audience_connectors.whole_files import as_file_error, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS = {Operation.UPSERT: "add", Operation.REMOVE: "remove"}


class FileConfig(StrictModel):
    """Settings of a folder of files. ``keep_deltas`` is how many change files stay."""

    folder: Path
    format: TableFormat = "csv"
    identifiers: tuple[IdentifierName, ...] = ("email",)
    country_code: CountryCode | None = None
    batch_rows: Annotated[int, Field(ge=1, le=5_000_000)] = 100_000
    keep_deltas: Annotated[int, Field(ge=1, le=10_000)] = 30


@dataclass(frozen=True, slots=True)
class _Delta:
    """A change file, as its name tells."""

    sequence: int
    word: str
    path: Path


class FileDestination:
    """Writes each batch as a file of its own, and publishes them when the run is complete."""

    spec = DestinationSpec(
        name="file",
        interface=INTERFACE_VERSION,
        config=FileConfig,
        purposes=("activate:*", "share_partner"),
        identifiers=rules_of(("email",), None),
        limits=Limits(max_rows=100_000, max_bytes=256_000_000),
        idempotent=True,
    )

    def __init__(self, config: FileConfig, *, base: Path) -> None:
        self._config = config
        self._folder = base / config.folder
        self.spec = replace(
            type(self).spec,
            identifiers=rules_of(config.identifiers, config.country_code),
            limits=Limits(max_rows=config.batch_rows, max_bytes=256_000_000),
        )

    def check(self) -> str:
        """Write and remove a small file; raise DestinationError or ResourceError otherwise."""
        probe = self._folder / ".check"
        write_whole(probe, b"")
        probe.unlink()
        return f"{self._folder} can be written"

    def upsert(self, batch: Batch) -> BatchResult:
        """Write the records as one file of additions."""
        columns = ["id", "change", *self._identifier_columns()]
        names = {name for record in batch.records for name in record.attributes}
        if clash := names & set(columns):
            raise DestinationError(
                "an attribute has the name of another column",
                value=", ".join(sorted(clash)),
                fix="rename it in the audience's query",
            )
        return self._write(
            batch, [_row(record) for record in batch.records], columns + sorted(names)
        )

    def remove(self, batch: Batch) -> BatchResult:
        """Write the ids as one file of removals."""
        rows: list[dict[str, object]] = [
            {"id": record.key, "reason": record.reason.value if record.reason else None}
            for record in batch.records
        ]
        return self._write(batch, rows, ["id", "reason"])

    def complete(self, sync: Sync) -> None:
        """Bring the snapshot up to the last change, then name all files in the manifest."""
        folder = self._folder_of(sync)
        try:
            self._publish(sync, folder)
        except OSError as error:
            raise as_file_error(error, folder / "manifest.json") from error

    def _publish(self, sync: Sync, folder: Path) -> None:
        manifest = _manifest(folder)
        done = int(manifest.get("last_sequence", 0)) if manifest else 0
        deltas = self._deltas(folder)
        fresh = [delta for delta in deltas if delta.sequence > done]
        if manifest and not fresh:
            return
        snapshot = self._snapshot(folder, manifest)
        for delta in fresh:
            snapshot = self._applied(snapshot, delta)
        last = max([done, *(delta.sequence for delta in fresh)])
        path = folder / f"snapshot-{last:08d}.{self._config.format}"
        content = encode(snapshot, self._config.format)
        write_whole(path, content)
        kept = deltas[-self._config.keep_deltas :]
        described = [
            {"operation": delta.word, **self._described(folder, delta.path)} for delta in kept
        ]
        text = json.dumps(
            {
                "version": 1,
                "site": sync.site,
                "audience": sync.audience,
                "format": self._config.format,
                "last_sequence": last,
                "snapshot": self._described(folder, path),
                "deltas": described,
            },
            indent=2,
        )
        write_whole(folder / "manifest.json", f"{text}\n".encode())
        for old in (*(delta.path for delta in deltas[: -len(kept)]), *_others(folder, path)):
            old.unlink(missing_ok=True)

    def _write(
        self, batch: Batch, rows: Sequence[dict[str, object]], columns: Sequence[str]
    ) -> BatchResult:
        folder = self._folder_of(batch.sync)
        try:
            deltas = self._deltas(folder)
            manifest = _manifest(folder)
        except OSError as error:
            raise as_file_error(error, folder / "manifest.json") from error
        suffix = f"-{_WORDS[batch.operation]}-{batch.key}.{self._config.format}"
        if any(delta.path.name.endswith(suffix) for delta in deltas):
            # The same batch again: the earlier run ended before it could record the answer.
            return BatchResult.accepted(batch)
        taken = [int(manifest.get("last_sequence", 0)) if manifest else 0]
        sequence = max([*taken, *(delta.sequence for delta in deltas)]) + 1
        content = encode(table_of(rows, columns), self._config.format)
        write_whole(folder / "deltas" / f"{sequence:08d}{suffix}", content)
        return replace(BatchResult.accepted(batch), bytes_sent=len(content))

    def _deltas(self, folder: Path) -> list[_Delta]:
        found = []
        for path in (folder / "deltas").glob(f"*-*-*.{self._config.format}"):
            sequence, word, _ = path.name.split("-", 2)
            if sequence.isdigit():
                found.append(_Delta(int(sequence), word, path))
        return sorted(found, key=lambda delta: delta.sequence)

    def _snapshot(self, folder: Path, manifest: dict[str, Any] | None) -> pa.Table:
        if not manifest:
            return table_of([], ["id"]).cast(pa.schema([("id", pa.string())]))
        if manifest["format"] != self._config.format:
            raise DestinationError(
                "the folder holds files of another format",
                value=manifest["format"],
                limit=self._config.format,
                looked=str(folder),
                fix="choose another folder, or set the format back",
            )
        stated = manifest["snapshot"]
        content = (folder / stated["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != stated["sha256"]:
            raise DestinationError(
                "the snapshot is not the one that the manifest names",
                looked=str(folder / stated["file"]),
                fix="restore the file; somebody else changed it",
            )
        return decode(content, self._config.format)

    def _applied(self, snapshot: pa.Table, delta: _Delta) -> pa.Table:
        change = decode(delta.path.read_bytes(), self._config.format)
        stay = pc.invert(pc.is_in(snapshot["id"], value_set=change["id"].combine_chunks()))
        snapshot = snapshot.filter(stay)
        if delta.word == _WORDS[Operation.REMOVE]:
            return snapshot
        change = change.drop_columns(["change"])
        return pa.concat_tables([snapshot, change], promote_options="permissive")

    def _described(self, folder: Path, path: Path) -> dict[str, object]:
        content = path.read_bytes()
        return {
            "file": path.relative_to(folder).as_posix(),
            "rows": decode(content, self._config.format).num_rows,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }

    def _identifier_columns(self) -> list[str]:
        return [rule.field for rule in self.spec.identifiers]

    def _folder_of(self, sync: Sync) -> Path:
        return self._folder / sync.site / sync.audience


def _row(record: Record) -> dict[str, object]:
    return {
        "id": record.key,
        "change": record.change.value if record.change is not Change.EXITED else None,
        **record.identifiers,
        **record.attributes,
    }


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise DestinationError(
            "the manifest is not JSON",
            looked=str(folder / "manifest.json"),
            fix="restore it; somebody else changed it",
        ) from None
    return found


def _others(folder: Path, current: Path) -> list[Path]:
    return [path for path in folder.glob("snapshot-*") if path != current]
