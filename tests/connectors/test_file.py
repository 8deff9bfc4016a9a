"""Files: whole or absent, changes appended, the audience in a snapshot, the manifest last."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fed_audience.activation import Batch, Change, Operation, Reason, Record, Sync
from fed_audience.errors import DestinationError, ResourceError
from fed_audience_connectors.file import FileConfig, FileDestination

SYNC = Sync("fashion", "repurchase", "out", "activate:email")


def person(number: int, *, change: Change = Change.ENTERED, **attributes: Any) -> Record:
    return Record(
        key=f"{number:032x}",
        change=change,
        identifiers={"email": f"p{number}@mail.example"},
        attributes={"score": number / 10, **attributes},
        event_id=f"event-{number}",
    )


def upsert(key: str, *records: Record) -> Batch:
    return Batch(SYNC, Operation.UPSERT, key, records)


def remove(key: str, *numbers: int) -> Batch:
    records = [Record(f"{number:032x}", Change.EXITED, reason=Reason.CONSENT) for number in numbers]
    return Batch(SYNC, Operation.REMOVE, key, tuple(records))


def destination(base: Path, **settings: Any) -> FileDestination:
    return FileDestination(FileConfig(folder=Path("out"), **settings), base=base)


def manifest(base: Path) -> Any:
    return json.loads((base / "out/fashion/repurchase/manifest.json").read_text())


def rows(base: Path, name: str) -> list[dict[str, Any]]:
    path = base / "out/fashion/repurchase" / name
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_changes_are_appended_and_the_snapshot_is_the_audience(
    tmp_path: Path, format_: Any
) -> None:
    out = destination(tmp_path, format=format_)
    out.upsert(upsert("aaa", person(1), person(2), person(3)))
    out.complete(SYNC)
    out.remove(remove("bbb", 2))
    out.upsert(upsert("ccc", person(3, change=Change.UPDATED, tier="gold"), person(4)))
    out.complete(SYNC)

    said = manifest(tmp_path)
    assert [delta["operation"] for delta in said["deltas"]] == ["add", "remove", "add"]
    assert [delta["rows"] for delta in said["deltas"]] == [3, 1, 2]
    present = {row["email"]: row for row in rows(tmp_path, said["snapshot"]["file"])}
    assert set(present) == {"p1@mail.example", "p3@mail.example", "p4@mail.example"}
    assert present["p3@mail.example"]["tier"] == "gold"
    assert float(present["p4@mail.example"]["score"]) == 0.4
    assert rows(tmp_path, said["deltas"][1]["file"]) == [{"id": f"{2:032x}", "reason": "consent"}]


def test_the_manifest_tells_rows_and_hashes_of_every_file(tmp_path: Path) -> None:
    out = destination(tmp_path)
    out.upsert(upsert("aaa", person(1), person(2)))
    out.complete(SYNC)
    said = manifest(tmp_path)
    for one in [said["snapshot"], *said["deltas"]]:
        content = (tmp_path / "out/fashion/repurchase" / one["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == one["sha256"]
        assert len(content) == one["bytes"]
        assert one["rows"] == 2


def test_the_same_batch_again_writes_nothing_more(tmp_path: Path) -> None:
    out = destination(tmp_path)
    out.upsert(upsert("aaa", person(1)))
    out.upsert(upsert("aaa", person(1)))
    out.complete(SYNC)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    out.complete(SYNC)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    assert len(manifest(tmp_path)["deltas"]) == 1


def test_a_run_that_died_before_the_manifest_is_published_by_the_next(tmp_path: Path) -> None:
    destination(tmp_path).upsert(upsert("aaa", person(1)))
    assert not (tmp_path / "out/fashion/repurchase/manifest.json").exists()
    destination(tmp_path).complete(SYNC)
    assert manifest(tmp_path)["snapshot"]["rows"] == 1


def test_an_audience_that_never_held_anyone_is_published_empty(tmp_path: Path) -> None:
    destination(tmp_path).complete(SYNC)
    assert manifest(tmp_path)["snapshot"]["rows"] == 0


def test_old_changes_expire_and_numbers_go_on(tmp_path: Path) -> None:
    out = destination(tmp_path, keep_deltas=2)
    for number in range(5):
        out.upsert(upsert(f"key{number}", person(number)))
        out.complete(SYNC)
    said = manifest(tmp_path)
    assert [delta["file"][:15] for delta in said["deltas"]] == [
        "deltas/00000004",
        "deltas/00000005",
    ]
    assert said["snapshot"]["rows"] == 5
    on_disk = {path.name for path in (tmp_path / "out/fashion/repurchase").rglob("*.csv")}
    assert len(on_disk) == 3


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|'/c calc'!A0", "'+cmd|'/c calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("|x", "'|x"),
        ("\uff1d1", "'\uff1d1"),
        ("+4930123456", "+4930123456"),
        ("-1.5", "-1.5"),
        ("gold = good", "gold = good"),
        ('say "hi", you', 'say "hi", you'),
        ("two\nlines", "two\nlines"),
    ],
)
def test_a_spreadsheet_computes_nothing(tmp_path: Path, value: str, cell: str) -> None:
    out = destination(tmp_path)
    out.upsert(upsert("aaa", person(1, tier=value)))
    out.complete(SYNC)
    out.upsert(upsert("bbb", person(2)))
    out.complete(SYNC)
    found = rows(tmp_path, manifest(tmp_path)["snapshot"]["file"])
    assert next(row["tier"] for row in found if row["email"].startswith("p1")) == cell


def test_parquet_keeps_values_as_they_are(tmp_path: Path) -> None:
    out = destination(tmp_path, format="parquet")
    out.upsert(upsert("aaa", person(1, tier="=1+1", visits=3)))
    out.complete(SYNC)
    (row,) = rows(tmp_path, manifest(tmp_path)["snapshot"]["file"])
    assert (row["tier"], row["visits"], row["score"]) == ("=1+1", 3, 0.1)


def test_a_snapshot_that_somebody_changed_is_not_built_upon(tmp_path: Path) -> None:
    out = destination(tmp_path)
    out.upsert(upsert("aaa", person(1)))
    out.complete(SYNC)
    path = tmp_path / "out/fashion/repurchase" / manifest(tmp_path)["snapshot"]["file"]
    path.write_text("id\n")
    out.upsert(upsert("bbb", person(2)))
    with pytest.raises(DestinationError, match="not the one that the manifest names"):
        out.complete(SYNC)


def test_a_changed_format_is_refused(tmp_path: Path) -> None:
    out = destination(tmp_path)
    out.upsert(upsert("aaa", person(1)))
    out.complete(SYNC)
    other = destination(tmp_path, format="parquet")
    other.upsert(upsert("bbb", person(2)))
    with pytest.raises(DestinationError, match="another format"):
        other.complete(SYNC)


def test_mixed_types_are_one_clear_line(tmp_path: Path) -> None:
    out = destination(tmp_path)
    with pytest.raises(DestinationError, match="'tier' holds values of different types"):
        out.upsert(upsert("aaa", person(1, tier="gold"), person(2, tier=3)))
    assert list(tmp_path.rglob("*.csv")) == []


def test_an_attribute_cannot_take_the_place_of_a_column(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="name of another column; value: email"):
        destination(tmp_path).upsert(upsert("aaa", person(1, email="x")))


def test_a_folder_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DestinationError, match="folder cannot be used"):
        destination(tmp_path).check()


FULL_DISK = """
import resource, sys
from pathlib import Path
from fed_audience_connectors.whole_files import write_whole
from fed_audience.errors import ResourceError
target = Path(sys.argv[1]) / "deltas" / "one.csv"
write_whole(target, b"first")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_whole(target, b"x" * 100_000)
except ResourceError as error:
    print(error)
"""


def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(tmp_path: Path) -> None:
    # A limit on the size of files makes the kernel refuse the write, as a full disk does.
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "no room left" in done.stdout
    assert [path.name for path in (tmp_path / "deltas").iterdir()] == ["one.csv"]
    assert (tmp_path / "deltas/one.csv").read_bytes() == b"first"


def test_a_full_disk_is_a_resource_error_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResourceError, match="No space left"):
        destination(tmp_path).upsert(upsert("aaa", person(1)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_are_not_for_everybody(tmp_path: Path) -> None:
    out = destination(tmp_path)
    out.upsert(upsert("aaa", person(1)))
    out.complete(SYNC)
    for path in tmp_path.rglob("*.*"):
        if path.is_file():
            assert path.stat().st_mode & 0o007 == 0
