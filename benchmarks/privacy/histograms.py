"""Reading histograms off the wire, as an attacker who heard the request does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fed_audience.federation import messages as m
from fed_audience.federation.messages.packing import SlotPacking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def pairs_of(request: m.StartTree | m.GrowLevel, vector: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read the pairs int64[nodes, slots, 2] of an answer to ``request``, of one class."""
    nodes, rides = (len(request.build), 0) if isinstance(request, m.GrowLevel) else (1, 2)
    behind = SlotPacking(request.packing, 0, request.wide).size(0, rides)
    elements = (len(vector) - behind) // nodes
    slots = elements - len(request.wide) if request.packing.hessian_bits else elements // 2
    how = SlotPacking.read(request.packing, request.wide, slots)
    return how.unpack(vector, nodes, rides)[0]
