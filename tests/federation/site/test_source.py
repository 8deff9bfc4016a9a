from __future__ import annotations

import pyarrow as pa

from fed_audience.federation import ArrowSource, RowSource


def test_batches_can_be_read_again() -> None:
    table = pa.concat_tables([pa.table({"x": [1, 2]}), pa.table({"x": [3]})])
    source: RowSource = ArrowSource(table)
    for _ in range(2):
        assert pa.Table.from_batches(list(source.batches())).equals(table)


def test_a_table_without_rows_still_shows_its_columns() -> None:
    schema = pa.table({"x": [1], "y": ["a"]}).schema
    (batch,) = ArrowSource(schema.empty_table()).batches()
    assert batch.num_rows == 0
    assert batch.schema == schema
