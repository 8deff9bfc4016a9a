from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.messages import wire
from fed_audience.federation.messages.packing import Packing
from fed_audience.privacy.masks import RING_32, RING_64, Ring, RingVector

SLOT = m.Slot(run="run", tree=3, level=1)
SPLITS: dict[str, Any] = {
    "split_nodes": np.array([[0, 0, 1, 2]], dtype=np.int32),
    "split_rules": np.array([[4, 17, 1]], dtype=np.int32),
    "left_codes": np.zeros((1, 32), dtype=np.uint8),
}
LEAVES: dict[str, Any] = {
    "leaf_nodes": np.array([[0, 1], [0, 2]], dtype=np.int32),
    "leaf_values": np.array([0.1, -0.3]),
}
VECTOR: dict[str, Any] = {"words": np.array([1, 0, 2**32 - 1, 7], dtype=np.uint32)}
EXAMPLES: dict[type[m.Request | m.Reply], dict[str, Any]] = {
    m.OpenRun: {"manifest": '{"å": 1}'},
    m.CountValues: {
        "numeric": (0, 2),
        "grids": ("[]", "[[3,[7]]]"),
        "bucketed": (1,),
        "refined": (3,),
        "survivor_counts": (2,),
        "labels": True,
        "survivors": np.array([5, 65_535], dtype=np.uint32),
    },
    m.FixBins: {
        "sizes": (2, 1),
        "label_cap": 64.0,
        "thresholds": np.array([0.5, 2.25]),
        "prefixes": np.array([77], dtype=np.uint32),
    },
    m.StartTree: {
        "base_scores": np.array([-1.1]),
        "features": np.array([0, 4], dtype=np.int32),
        "packing": Packing(hessian_bits=12),
        "wide": np.array([3, 5], dtype=np.int32),
        **SPLITS,
        **LEAVES,
    },
    m.GrowLevel: {"build": np.array([[0, 2]], dtype=np.int32), **SPLITS},
    m.FinishTraining: {**SPLITS, **LEAVES},
    m.ScoreValidation: {
        "base_scores": np.array([0.1 + 0.2]),
        "tree_splits": np.array([1], dtype=np.int32),
        "split_rules": SPLITS["split_rules"],
        "left_codes": SPLITS["left_codes"],
        "children": np.array([[-1, -2]], dtype=np.int32),
        "leaf_values": np.array([0.5, -0.5]),
    },
    m.ExplainRows: {
        "base_scores": np.array([0.1 + 0.2]),
        "tree_splits": np.array([1], dtype=np.int32),
        "split_rules": SPLITS["split_rules"],
        "left_codes": SPLITS["left_codes"],
        "children": np.array([[-1, -2]], dtype=np.int32),
        "leaf_values": np.array([0.5, -0.5]),
        "rows": 1_000,
        "leaf_covers": np.array([3, 2**30], dtype=np.int32),
    },
    m.PresentKey: {},
    m.AgreeKeys: {
        "counters": (1, 2),
        "public_keys": ("a" * 64, "b" * 64),
        "signatures": ("c" * 128, "d" * 128),
    },
    m.ShareSeeds: {},
    m.HoldShares: {"senders": (0, 2), "envelopes": np.array([[1, 2], [3, 255]], dtype=np.uint8)},
    m.SignSurvivors: {"survivors": (0, 2, 3)},
    m.RevealSeed: {"signatures": ("c" * 128, "d" * 128)},
    m.ReleaseShares: {"signatures": ("c" * 128,), "missing": (1,)},
    m.HashCategories: {},
    m.CountNoisily: {},
    m.FixNoisyBins: {
        "sizes": (2, 1),
        "base_score": -1.5,
        "thresholds": np.array([0.5, 2.25]),
        "prefixes": np.array([77], dtype=np.uint32),
    },
    m.ScoreNoisily: {"updated": 4, "values": np.array([0.5, -0.25, 0.0])},
    m.SumFeature: {"feature": 1, "updated": 0, "values": np.array([0.25, -0.5])},
    m.ResumeRun: {},
    m.ForgetRun: {},
    m.RunResumed: {"manifest_sha256": "e" * 64},
    m.RunForgotten: {},
    m.RunOpened: {
        "manifest_sha256": "a" * 64,
        "category_check": "0123456789abcdef",
        "notes": ("no_rows",),
        "missing_features": (3,),
    },
    m.ValueCounts: VECTOR,
    m.LabelCounts: VECTOR,
    m.RootHistogram: VECTOR,
    m.LevelHistogram: VECTOR,
    m.ValidationLoss: VECTOR,
    m.ScoreHistogram: VECTOR,
    m.ContributionSums: VECTOR,
    m.RunKey: {
        "roster_sha256": "a" * 64,
        "counter": 1,
        "public_key": "b" * 64,
        "signature": "c" * 128,
    },
    m.KeysAgreed: {"transcript": "d" * 64},
    m.SeedShares: {"envelopes": np.array([[1, 2, 255]], dtype=np.uint8)},
    m.SharesHeld: {},
    m.SurvivorsSigned: {"signature": "c" * 128, "pair_keys": ("a" * 64,)},
    m.SeedRevealed: {"seed": "b" * 64},
    m.SharesReleased: {"shares": np.array([[1, 2**32 - 1]], dtype=np.uint32)},
    m.CategoryHashes: {"prefixes": np.array([77, 2**24 - 1], dtype=np.uint32)},
    m.NoisyCounts: VECTOR,
    m.BinsFixed: {},
    m.NoisySums: VECTOR,
    m.NoisyScores: VECTOR,
    m.Refused: {"reason": "row_keys", "column": "customer"},
}
BODIES = {kind: m.encode(kind(slot=SLOT, **fields)) for kind, fields in EXAMPLES.items()}
KINDS = sorted(EXAMPLES, key=lambda kind: kind.kind)


def test_examples_cover_the_catalogue() -> None:
    assert set(EXAMPLES) == set(m.CATALOGUE.values())
    assert set(m.CATALOGUE.values()) == {*m.REQUESTS, *m.REPLIES}
    assert len(m.CATALOGUE) == len(m.REQUESTS) + len(m.REPLIES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_survives_the_wire_bit_for_bit(kind: type[m.Request | m.Reply]) -> None:
    decoded = m.decode(BODIES[kind])
    assert type(decoded) is kind
    assert m.encode(decoded) == BODIES[kind]
    for name, value in EXAMPLES[kind].items():
        found = getattr(decoded, name)
        if isinstance(value, np.ndarray):
            assert found.dtype == value.dtype
            assert np.array_equal(found, value)
        else:
            assert found == value


@pytest.mark.parametrize("ring", [RING_32, RING_64])
@pytest.mark.parametrize("values", [[], [7], [1, -2, 3]])
def test_a_vector_written_in_place_makes_the_same_bytes(values: list[int], ring: Ring) -> None:
    slot = m.Slot(run="r", tree=1, level=2)
    elements = ring.elements(np.array(values, dtype=np.int64))

    def write(out: RingVector) -> None:
        assert not out.any()
        out[:] = elements

    whole = m.LevelHistogram(slot=slot, words=elements.view("<u4"))
    body = m.LevelHistogram.encoded(slot, ring, len(values), write)
    assert body == m.encode(whole)
    assert isinstance(body, bytes)


@pytest.mark.parametrize("kind", m.REPLIES)
def test_replies_hold_integers_and_closed_words_only(kind: type[m.Reply]) -> None:
    """No float leaves a site, and no text that a site could fill with a row's value."""
    assert all(array.dtype in {"<u4", "|u1"} for array in kind.array_types().values())
    schema = json.dumps(
        {
            name: str(field.annotation)
            for name, field in kind.model_fields.items()
            if name not in kind.array_types()
        }
    )
    assert "float" not in schema


def test_every_type_says_what_it_reveals() -> None:
    for kind in m.CATALOGUE.values():
        assert kind.reveals.endswith(".")
        assert kind.__doc__


def test_requests_and_replies_are_not_mistaken_for_each_other() -> None:
    for kind in m.REQUESTS:
        assert type(m.decode_request(BODIES[kind])) is kind
        with pytest.raises(FederationError, match="not in the catalogue"):
            m.decode_reply(BODIES[kind])
    for reply in m.REPLIES:
        assert type(m.decode_reply(BODIES[reply])) is reply
        with pytest.raises(FederationError, match="not in the catalogue"):
            m.decode_request(BODIES[reply])


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(FederationError):
        m.decode(body)


@given(kind=st.sampled_from(KINDS), data=st.data())
def test_a_flipped_bit_is_refused_or_is_another_valid_message(
    kind: type[m.Request | m.Reply], data: st.DataObject
) -> None:
    """Nothing but FederationError escapes, and what decodes encodes to the same bytes."""
    body = bytearray(BODIES[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decoded = m.decode(bytes(body))
    except FederationError:
        return
    assert m.encode(decoded) == bytes(body)


@given(kind=st.sampled_from(KINDS), data=st.data())
def test_cut_or_lengthened_bodies_are_refused(
    kind: type[m.Request | m.Reply], data: st.DataObject
) -> None:
    body = BODIES[kind]
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(FederationError):
        m.decode(body[:cut])
    with pytest.raises(FederationError):
        m.decode(body + data.draw(st.binary(min_size=1, max_size=20)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def with_header(kind: int, header: bytes, arrays: int, payload: bytes = b"") -> bytes:
    padded = header + b" " * (-len(header) % 8)
    prefix = struct.pack("<4sBBHII", b"FAUD", wire.WIRE_VERSION, kind, 0, len(padded), arrays)
    return prefix + padded + payload


@given(kind=st.sampled_from(sorted(m.CATALOGUE)), header=JSON, arrays=st.integers(0, 6))
def test_a_foreign_header_is_refused(kind: int, header: Any, arrays: int) -> None:
    with pytest.raises(FederationError):
        m.decode(with_header(kind, json.dumps(header).encode(), arrays))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b'{"arrays":[[3]],"fields":{"slot":{}}}', "cut short"),
        (b'{"arrays":[[-1]],"fields":{"slot":{}}}', "shape is malformed"),
        (b'{"arrays":[[99999999999999999999]],"fields":{}}', "shape is malformed"),
        (b'{"arrays":[[true]],"fields":{}}', "shape is malformed"),
        (b'{"arrays":[],"fields":{}}', "other arrays"),
        (b'{"arrays":[[0]],"fields":{"slot":{"run":"r","tree":1,"level":NaN}}}', "NaN"),
        (b"[" * 20_000, "message cannot be read"),
    ],
)
def test_a_bad_header_is_named(header: bytes, why: str) -> None:
    with pytest.raises(FederationError, match=why):
        m.decode(with_header(m.ValueCounts.kind, header, 1))


def test_a_header_in_another_spelling_is_refused() -> None:
    fields = '"fields":{"slot":{"attempt":0,"level":1,"run":"run","tree":3}}'
    plain = with_header(m.ValueCounts.kind, f'{{"arrays":[[0]],{fields}}}'.encode(), 1)
    assert m.encode(m.decode(plain)) == plain
    spaced = f'{{"arrays": [[0]],{fields}}}'
    with pytest.raises(FederationError, match="canonical"):
        m.decode(with_header(m.ValueCounts.kind, spaced.encode(), 1))


def test_another_version_is_named() -> None:
    body = bytearray(BODIES[m.LabelCounts])
    body[4] = 9
    with pytest.raises(FederationError, match="version 9, this program speaks version 1"):
        m.decode(bytes(body))


def test_a_large_header_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_HEADER_BYTES", 16)
    with pytest.raises(FederationError, match="header is longer than 16"):
        m.decode(BODIES[m.LabelCounts])
    monkeypatch.setattr(wire, "MAX_BODY_BYTES", 16)
    with pytest.raises(FederationError, match="longer than 16"):
        m.decode(BODIES[m.LabelCounts])


@pytest.mark.parametrize(
    "words", [np.zeros(3), np.zeros((2, 2), np.uint32), np.zeros(2, np.int64), [1, 2]]
)
def test_only_the_declared_array_type_can_be_sent(words: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        m.LabelCounts(slot=SLOT, words=words)


def test_a_slot_outside_its_range_cannot_be_made() -> None:
    for fields in ({"tree": -2}, {"level": -1}, {"attempt": 2**31}, {"run": ""}):
        with pytest.raises(ValueError, match=next(iter(fields))):
            m.Slot(**({"run": "r", "tree": 0, "level": 0} | fields))  # type: ignore[arg-type]
