"""Label inference: a row that is alone in a cell of a histogram shows its label.

In the first tree every row's hessian is the same number, so a cell's hessian over that number is a
count of rows; where it is one, the sign of the gradient is the row's label. The attacker knows what
the coordinator knows: the requests, and the answers as they left the sites. Every label that it
reads is compared with the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.privacy.histograms import pairs_of
from benchmarks.privacy.secure_training import tables, trained
from fed_audience.federation import messages as m
from fed_audience.gbdt.bins import MISSING_CODE
from fed_audience.gbdt.kernels.histogram import SlotLayout
from fed_audience.gbdt.parameters import TrainingParameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fed_audience.federation import TrainingResult
    from fed_audience.federation.transport import Envelope

    Integers = NDArray[np.int64]

SITES: Final = 10
DEPTH: Final = 6


@dataclass(slots=True)
class Heard:
    """The first tree's rounds as they crossed the borders: each request, and answers by site."""

    requests: list[m.StartTree | m.GrowLevel]
    answers: list[dict[str, m.VectorReply]]

    def note(self, envelope: Envelope) -> None:
        """Keep a message, if it is of the first tree."""
        if envelope.direction == "to_site":
            request = m.decode_request(envelope.body)
            if (
                isinstance(request, m.StartTree | m.GrowLevel)
                and request.slot.tree == 0
                and (not self.requests or request.slot != self.requests[-1].slot)
            ):
                self.requests.append(request)
                self.answers.append({})
            return
        reply = m.decode_reply(envelope.body)
        if isinstance(reply, m.RootHistogram | m.LevelHistogram) and reply.slot.tree == 0:
            self.answers[-1][envelope.site] = reply

    def vectors(self, sites: Iterable[str]) -> list[Integers]:
        """Add the answers of ``sites`` up, as ring elements, round by round."""
        found = []
        for request, answers in zip(self.requests, self.answers, strict=True):
            ring = request.packing.ring
            total = sum(answers[site].elements(ring) for site in sites)
            found.append(ring.integers(np.asarray(total)))
        return found


def histograms(heard: Heard, vectors: list[Integers]) -> dict[int, Integers]:
    """Read the sums of every node: node -> int64[slots, 2]; a sibling is parent minus child."""
    found: dict[int, Integers] = {}
    for request, vector in zip(heard.requests, vectors, strict=True):
        pairs = pairs_of(request, vector)
        if isinstance(request, m.StartTree):
            found[0] = pairs[0]
            continue
        built = request.build[:, 1].tolist()
        found.update(zip(built, pairs, strict=True))
        for _, parent, left, right in request.split_nodes.tolist():
            for one, other in ((left, right), (right, left)):
                if one in built:
                    found[other] = found[parent] - found[one]
    return found


def lone_cells(nodes: dict[int, Integers], one: int) -> list[tuple[int, int, bool]]:
    """Node, slot and label of every cell whose hessian is ``one``, that of one row."""
    return [
        (node, int(slot), bool(pairs[slot, 0] < 0))
        for node, pairs in nodes.items()
        for slot in np.flatnonzero(pairs[:, 1] == one)
    ]


def hessian_of_a_row(nodes: dict[int, Integers]) -> int:
    """Return the greatest common divisor of the root's cells: it divides them all."""
    return int(np.gcd.reduce(nodes[0][:, 1]))


class Truth:
    """Which rows are in which node and cell, from the rows themselves: to judge the attack by."""

    def __init__(self, result: TrainingResult, heard: Heard, rows: pa.Table) -> None:
        columns = {name: rows.column(name) for name in rows.column_names}
        self._codes = result.encoder.encode(columns, b"key", threads=1)
        self._labels = rows.column("label").to_numpy()
        self._layout = SlotLayout.from_bins(result.encoder.bins)
        self._nodes = {0: np.arange(len(rows))}
        for request in heard.requests:
            for (_, parent, left, right), (feature, bin_, missing) in zip(
                request.split_nodes.tolist(), request.split_rules.tolist(), strict=True
            ):
                inside = self._nodes[parent]
                codes = self._codes[inside, feature]
                goes = np.where(codes == MISSING_CODE, bool(missing), codes <= bin_)
                self._nodes[left], self._nodes[right] = inside[goes], inside[~goes]

    def told(self, cells: list[tuple[int, int, bool]]) -> tuple[int, int]:
        """Rows whose label was read rightly, and cells that were read wrongly or hold no one."""
        right: set[int] = set()
        wrong = 0
        for node, slot, label in cells:
            feature = int(np.searchsorted(self._layout.offsets, slot, side="right")) - 1
            bin_ = slot - int(self._layout.offsets[feature])
            code = MISSING_CODE if bin_ == self._layout.sizes[feature] else bin_
            inside = self._nodes.get(node, np.empty(0, dtype=np.int64))
            rows = inside[self._codes[inside, feature] == code]
            if len(rows) == 1 and bool(self._labels[rows[0]]) == label:
                right.add(int(rows[0]))
            else:
                wrong += 1
        return len(right), wrong


def attacked(rows: int, bins: int) -> list[dict[str, Any]]:
    """Train with masks and without; read labels from one site's answers and from the sums."""
    parts = tables(rows, 30, SITES)
    parameters = TrainingParameters(
        n_estimators=1, max_depth=DEPTH, num_leaves=2**DEPTH, max_bin=bins
    )
    site = min(parts)
    found = []
    for secure, sites, read in (
        (False, [site], "one plain message"),
        (True, [site], "one masked message"),
        (True, sorted(parts), "the sums"),
    ):
        heard = Heard([], [])
        result, _ = trained(parts, parameters, secure=secure, on_message=heard.note)
        owned = pa.concat_tables([parts[one] for one in sites])
        one = hessian_of_a_row(histograms(heard, heard.vectors(parts)))
        cells = lone_cells(histograms(heard, heard.vectors(sites)), one)
        right, wrong = Truth(result, heard, owned).told(cells)
        found.append(
            {
                "rows_of_all_sites": rows,
                "bins": bins,
                "read": read,
                "rows_in_it": len(owned),
                "labels_told": right,
                "share": round(right / len(owned), 4),
                "told_wrongly": wrong,
            }
        )
    return found


def measure() -> list[dict[str, Any]]:
    """Attack small and middling tables, with few bins and many."""
    return [row for rows in (2_000, 20_000) for bins in (32, 255) for row in attacked(rows, bins)]
