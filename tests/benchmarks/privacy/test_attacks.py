"""The attacks on real messages find what is there to find, and under masks nothing."""

from __future__ import annotations

import numpy as np

from benchmarks.privacy.differencing import measure as difference
from benchmarks.privacy.label_inference import attacked, lone_cells


def test_lone_cells_tell_their_labels() -> None:
    """A row's gradient is p - y: negative for a positive."""
    nodes = {0: np.array([[-70, 21], [30, 21], [-40, 42], [0, 0]])}
    assert lone_cells(nodes, 21) == [(0, 0, True), (0, 1, False)]


def test_labels_are_read_rightly_from_plain_messages_and_sums_and_never_from_masked_ones() -> None:
    plain, masked, summed = attacked(600, 16)
    assert plain["read"] == "one plain message"
    assert plain["labels_told"] > plain["rows_in_it"] / 2
    assert masked["labels_told"] == 0
    assert 0 < summed["share"] < plain["share"]
    assert plain["told_wrongly"] == summed["told_wrongly"] == 0


def test_a_leaver_is_read_to_the_last_cell_where_cohorts_are_free_and_not_at_all_under_rules() -> (
    None
):
    free, *ruled = difference(rows=800, features=5)
    assert free["cells_exact"] == free["cells"] > 100
    assert [row["cells_exact"] for row in ruled] == [0, 0, 0, 0]
    assert [row["answer"] for row in ruled] == [
        "noise",
        "refused: wrong_cohort",
        "refused: stale_slot",
        "refused: small_change",
    ]
