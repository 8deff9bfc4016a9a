"""What one site sends: bytes of every kind of round of one secure training, read off its messages.

The level of 32 nodes is the deepest of a tree of depth 6: of each pair of siblings one is built and
sent, so 16 histograms. Masked vectors are noise and cannot be compressed further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.privacy.secure_training import tables, trained
from fed_audience.federation import messages as m
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from fed_audience.federation.transport import Envelope

WHAT = {
    m.ValueCounts: "counts for the bins, round {level}",
    m.RootHistogram: "root histogram",
    m.LevelHistogram: "level of {nodes} nodes",
}


def measure(rows: int = 300_000, features: int = 30, bins: int = 64) -> list[dict[str, Any]]:
    """Return a row for each kind of round: the most bytes that a site sent in one of that kind."""
    asked: dict[str, m.Request] = {}
    found: dict[str, dict[str, Any]] = {}

    def note(envelope: Envelope) -> None:
        if envelope.direction == "to_site":
            asked[envelope.site] = m.decode_request(envelope.body)
            return
        reply, request = m.decode_reply(envelope.body), asked[envelope.site]
        if not isinstance(reply, m.VectorReply) or type(reply) not in WHAT:
            return
        nodes = len(request.build) if isinstance(request, m.GrowLevel) else 0
        row = {
            "sent": WHAT[type(reply)].format(level=reply.slot.level, nodes=2 * nodes),
            "nodes": 2 * nodes,
            "histograms": nodes or int(isinstance(reply, m.RootHistogram)),
            "bytes": len(envelope.body),
            "elements_of_bits": _packing(request),
        }
        if row["bytes"] > found.get(row["sent"], row | {"bytes": 0})["bytes"]:
            found[row["sent"]] = row

    parameters = TrainingParameters(n_estimators=3, max_depth=6, num_leaves=64, max_bin=bins)
    trained(tables(rows, features, 3), parameters, on_message=note)
    return list(found.values())


def _packing(request: m.Request) -> str:
    """Say how gradient and hessian travel."""
    if not isinstance(request, m.StartTree | m.GrowLevel):
        return "32"
    bits, wide = request.packing.bits, len(request.wide)
    if not request.packing.hessian_bits:
        return f"{bits}, one each"
    return f"{bits}, both in one" + (f" but in {wide} slots" if wide else "")
