"""What a site answers, and what it refuses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.federation import ArrowSource, SiteProgram
from fed_audience.federation import messages as m
from fed_audience.federation.messages.payload import (
    bins_to_arrays,
    leaves_to_arrays,
    splits_to_arrays,
    trees_to_arrays,
)
from fed_audience.gbdt.bins import CategoryBins, Feature, NumericBins
from fed_audience.gbdt.growing.grower import NodeSplit
from fed_audience.gbdt.kernels.histogram import SlotLayout
from fed_audience.gbdt.tree import NodeSums, Split, Tree
from fed_audience.privacy.masks import RING_32
from tests.federation.example import KEY, manifest, table

if TYPE_CHECKING:
    from fed_audience.federation import Manifest

ROWS = table(400, seed=1)
FEATURES = (Feature("spend"), Feature("channel", categorical=True))
BINS = (NumericBins((3.0, 8.0, 20.0)), CategoryBins(()))
LAYOUT = SlotLayout.from_bins(BINS)
ROOT = Split(0, 0.0, 1)
STEP = splits_to_arrays([[NodeSplit(0, ROOT, 1, 2)]])
EMPTY: dict[str, Any] = {**splits_to_arrays([[]]), **leaves_to_arrays([{}])}


def slot(tree: int, level: int, attempt: int = 0, run: str = "run") -> m.Slot:
    return m.Slot(run=run, tree=tree, level=level, attempt=attempt)


def plain(**changes: Any) -> Manifest:
    """A run without masks: what the site computes can be read."""
    return manifest(["a", "b"], **{"features": FEATURES, "secure": False} | changes)


def opened(rows: pa.Table = ROWS, **changes: Any) -> tuple[SiteProgram, m.Reply]:
    program = SiteProgram("a", ArrowSource(rows), KEY)
    return program, open_run(program, plain(**changes))


def open_run(program: SiteProgram, agreed: Manifest) -> m.Reply:
    request = m.OpenRun(slot=slot(m.PREPARATION, 0), manifest=agreed.to_json())
    return m.decode_reply(program.handle(m.encode(request)))


def ask(program: SiteProgram, request: m.Request) -> m.Reply:
    return m.decode_reply(program.handle(m.encode(request)))


def refusal(reply: m.Reply) -> tuple[str, str]:
    assert isinstance(reply, m.Refused), reply
    return reply.reason, reply.column


def fix_bins(**changes: Any) -> m.FixBins:
    return m.FixBins(slot=slot(m.PREPARATION, 2), **bins_to_arrays(BINS) | changes)


def binned(**changes: Any) -> SiteProgram:
    program, _ = opened(**changes)
    assert isinstance(ask(program, fix_bins()), m.LabelCounts)
    return program


def start_tree(tree: int = 0, **changes: Any) -> m.StartTree:
    fields = {"base_scores": np.array([-0.5]), "features": np.arange(2, dtype=np.int32)}
    return m.StartTree(slot=slot(tree, 0), **EMPTY | fields | changes)


def grow(level: int = 1, attempt: int = 0, **changes: Any) -> m.GrowLevel:
    build = np.array([[0, 1]], dtype=np.int32)
    return m.GrowLevel(slot=slot(0, level, attempt), **{"build": build} | STEP | changes)


def started(**changes: Any) -> SiteProgram:
    program = binned(**changes)
    assert isinstance(ask(program, start_tree()), m.RootHistogram)
    return program


def test_opening_tells_no_number_of_the_site() -> None:
    _, reply = opened()
    assert isinstance(reply, m.RunOpened)
    assert reply.manifest_sha256 == plain().sha256
    assert (reply.notes, reply.missing_features) == ((), ())


def test_category_check_is_equal_exactly_where_keys_are() -> None:
    def check(key: bytes, run: str = "run") -> str:
        agreed = manifest(["a"], features=FEATURES, run_id=run)
        program = SiteProgram("a", ArrowSource(ROWS), key)
        request = m.OpenRun(slot=slot(m.PREPARATION, 0, run=run), manifest=agreed.to_json())
        reply = ask(program, request)
        assert isinstance(reply, m.RunOpened)
        return reply.category_check

    assert check(b"one") == check(b"one")
    assert check(b"one") != check(b"two")
    assert check(b"one") != check(b"one", "other run")


def test_counts_are_those_of_the_training_rows() -> None:
    program, _ = opened()
    request = m.CountValues(
        slot=slot(m.PREPARATION, 1),
        numeric=(0,),
        grids=("[]",),
        bucketed=(1,),
        refined=(),
        survivor_counts=(),
        survivors=np.empty(0, dtype=np.uint32),
    )
    reply = ask(program, request)
    assert isinstance(reply, m.ValueCounts)
    counts = reply.integers(RING_32)
    assert len(counts) == 2_049 + 1 + 1 + 65_536
    assert counts[:2_050].sum() == 400
    assert counts[2_051:].sum() == 400


def test_root_and_children_add_up() -> None:
    program = binned()
    root = ask(program, start_tree())
    assert isinstance(root, m.RootHistogram)
    sums = root.integers()[:-2].reshape(-1, 2)
    spend = ROWS["spend"].to_numpy()
    left = ask(program, grow())
    assert isinstance(left, m.LevelHistogram)
    built = left.integers().reshape(-1, 2)
    share = (spend <= 8.0).mean()
    hessian = sums[: LAYOUT.sizes[0], 1].sum()
    assert built[:2].tolist() == sums[:2].tolist()
    assert not built[2:4].any()
    assert built[:4, 1].sum() == pytest.approx(share * hessian)


def test_a_repeated_request_gets_the_same_bytes() -> None:
    program = started()
    body = m.encode(grow())
    first = program.handle(body)
    assert program.handle(body) == first
    following = ask(program, grow(2, **splits_to_arrays([[NodeSplit(2, ROOT, 3, 4)]])))
    assert isinstance(following, m.LevelHistogram)


def test_opening_twice_reads_the_rows_once() -> None:
    program, first = opened()
    again = open_run(program, plain())
    assert m.encode(again) == m.encode(first)
    assert isinstance(ask(program, fix_bins()), m.LabelCounts)


def test_a_new_attempt_carries_the_same_vector() -> None:
    program = started()
    first, again = ask(program, grow()), ask(program, grow(attempt=1))
    assert isinstance(first, m.LevelHistogram)
    assert isinstance(again, m.LevelHistogram)
    assert again.slot.attempt == 1
    assert np.array_equal(first.words, again.words)
    assert refusal(ask(program, grow(attempt=0))) == ("stale_slot", "")


def test_a_changed_request_for_an_answered_round_is_refused() -> None:
    program = started()
    ask(program, grow())
    other = grow(attempt=1, build=np.array([[0, 2]], dtype=np.int32))
    assert refusal(ask(program, other)) == ("changed_request", "")


def test_an_earlier_round_is_refused() -> None:
    program = started()
    ask(program, grow())
    assert refusal(ask(program, start_tree())) == ("stale_slot", "")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (grow(2, **splits_to_arrays([[NodeSplit(5, ROOT, 6, 7)]])), "wrong_state"),
        (grow(2, build=np.array([[0, 9]], dtype=np.int32)), "wrong_state"),
        (grow(2, **splits_to_arrays([[NodeSplit(0, Split(7, 0.0, 1), 1, 2)]])), "bad_message"),
        (grow(2, **splits_to_arrays([[NodeSplit(0, Split(0, 0.0, 4), 1, 2)]])), "bad_message"),
        (grow(2, **splits_to_arrays([[NodeSplit(0, Split(1, 0.0, -1, False, (3,)), 1, 2)]])),
         "bad_message"),
        (grow(2, **splits_to_arrays([[NodeSplit(0, Split(0, 0.0, 1, False, (3,)), 1, 2)]])),
         "bad_message"),
        (grow(2, split_nodes=np.array([[0, 0, 1, 1]], dtype=np.int32)), "bad_message"),
        (grow(2, split_nodes=np.array([[0, 0, -1, 1]], dtype=np.int32)), "bad_message"),
        (grow(2, left_codes=np.zeros((1, 31), dtype=np.uint8)), "bad_message"),
        (start_tree(1, **leaves_to_arrays([{0: float("nan")}])), "bad_message"),
        (start_tree(1, **leaves_to_arrays([{3: 0.5}])), "wrong_state"),
    ],
)  # fmt: skip
def test_a_request_that_fits_no_tree_is_refused(request_: m.Request, reason: str) -> None:
    program = started()
    assert refusal(ask(program, request_))[0] == reason


def test_requests_out_of_order_are_refused() -> None:
    program = SiteProgram("a", ArrowSource(ROWS), KEY)
    assert refusal(ask(program, fix_bins()))[0] == "no_run"
    program, _ = opened()
    assert refusal(ask(program, start_tree()))[0] == "wrong_state"
    a_reply = m.encode(m.LabelCounts(slot=slot(0, 0), words=np.zeros(8, np.uint32)))
    assert refusal(m.decode_reply(program.handle(a_reply)))[0] == "bad_message"
    other_run = m.FixBins(slot=slot(m.PREPARATION, 2, run="x"), **bins_to_arrays(BINS))
    assert refusal(ask(program, other_run))[0] == "wrong_run"


@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": (3,)},
        {"sizes": (2, 0)},
        {"thresholds": np.array([3.0, 3.0, 20.0])},
        {"thresholds": np.array([3.0, np.inf, np.nan])},
        {"sizes": (3, 2), "prefixes": np.array([5, 5], dtype=np.uint32)},
        {"sizes": (3, 1), "prefixes": np.array([2**24], dtype=np.uint32)},
        {"sizes": (3, 0), "prefixes": np.array([5], dtype=np.uint32)},
    ],
)
def test_malformed_bins_are_refused(changes: dict[str, Any]) -> None:
    program, _ = opened()
    assert refusal(ask(program, fix_bins(**changes)))[0] == "bad_message"


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_are_answered(body: bytes) -> None:
    program = SiteProgram("a", ArrowSource(ROWS), KEY)
    assert refusal(m.decode_reply(program.handle(body))) == ("bad_message", "")


def replaced(name: str, values: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    return ROWS.set_column(ROWS.column_names.index(name), name, pa.array(values, kind))


@pytest.mark.parametrize(
    ("rows", "changes", "expected"),
    [
        (ROWS.drop_columns("label"), {}, ("missing_column", "label")),
        (ROWS.drop_columns("customer"), {}, ("missing_column", "customer")),
        (ROWS, {"group_key": "household"}, ("missing_column", "household")),
        (ROWS.drop_columns("spend"), {}, ("missing_feature", "spend")),
        (replaced("spend", ["much"] * 400), {}, ("column_type", "spend")),
        (replaced("channel", [[1]] * 400), {}, ("column_type", "channel")),
        (replaced("label", ["yes"] * 400), {}, ("column_type", "label")),
        (replaced("label", [2] + [0] * 399), {}, ("label_values", "label")),
        (replaced("label", [None] + [0] * 399), {}, ("label_values", "label")),
        (replaced("customer", ["same"] * 400), {}, ("row_keys", "customer")),
        (replaced("customer", [None, *range(399)]), {}, ("row_keys", "customer")),
        (ROWS, {"row_cap": 399}, ("too_many_rows", "")),
        (ROWS.append_column("spend", ROWS["spend"]), {}, ("column_type", "spend")),
    ],
)
def test_rows_that_cannot_be_trained_with_are_refused_by_name(
    rows: pa.Table, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert refusal(opened(rows, **changes)[1]) == expected


def test_a_site_outside_the_roster_or_too_small_refuses() -> None:
    stranger = SiteProgram("z", ArrowSource(ROWS), KEY)
    assert refusal(open_run(stranger, manifest(["a", "b"])))[0] == "not_in_roster"
    cautious = SiteProgram("a", ArrowSource(ROWS), KEY, min_rows=1_000)
    assert refusal(open_run(cautious, plain()))[0] == "too_few_rows"


def test_dictionary_encoded_keys_and_labels_are_values() -> None:
    encoded = ROWS
    for name in ("customer", "label"):
        place = encoded.column_names.index(name)
        encoded = encoded.set_column(place, name, encoded[name].dictionary_encode())
    as_text, other = (
        ask(opened(rows, early_stopping_round=3)[0], fix_bins()) for rows in (ROWS, encoded)
    )
    assert m.encode(as_text) == m.encode(other)


def test_a_missing_feature_is_accepted_where_the_manifest_allows_it() -> None:
    program, reply = opened(ROWS.drop_columns("spend"), allow_missing_features=True)
    assert isinstance(reply, m.RunOpened)
    assert reply.missing_features == (0,)
    assert "feature spend is missing" in program.warnings[0]


def test_infinite_values_are_clipped_counted_and_told_at_the_site() -> None:
    spend = ROWS["spend"].to_pylist()
    program, reply = opened(replaced("spend", [float("inf"), -float("inf"), 1e300, *spend[3:]]))
    assert isinstance(reply, m.RunOpened)
    assert program.warnings == ["feature spend: 3 infinite or huge values clipped"]


@pytest.mark.parametrize(
    ("label", "note"), [([0] * 400, "no_positives"), ([1] * 400, "no_negatives")]
)
def test_a_site_of_one_class_takes_part_and_says_so(label: list[int], note: str) -> None:
    program, reply = opened(replaced("label", label))
    assert isinstance(reply, m.RunOpened)
    assert reply.notes == (note,)
    assert program.warnings


def test_nothing_of_a_row_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal's log line names the column and the numbers of rows, never a key or a value."""
    caplog.set_level(logging.DEBUG)
    opened(replaced("customer", ["secret-person"] * 400))
    opened(replaced("spend", ["secret-value"] * 400))
    opened(replaced("label", ["secret-label"] * 400))
    assert "row_keys" not in caplog.text
    assert "its row keys are null or not unique (customer)" in caplog.text
    assert "secret" not in caplog.text


TREE = Tree((ROOT,), (-1,), (-2,), (0.5, -0.5), (NodeSums(0, 0),), (NodeSums(0, 0),) * 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"tree_splits": np.array([2], dtype=np.int32)},
        {"tree_splits": np.array([-1, 2], dtype=np.int32)},
        {"children": np.array([[-1, -1]], dtype=np.int32)},
        {"children": np.array([[0, -2]], dtype=np.int32)},
        {"children": np.array([[-1, -2, -3]], dtype=np.int32)},
        {"leaf_values": np.array([0.5, np.inf])},
        {"leaf_values": np.array([0.5])},
    ],
)
def test_trees_that_are_no_trees_are_refused(changes: dict[str, Any]) -> None:
    program = started(early_stopping_round=5)
    fields = trees_to_arrays([TREE]) | changes
    request = m.ScoreValidation(slot=slot(m.EVALUATION, 0), base_scores=np.zeros(1), **fields)
    assert refusal(ask(program, request))[0] == "bad_message"


def test_validation_rows_are_counted_by_label_and_score() -> None:
    program = started(early_stopping_round=5)
    request = m.ScoreValidation(
        slot=slot(m.EVALUATION, 0), base_scores=np.zeros(1), **trees_to_arrays([TREE])
    )
    reply = ask(program, request)
    assert isinstance(reply, m.ScoreHistogram)
    counts = reply.integers()[:-1].reshape(2, -1)
    assert np.count_nonzero(counts.sum(axis=0)) == 2
    assert 40 < counts.sum() < 120
    assert reply.integers()[-1] > 0
