"""Rows beyond what stays in memory lie in a file without a name, and are the same rows."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import FederationError, ResourceError
from fed_audience.federation import ArrowSource, InProcessTransport, SiteProgram, train
from fed_audience.federation.lasting.frozen_rows import identities
from fed_audience.federation.messages.refusal import Refusal
from fed_audience.federation.site import spooled_table
from fed_audience.federation.site.rows import read_rows
from fed_audience.federation.site.spooled_table import filtered, rest, table_of
from tests.compare.test_known_models import COMMON, KNOWN, known_rows
from tests.federation.example import KEY, manifest
from tests.federation.full_disk import full_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING_IN_MEMORY = -1
ROWS = known_rows()


class Streamed:
    """Rows that come in batches and are held by nobody."""

    def __init__(self, rows: pa.Table, batch_rows: int = 700) -> None:
        self._rows, self._batch_rows = rows, batch_rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._rows.to_batches(max_chunksize=self._batch_rows)


@pytest.fixture
def spooling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled_table, "MOST_IN_MEMORY", NOTHING_IN_MEMORY)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # what was found before
    return tmp_path


def nameless_files(folder: Path) -> list[int]:
    """Numbers of the files in ``folder`` that this process holds open without a name."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except FileNotFoundError:  # the one that lists the others
            continue
        if str(target).startswith(str(folder)):
            found.append(int(link.name))
    return found


cells = st.fixed_dictionaries(
    {
        "number": st.none() | st.floats(),
        "text": st.none() | st.text(max_size=5),
        "flag": st.none() | st.booleans(),
        "word": st.none() | st.sampled_from(["web", "app", "shop"]),
    }
)
TYPES: dict[str, Any] = {
    "number": pa.float64(),
    "text": pa.large_string(),
    "flag": pa.bool_(),
    "word": pa.dictionary(pa.int8(), pa.string()),
}
SCHEMA = pa.schema(TYPES)


@given(st.lists(st.lists(cells, max_size=9), min_size=1, max_size=4), st.data())
def test_rows_come_back_as_they_were_whatever_their_types(
    batches: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    coming = [pa.RecordBatch.from_pylist(batch, schema=SCHEMA) for batch in batches]
    sliced = [batch.slice(min(1, batch.num_rows)) for batch in coming]
    with pytest.MonkeyPatch.context() as patch:
        most = data.draw(st.integers(NOTHING_IN_MEMORY, sum(batch.nbytes for batch in sliced)))
        patch.setattr(spooled_table, "MOST_IN_MEMORY", most)
        held = table_of(sliced)
        whole = pa.Table.from_batches(sliced)
        assert held.schema == SCHEMA
        assert str(held.to_pylist()) == str(whole.to_pylist())  # as text NaN equals itself
        kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(held), max_size=len(held))))
        some = filtered(held, kept.astype(bool))
        assert str(some.to_pylist()) == str(whole.filter(pa.array(kept, pa.bool_())).to_pylist())


@pytest.mark.usefixtures("spooling")
def test_a_batch_of_other_columns_is_refused_as_in_memory() -> None:
    batches = [pa.RecordBatch.from_pydict({"x": [1]}), pa.RecordBatch.from_pydict({"y": [1]})]
    with pytest.raises(pa.ArrowInvalid):
        table_of(batches)


@pytest.mark.usefixtures("spooling")
@pytest.mark.parametrize("name", ["binary", "multiclass", "weights and constraints"])
@pytest.mark.parametrize("threads", [1, 2])
def test_spooled_rows_give_the_known_model(name: str, threads: int) -> None:
    changes, known = KNOWN[name]
    program = SiteProgram("all", Streamed(ROWS), KEY, threads=threads)
    agreed = manifest(["all"], **COMMON, **changes)
    assert train(InProcessTransport({"all": program}), agreed).sha256 == known


@pytest.mark.usefixtures("spooling")
def test_rows_that_came_since_are_left_out_of_spooled_ones_too() -> None:
    agreed = manifest(["all"])
    began = identities(ROWS.slice(0, 3_000), agreed)
    rows = read_rows(agreed, Streamed(ROWS), KEY, labelled=True, identified=True, frozen=began)
    assert rows.identities is not None
    np.testing.assert_array_equal(np.sort(rows.identities), np.sort(began))
    with pytest.raises(Refusal, match="no longer there") as refused:
        read_rows(agreed, Streamed(ROWS.slice(1)), KEY, labelled=True, frozen=began)
    assert refused.value.reason == "withdrawn"


def test_few_rows_need_no_file(folder: Path) -> None:
    with full_disk(0):
        assert table_of(ROWS.to_batches()).equals(ROWS)
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("spooling")
def test_a_table_that_is_held_anyway_is_not_written_to_a_file() -> None:
    with full_disk(0):
        read = read_rows(manifest(["all"]), ArrowSource(ROWS), KEY, labelled=True)
    assert read.rows == len(ROWS)


@pytest.mark.usefixtures("spooling")
def test_the_file_has_no_name_is_its_owners_and_goes_with_the_rows(folder: Path) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        (file,) = nameless_files(folder)
        assert not list(folder.iterdir())
        assert os.fstat(file).st_mode & 0o777 == 0o600

    held = table_of(batches())
    (mapped,) = nameless_files(folder)  # the mapping has a descriptor of its own
    assert os.fstat(mapped).st_size > ROWS.nbytes
    column = held.column("spend")
    del held
    assert nameless_files(folder)
    rest()
    assert column.equals(ROWS.column("spend"))
    del column
    assert not nameless_files(folder)
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("spooling")
def test_nothing_is_left_of_rows_that_stopped_coming(folder: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        raise ConnectionResetError("the warehouse has gone")

    with pytest.raises(ConnectionResetError, match="the warehouse has gone"):
        table_of(broken())
    assert not nameless_files(folder)
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("spooling")
def test_a_full_disk_is_named_with_the_folder_and_leaves_nothing(folder: Path) -> None:
    with full_disk(100_000), pytest.raises(ResourceError, match="temporary file") as refused:
        table_of(Streamed(ROWS).batches())
    assert refused.value.looked == str(folder)
    assert "TMPDIR" in (refused.value.fix or "")
    assert not nameless_files(folder)
    assert not list(folder.iterdir())


@pytest.mark.usefixtures("spooling", "folder")
def test_a_site_whose_disk_is_full_says_so_and_trains_once_there_is_room() -> None:
    program = SiteProgram("all", Streamed(ROWS), KEY)
    transport, agreed = InProcessTransport({"all": program}), manifest(["all"], **COMMON)
    with full_disk(100_000), pytest.raises(FederationError, match="no_room") as refused:
        train(transport, agreed)
    assert isinstance(refused.value, ResourceError)
    assert train(transport, agreed).sha256 == KNOWN["binary"][1]


def test_no_more_is_held_than_stays_in_memory_and_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    most, batch_rows, number = 400_000, 10_000, 40
    monkeypatch.setattr(spooled_table, "MOST_IN_MEMORY", most)
    size, before = 8 * batch_rows, pa.total_allocated_bytes()
    held = []

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, number * batch_rows, batch_rows):
            numbers = pc.add(pa.array(range(start, start + batch_rows)), 1)
            yield pa.RecordBatch.from_arrays([numbers], names=["x"])
            del numbers
            held.append(pa.total_allocated_bytes() - before)

    table = table_of(batches())
    assert table.num_rows == number * batch_rows
    assert max(held) <= most + 2 * size
    assert held[-1] <= 2 * size
    assert pa.total_allocated_bytes() - before <= size
    assert pc.sum(table["x"]).as_py() == sum(range(1, number * batch_rows + 1))
