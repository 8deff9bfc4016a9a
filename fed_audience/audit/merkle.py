"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs, and their verification."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry into a leaf, 32 bytes (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent, 32 bytes (RFC 6962, section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A tree that only grows; roots and proofs cost a logarithm of its size."""

    def __init__(self) -> None:
        # _levels[k][i]: hash of the complete subtree over leaves i * 2^k to (i + 1) * 2^k.
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    def append(self, entry: bytes) -> None:
        """Add ``entry`` as the last leaf."""
        level, height = self._levels[0], 0
        level.append(leaf_hash(entry))
        while len(level) % 2 == 0:
            parent = node_hash(level[-2], level[-1])
            height += 1
            if height == len(self._levels):
                self._levels.append([])
            level = self._levels[height]
            level.append(parent)

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first ``size`` leaves, by default all.

        Raises ValueError beyond the tree's size.
        """
        size = self.size if size is None else self._checked(size)
        found = b""
        # Complete subtrees, one for each bit of the size, from the smallest and last to the first.
        for height in range(size.bit_length()):
            if size >> height & 1:
                subtree = self._levels[height][(size >> height) - 1]
                found = node_hash(subtree, found) if found else subtree
        return found or sha256(b"").digest()

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the audit path of leaf ``index`` in the tree of ``size`` (RFC 6962, 2.1.1)."""
        size = self.size if size is None else self._checked(size)
        if not 0 <= index < size:
            raise ValueError(f"leaf {index} is not in a tree of {size}")
        begin, end, path = 0, size, list[bytes]()
        while end - begin > 1:
            middle = begin + _split(end - begin)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(begin, middle))
                begin = middle
        return path[::-1]

    def consistency_proof(self, first: int, second: int | None = None) -> list[bytes]:
        """Prove that the tree of ``first`` leaves begins the one of ``second`` (RFC 6962, 2.1.2).

        Empty where the sizes are equal or ``first`` is 0.
        """
        second = self.size if second is None else self._checked(second)
        if not 0 <= first <= second:
            raise ValueError(f"a tree of {first} does not begin one of {second}")
        if first in (0, second):
            return []
        begin, end, proof, whole = 0, second, list[bytes](), True
        while end != first:
            middle = begin + _split(end - begin)
            if first <= middle:
                proof.append(self._range(middle, end))
                end = middle
            else:
                proof.append(self._range(begin, middle))
                begin, whole = middle, False
        if not whole:
            proof.append(self._range(begin, end))
        return proof[::-1]

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise ValueError(f"the tree has {self.size} leaves, not {size}")
        return size

    def _range(self, begin: int, end: int) -> bytes:
        """Return the hash over leaves ``begin`` to ``end``, where RFC 6962 makes a subtree."""
        length = end - begin
        if length & (length - 1) == 0:
            height = length.bit_length() - 1
            return self._levels[height][begin >> height]
        middle = begin + _split(length)
        return node_hash(self._range(begin, middle), self._range(middle, end))


def includes(entry: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether ``proof`` shows ``entry`` as leaf ``index`` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf_hash(entry)
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def extends(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether ``proof`` shows that one tree begins another (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == sha256(b"").digest()
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(length: int) -> int:
    """Return the largest power of two below ``length``."""
    return 1 << ((length - 1).bit_length() - 1)
