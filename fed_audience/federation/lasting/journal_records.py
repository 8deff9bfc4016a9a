"""What a journal keeps of a run, as JSON: what was prepared, what was decided, the books."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fed_audience.errors import FederationError
from fed_audience.federation.rounds.books import Books
from fed_audience.gbdt.bins import CategoryBins, NumericBins
from fed_audience.gbdt.growing.grower import NodeSplit
from fed_audience.gbdt.tree import NodeSums, Split, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fed_audience.gbdt.bins import FeatureBins

_LENGTH: Final = struct.Struct("<I")


Warned = tuple[tuple[str, str], ...]
"""Warnings that were told meanwhile: a site, empty for all together, and the text."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What the sites agreed on before the first tree.

    ``counts``: training rows, validation rows, weight of these. ``label_sums``: int64[k] of the
    objective. ``rows_by_slot``: int64[slots], training rows of all sites by bin. ``level_bytes``:
    what a site sends at most for a level.
    """

    bins: tuple[FeatureBins, ...]
    label_cap: float
    counts: tuple[int, int, int]
    label_sums: NDArray[np.int64]
    rows_by_slot: NDArray[np.int64]
    level_bytes: int
    warnings: Warned = ()

    def to_document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "bins": [
                {"cuts": list(b.thresholds)}
                if isinstance(b, NumericBins)
                else {"prefixes": list(b.prefixes)}
                for b in self.bins
            ],
            "label_cap": self.label_cap,
            "counts": list(self.counts),
            "label_sums": self.label_sums.tolist(),
            "rows_by_slot": self.rows_by_slot.tolist(),
            "level_bytes": self.level_bytes,
            "warnings": [list(pair) for pair in self.warnings],
        }

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Preparation:
        """Read ``to_document`` back."""
        rows, validation_rows, weight = document["counts"]
        return cls(
            tuple(
                NumericBins(tuple(b["cuts"])) if "cuts" in b else CategoryBins(tuple(b["prefixes"]))
                for b in document["bins"]
            ),
            document["label_cap"],
            (rows, validation_rows, weight),
            np.array(document["label_sums"], dtype=np.int64),
            np.array(document["rows_by_slot"], dtype=np.int64),
            document["level_bytes"],
            _warned(document),
        )


@dataclass(frozen=True, slots=True)
class FinishedTrees:
    """One round of trees, a tree a class, with their nodes' totals.

    ``unsent``: splits that some site may not know yet; with ``leaves``, node -> value, they close
    the trees at the sites. ``loss`` and ``clipped`` came with their roots. ``cohort``: the sites
    that they were summed over.
    """

    number: int
    trees: tuple[Tree, ...]
    unsent: Sequence[Sequence[NodeSplit]]
    leaves: Sequence[Mapping[int, float]]
    loss: int
    clipped: int
    cohort: tuple[str, ...]
    warnings: Warned = ()

    def to_document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            **asdict(self),
            "leaves": [[list(pair) for pair in of_class.items()] for of_class in self.leaves],
        }

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> FinishedTrees:
        """Read ``to_document`` back."""
        return cls(
            document["number"],
            tuple(map(_tree, document["trees"])),
            tuple(
                tuple(
                    NodeSplit(s["node"], _split(s["split"]), s["left"], s["right"])
                    for s in of_class
                )
                for of_class in document["unsent"]
            ),
            tuple(dict(of_class) for of_class in document["leaves"]),
            document["loss"],
            document["clipped"],
            tuple(document["cohort"]),
            _warned(document),
        )


@dataclass(frozen=True, slots=True)
class SharesLeft:
    """Which sites left shares of their seeds, and which hold them, from ``first_tree`` on."""

    cohort: tuple[str, ...]
    first_tree: int
    sharers: tuple[str, ...]
    holders: tuple[str, ...]

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> SharesLeft:
        """Read ``asdict`` back."""
        return cls(
            tuple(document["cohort"]),
            document["first_tree"],
            tuple(document["sharers"]),
            tuple(document["holders"]),
        )


def packed(document: dict[str, Any], blob: bytes = b"", books: Books | None = None) -> bytes:
    """Return the content of a record: JSON with the books, then bytes as they are."""
    whole = {**document, "books": None if books is None else books.to_document()}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return b"".join((_LENGTH.pack(len(text)), text, blob))


def unpacked(content: bytes) -> tuple[dict[str, Any], bytes, Books | None]:
    """Read ``packed`` back. Raises FederationError for other content."""
    try:
        (length,) = _LENGTH.unpack_from(content)
        end = _LENGTH.size + length
        document = json.loads(content[_LENGTH.size : end])
        books = document.pop("books")
        return document, content[end:], None if books is None else Books.of_document(books)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise FederationError(
            "a record of the journal cannot be read",
            value=type(error).__name__,
            fix="end the run with the version that began it, or begin a new run",
        ) from error


def _warned(document: dict[str, Any]) -> Warned:
    return tuple((site, text) for site, text in document["warnings"])


def _split(document: dict[str, Any]) -> Split:
    return Split(**{**document, "left_codes": tuple(document["left_codes"])})


def _tree(document: dict[str, Any]) -> Tree:
    return Tree(
        splits=tuple(map(_split, document["splits"])),
        left=tuple(document["left"]),
        right=tuple(document["right"]),
        leaf_values=tuple(document["leaf_values"]),
        internal_sums=tuple(NodeSums(**sums) for sums in document["internal_sums"]),
        leaf_sums=tuple(NodeSums(**sums) for sums in document["leaf_sums"]),
    )
