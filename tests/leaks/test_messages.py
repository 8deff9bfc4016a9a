"""What left a site, byte by byte: nothing but messages of the catalogue, and no value of a row."""

from __future__ import annotations

import ast
import inspect
import struct

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.federation import Envelope, InProcessTransport, SiteProgram, explain, train
from fed_audience.federation import messages as m
from fed_audience.federation.messages.packing import SlotPacking
from fed_audience.federation.site import program as site_module
from fed_audience.federation.site.run import SiteVector
from fed_audience.gbdt.kernels.histogram import SlotLayout
from fed_audience.privacy.dp.plan import PrivacyTerms
from tests.federation.example import KEY, manifest, programs, run, split, table
from tests.federation.faults import Faulty, losing
from tests.federation.private.example import private_manifest

CANARY_NUMBERS = [1234.56789012345, 98765.4321098765, 31337.31337]
CANARY_TEXTS = ["canary.person@example.com", "canary-country-7f3a", "canary-key-91c2"]
ROWS = table(1_500, seed=8)
OPENING: set[type[m.Reply]] = {
    m.SeedShares,
    m.SharesHeld,
    m.SurvivorsSigned,
    m.SeedRevealed,
    m.SharesReleased,
}
"""Sent from ten sites on."""

LASTING: set[type[m.Reply]] = {m.RunResumed, m.RunForgotten}
"""Sent when a run goes on after an interruption, or is over."""


def planted() -> pa.Table:
    """One row whose every column holds a value found nowhere else."""
    columns = {name: ROWS[name].to_pylist() for name in ROWS.column_names}
    columns["spend"][3:6] = CANARY_NUMBERS
    columns["country"][3] = CANARY_TEXTS[1]
    columns["channel"][3] = CANARY_TEXTS[0]
    columns["customer"][3] = CANARY_TEXTS[2]
    return pa.table(columns)


def sent_by_sites(*, secure: bool) -> list[Envelope]:
    seen: list[Envelope] = []
    owner = np.arange(ROWS.num_rows) % 3
    tables = split(planted(), owner, ["a", "b", "c"])
    agreed = manifest(list(tables), n_estimators=15, early_stopping_round=3, secure=secure)
    transport = InProcessTransport(programs(tables), seen.append)
    explain(transport, agreed, train(transport, agreed).model)
    noise = PrivacyTerms(4.0, 1e-6, evaluate=True)
    train(transport, private_manifest(list(tables), secure=secure, privacy=noise))
    return [envelope for envelope in seen if envelope.direction == "from_site"]


@pytest.fixture(scope="module")
def sent() -> list[Envelope]:
    """Without masks: what is not there cannot be hidden by them."""
    return sent_by_sites(secure=False)


@pytest.fixture(scope="module")
def sent_masked() -> list[Envelope]:
    return sent_by_sites(secure=True)


def test_every_byte_is_a_reply_of_the_catalogue(sent_masked: list[Envelope]) -> None:
    kinds = {type(m.decode_reply(envelope.body)) for envelope in sent_masked}
    never: set[type[m.Reply]] = {m.Refused, m.ValidationLoss, *OPENING, *LASTING}
    assert kinds - {m.ValidationLoss} == {*m.REPLIES} - never
    for envelope in sent_masked:
        assert m.encode(m.decode_reply(envelope.body)) == envelope.body


def test_sites_of_a_run_with_dropouts_send_replies_of_the_catalogue_alone() -> None:
    seen: list[Envelope] = []
    names = [f"s{i:02d}" for i in range(10)]
    tables = split(planted(), np.arange(ROWS.num_rows) % 10, names)
    vanishing = losing(["s04"], (1, 0), kind=m.RevealSeed, back=(1, 1))
    agreed = manifest(names, n_estimators=2, max_depth=2)
    train(Faulty(programs(tables), vanishing, seen.append), agreed, timeout=1.0)
    bodies = [envelope.body for envelope in seen if envelope.direction == "from_site"]
    kinds = {type(m.decode_reply(body)) for body in bodies}
    assert kinds >= OPENING
    needles = [text.encode() for text in CANARY_TEXTS]
    for body in bodies:
        assert m.encode(m.decode_reply(body)) == body
        assert not any(needle in body for needle in needles)


def test_every_vector_is_noise_to_who_sees_it_alone(sent_masked: list[Envelope]) -> None:
    """Bits are ones and zeros alike, and no element comes twice, though most cells are empty."""
    vectors = [
        reply.words
        for reply in (m.decode_reply(envelope.body) for envelope in sent_masked)
        if isinstance(reply, m.VectorReply)
    ]
    assert len(vectors) > 100
    together = np.concatenate(vectors)
    assert abs(np.unpackbits(together.view(np.uint8)).mean() - 0.5) < 0.001
    for words in vectors:
        assert len(np.unique(words)) > 0.99 * len(words)


def test_without_masks_the_same_vectors_are_mostly_zero(sent: list[Envelope]) -> None:
    replies = [m.decode_reply(envelope.body) for envelope in sent]
    counts = [reply.words for reply in replies if isinstance(reply, m.ValueCounts)]
    assert np.mean(np.concatenate(counts) == 0) > 0.9


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
    packings = [
        SlotPacking.read(request.packing, request.wide, slots)
        for request in (m.decode_request(e.body) for e in seen if e.direction == "to_site")
        if isinstance(request, m.StartTree | m.GrowLevel)
    ]
    boosting = [
        reply
        for reply in (m.decode_reply(e.body) for e in seen if e.direction == "from_site")
        if isinstance(reply, m.RootHistogram | m.LevelHistogram)
    ]
    assert len(packings) == len(boosting) > 6
    for packing, reply in zip(packings, boosting, strict=True):
        values = reply.integers(packing.ring)
        if isinstance(reply, m.RootHistogram):
            assert len(values) == packing.size(1, rides=2)
            assert packing.unpack(values, 1, rides=2)[1][1] == 0
        else:
            assert len(values) % packing.size(1) == 0


def test_hessians_of_two_trees_differ() -> None:
    """A count would be the same vector in each tree; these sums change with the scores."""
    seen: list[Envelope] = []
    result = run({"a": ROWS}, on_message=seen.append, n_estimators=3)
    slots = SlotLayout.from_bins(result.encoder.bins).slots
    roots = []
    for envelope in seen:
        message = m.decode(envelope.body)
        if isinstance(message, m.StartTree):
            packing = SlotPacking.read(message.packing, message.wide, slots)
        if isinstance(message, m.RootHistogram):
            pairs, _ = packing.unpack(message.integers(packing.ring), 1, rides=2)
            roots.append(pairs[0, :, 1])
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
                    if name in vectors | {"kind", "encoded"}:
                        made.append(function.name)
    assert made == ["_release"]


def test_removing_the_way_out_stops_every_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[type[m.VectorReply]] = []
    original = SiteProgram._release

    def watched(self: SiteProgram, request: m.Request, vector: SiteVector) -> bytes:
        released.append(vector.kind)
        assert vector.values.dtype == np.int64
        assert vector.values.ndim == 1
        return original(self, request, vector)

    monkeypatch.setattr(SiteProgram, "_release", watched)
    seen: list[Envelope] = []
    run({"a": ROWS}, on_message=seen.append, n_estimators=2, early_stopping_round=2)
    replies = [m.decode_reply(e.body) for e in seen if e.direction == "from_site"]
    assert released == [type(reply) for reply in replies if isinstance(reply, m.VectorReply)]


def test_the_category_key_stays_at_the_sites(sent: list[Envelope]) -> None:
    for envelope in sent:
        assert KEY not in envelope.body
