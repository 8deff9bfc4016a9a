"""What left a site, byte by byte: nothing but messages of the catalogue, and no value of a row."""

from __future__ import annotations

import ast
import inspect
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.federation import Envelope, InProcessTransport, SiteProgram, explain, train
from fed_audience.federation import messages as m
from fed_audience.federation import site as site_module
from fed_audience.gbdt.histogram import SlotLayout
from tests.federation.example import KEY, manifest, programs, run, split, table

CANARY_NUMBERS = [1234.56789012345, 98765.4321098765, 31337.31337]
CANARY_TEXTS = ["canary.person@example.com", "canary-country-7f3a", "canary-key-91c2"]
ROWS = table(1_500, seed=8)


def planted() -> pa.Table:
    """One row whose every column holds a value found nowhere else."""
    columns = {name: ROWS[name].to_pylist() for name in ROWS.column_names}
    columns["spend"][3:6] = CANARY_NUMBERS
    columns["country"][3] = CANARY_TEXTS[1]
    columns["channel"][3] = CANARY_TEXTS[0]
    columns["customer"][3] = CANARY_TEXTS[2]
    return pa.table(columns)


@pytest.fixture(scope="module")
def sent() -> list[Envelope]:
    seen: list[Envelope] = []
    owner = np.arange(ROWS.num_rows) % 3
    tables = split(planted(), owner, ["a", "b", "c"])
    agreed = manifest(list(tables), n_estimators=15, early_stopping_round=3)
    transport = InProcessTransport(programs(tables), seen.append)
    explain(transport, agreed, train(transport, agreed).model)
    return [envelope for envelope in seen if envelope.direction == "from_site"]


def test_every_byte_is_a_reply_of_the_catalogue(sent: list[Envelope]) -> None:
    kinds = {type(m.decode_reply(envelope.body)) for envelope in sent}
    assert kinds - {m.ValidationLoss} == {*m.REPLIES} - {m.Refused, m.ValidationLoss}
    for envelope in sent:
        assert m.encode(m.decode_reply(envelope.body)) == envelope.body


def test_no_planted_value_is_in_any_byte(sent: list[Envelope]) -> None:
    needles = [text.encode() for text in CANARY_TEXTS]
    for number in CANARY_NUMBERS:
        needles += [struct.pack("<d", number), struct.pack(">d", number), repr(number).encode()]
        needles += [struct.pack("<f", number), f"{number:.4f}".encode()]
    for envelope in sent:
        for needle in needles:
            assert needle not in envelope.body


def test_no_reply_names_a_site_a_column_or_a_category(sent: list[Envelope]) -> None:
    words = [name.encode() for name in ROWS.column_names]
    words += [f"country {code}".encode() for code in range(40)]
    for envelope in sent:
        for word in words:
            assert word not in envelope.body


def test_boosting_rounds_carry_no_count() -> None:
    """Root and level vectors hold g and h of used bins; the root a loss and what was clipped."""
    seen: list[Envelope] = []
    result = run({"a": ROWS}, on_message=seen.append, n_estimators=3, early_stopping_round=3)
    slots = SlotLayout.from_bins(result.encoder.bins).slots
    for envelope in seen:
        if envelope.direction == "to_site":
            continue
        reply = m.decode_reply(envelope.body)
        if isinstance(reply, m.RootHistogram):
            assert len(reply.values) == 2 * slots + 2
            assert reply.values[-1] == 0
        if isinstance(reply, m.LevelHistogram):
            assert len(reply.values) % (2 * slots) == 0


def test_hessians_of_two_trees_differ() -> None:
    """A count would be the same vector in each tree; these sums change with the scores."""
    seen: list[Envelope] = []
    run({"a": ROWS}, on_message=seen.append, n_estimators=3)
    replies = [m.decode_reply(e.body) for e in seen if e.direction == "from_site"]
    roots = [reply.values[1::2] for reply in replies if isinstance(reply, m.RootHistogram)]
    assert len(roots) == 3
    assert not np.array_equal(roots[0], roots[1])
    assert not np.array_equal(roots[1], roots[2])


def test_a_vector_leaves_through_one_method_only() -> None:
    """``_release`` is the only function of the site program that makes a vector reply."""
    tree = ast.parse(inspect.getsource(site_module))
    vectors = {kind.__name__ for kind in m.REPLIES if issubclass(kind, m.VectorReply)}
    made: list[str] = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    if name in vectors or name == "kind":
                        made.append(function.name)
    assert made == ["_release"]


def test_removing_the_way_out_stops_every_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[type[m.VectorReply]] = []
    original = SiteProgram._release

    def watched(self: SiteProgram, kind: Any, values: Any, slot: m.Slot) -> bytes:
        released.append(kind)
        assert values.dtype == np.int64
        assert values.ndim == 1
        return original(self, kind, values, slot)

    monkeypatch.setattr(SiteProgram, "_release", watched)
    seen: list[Envelope] = []
    run({"a": ROWS}, on_message=seen.append, n_estimators=2, early_stopping_round=2)
    replies = [m.decode_reply(e.body) for e in seen if e.direction == "from_site"]
    assert released == [type(reply) for reply in replies if isinstance(reply, m.VectorReply)]


def test_the_category_key_stays_at_the_sites(sent: list[Envelope]) -> None:
    for envelope in sent:
        assert KEY not in envelope.body
