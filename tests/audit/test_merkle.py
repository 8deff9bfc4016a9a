"""The tree against Certificate Transparency's published vectors, and proofs of any two sizes."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.audit.merkle import MerkleTree, extends, includes, leaf_hash, node_hash

# Leaves, roots and proofs of the reference implementation of RFC 6962.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
entries = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def tree(leaves: list[bytes]) -> MerkleTree:
    grown = MerkleTree()
    for leaf in leaves:
        grown.append(leaf)
    return grown


def defined_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1, word by word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(defined_root(leaves[:split]), defined_root(leaves[split:]))


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_published(size: int) -> None:
    assert tree(LEAVES[:size]).root().hex() == ROOTS[size]
    assert tree(LEAVES).root(size).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_those_published(index: int, size: int) -> None:
    proof = tree(LEAVES).inclusion_proof(index, size)
    assert [part.hex() for part in proof] == INCLUSION[index, size]


@pytest.mark.parametrize(("first", "second"), CONSISTENCY)
def test_consistency_proofs_are_those_published(first: int, second: int) -> None:
    proof = tree(LEAVES).consistency_proof(first, second)
    assert [part.hex() for part in proof] == CONSISTENCY[first, second]


@given(entries)
def test_the_root_of_every_size_is_the_one_defined(leaves: list[bytes]) -> None:
    grown = tree(leaves)
    for size in range(len(leaves) + 1):
        assert grown.root(size) == defined_root(leaves[:size])


@given(entries, st.data())
def test_every_entry_is_proved_and_no_other(leaves: list[bytes], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    grown = tree(leaves)
    proof, root = grown.inclusion_proof(index, size), grown.root(size)
    assert includes(leaves[index], index, size, proof, root)
    assert not includes(leaves[index] + b"x", index, size, proof, root)
    assert not includes(leaves[index], index, size, [*proof, root], root)
    assert not includes(leaves[index], size, size, proof, root)
    if proof:
        assert not includes(leaves[index], index, size, proof[:-1], root)
        assert not includes(leaves[index], index, size, [bytes(32), *proof[1:]], root)


@given(entries, st.data())
def test_any_two_sizes_are_proved_consistent(leaves: list[bytes], data: st.DataObject) -> None:
    second = data.draw(st.integers(0, len(leaves)))
    first = data.draw(st.integers(0, second))
    grown = tree(leaves)
    old, new = grown.root(first), grown.root(second)
    proof = grown.consistency_proof(first, second)
    assert extends(first, old, second, new, proof)
    assert not extends(first, bytes(32), second, new, proof)
    assert not extends(first, old, second, bytes(32), proof) or first == 0
    assert not extends(first, old, second, new, [*proof, new])
    if proof:
        assert not extends(first, old, second, new, proof[:-1])
        assert not extends(first, old, second, new, [*proof[:-1], bytes(32)])


@given(entries, st.data())
def test_a_changed_past_is_never_consistent(leaves: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(leaves)))
    changed = list(leaves)
    changed[data.draw(st.integers(0, first - 1))] += b"x"
    before, after = tree(leaves), tree(changed)
    proof = after.consistency_proof(first)
    assert not extends(first, before.root(first), len(leaves), after.root(), proof)


def test_sizes_beyond_the_tree_are_refused() -> None:
    grown = tree(LEAVES)
    with pytest.raises(ValueError, match="8 leaves, not 9"):
        grown.root(9)
    with pytest.raises(ValueError, match="leaf 8 is not in a tree of 8"):
        grown.inclusion_proof(8)
    with pytest.raises(ValueError, match="a tree of 6 does not begin one of 5"):
        grown.consistency_proof(6, 5)
    assert not extends(5, grown.root(5), 4, grown.root(4), [])
    assert not extends(1, grown.root(1), 2, grown.root(2), [])
    assert not extends(3, grown.root(3), 8, grown.root(8), [])
