"""A log of records: what was written whole is read again, and nothing else is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fed_audience.errors import FederationError, ResourceError
from fed_audience.federation.lasting.record_log import Record, RecordLog
from tests.federation.full_disk import full_disk

RECORDS = [Record(1, b"first"), Record(7, b""), Record(255, bytes(range(256)))]
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def written(path: Path, records: list[Record] = RECORDS) -> bytes:
    path.unlink(missing_ok=True)
    with RecordLog(path, "test") as log:
        for record in records:
            log.append(record.kind, record.content)
    return path.read_bytes()


def read(path: Path) -> list[Record]:
    with RecordLog(path, "test") as log:
        return log.records


def ends(path: Path) -> list[int]:
    """Where the title and each record end."""
    return [len(written(path, RECORDS[:count])) for count in range(len(RECORDS) + 1)]


def test_records_are_read_in_order_and_more_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    written(path)
    with RecordLog(path, "test") as log:
        assert log.records == RECORDS
        log.append(2, b"last", durable=False)
        log.flush()
    assert read(path) == [*RECORDS, Record(2, b"last")]
    assert path.stat().st_mode & 0o077 == 0


def test_cut_anywhere_the_records_before_are_kept_and_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    borders, whole = ends(path), written(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        complete = max(sum(end <= length for end in borders) - 1, 0)
        with RecordLog(path, "test") as log:
            assert log.records == RECORDS[:complete]
            assert log.torn == length - max(end for end in [0, *borders] if end <= length)
            log.append(9, b"after")
        assert read(path) == [*RECORDS[:complete], Record(9, b"after")]


@pytest.mark.parametrize("zeros", [1, 8, 500])
def test_a_file_that_the_disk_made_longer_before_its_content_came(
    zeros: int, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    borders, whole = ends(path), written(path)
    for end in borders[1:]:
        path.write_bytes(whole[:end] + bytes(zeros))
        assert read(path) == RECORDS[: borders.index(end)]
    path.write_bytes(whole[:-16] + bytes(16))
    assert read(path) == RECORDS[:-1]


@SHARED
@given(st.data())
def test_a_changed_byte_is_never_believed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "log"
    whole = bytearray(written(path))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(whole))
    with pytest.raises(FederationError, match=r"(damaged|another version)"):
        RecordLog(path, "test")


def test_records_swapped_or_taken_out_are_found_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    borders, whole = ends(path), written(path)
    title, first, second, third = (
        whole[start:end] for start, end in zip([0, *borders], borders, strict=False)
    )
    for changed in (title + second + first + third, title + second + third, title + first + third):
        path.write_bytes(changed)
        with pytest.raises(FederationError, match="damaged: record"):
            RecordLog(path, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"fed-audience test, version 2\n", "written by another version"),
        (b"fed-audience other, version 1\n", "does not begin as one"),
        (b"\x89PNG", "does not begin as one"),
    ],
)
def test_what_is_no_log_of_ours_is_left_as_it_is(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(text)
    with pytest.raises(FederationError, match=message) as caught:
        RecordLog(path, "test")
    assert caught.value.looked == str(path)
    assert path.read_bytes() == text


def test_a_full_disk_is_named_and_leaves_the_records_before(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = written(path)
    with (
        RecordLog(path, "test") as log,
        full_disk(len(whole) + 100),
        pytest.raises(ResourceError, match="cannot be written") as caught,
    ):
        log.append(1, bytes(1_000))
    assert caught.value.looked == str(path)
    assert path.read_bytes() == whole
    assert read(path) == RECORDS


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        RecordLog(tmp_path / "file" / "log", "test")


def test_one_process_holds_a_log(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "log", "test")
    with pytest.raises(ResourceError, match="another process holds"):
        RecordLog(tmp_path / "log", "test")
    log.close()
    assert read(tmp_path / "log") == []
