"""The tree of RFC 6962: against known roots, against pymerkle, and against changed proofs."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.audit import merkle

CT_LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hashes(count: int) -> list[bytes]:
    """Leaf hashes of small leaves."""
    return [merkle.leaf_hash(b"leaf %d" % number) for number in range(count)]


def test_the_roots_of_certificate_transparency() -> None:
    """The eight trees that every implementation of RFC 6962 is tested with have their known roots."""
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in CT_LEAVES]
    assert [merkle.root_of(leaves[:size]).hex() for size in range(1, 9)] == CT_ROOTS
    assert merkle.root_of([]) == merkle.EMPTY == hashlib.sha256(b"").digest()


def test_pymerkle_agrees_on_roots_and_proofs() -> None:
    """An independent implementation has the same roots, inclusion paths and consistency paths for all small trees."""
    pymerkle = pytest.importorskip("pymerkle")
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for size in range(1, 41):
        tree.append_entry(b"leaf %d" % (size - 1))
        leaves = hashes(size)
        assert tree.get_root(size) == merkle.root_of(leaves)
        for index in range(size):
            theirs = [bytes.fromhex(item) for item in tree.prove_inclusion(index + 1, size).serialize()["path"]]
            # pymerkle's path begins with the leaf itself
            assert theirs == [leaves[index], *merkle.inclusion_path(leaves, index)]
        for first in range(1, size):
            old, new = merkle.root_of(leaves[:first]), merkle.root_of(leaves)
            pymerkle.verify_consistency(old, new, tree.prove_consistency(first, size))
            assert merkle.verify_consistency(first, size, merkle.consistency_path(leaves, first), old, new)


@settings(deadline=None)
@given(parts=st.lists(st.integers(0, 40), max_size=8))
def test_leaves_may_come_in_any_portions(parts: list[int]) -> None:
    """A tree that grew in portions, also taken up again from its peaks, is the tree of all leaves."""
    leaves = hashes(sum(parts))
    tree, at = merkle.Tree(), 0
    for part in parts:
        tree.extend(leaves[at : at + part])
        at += part
        tree = merkle.Tree(tree.size, tree.peaks())
        assert tree.root() == merkle.root_of(leaves[:at])
        assert len(tree.peaks()) == at.bit_count()


@settings(deadline=None)
@given(size=st.integers(1, 200), data=st.data())
def test_inclusion_holds_for_the_leaf_and_nothing_else(size: int, data: st.DataObject) -> None:
    """A path proves its leaf at its place in its tree, and no other leaf, place, size, root or path."""
    index = data.draw(st.integers(0, size - 1))
    leaves = hashes(size)
    path, root = merkle.inclusion_path(leaves, index), merkle.root_of(leaves)
    assert merkle.verify_inclusion(leaves[index], index, size, path, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*path, root], root)
    assert not merkle.verify_inclusion(leaves[index], index, size, path, merkle.EMPTY)
    assert not merkle.verify_inclusion(leaves[index], size, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], -1, size, path, root)
    if path:
        assert not merkle.verify_inclusion(leaves[index], index, size, path[:-1], root)
        assert not merkle.verify_inclusion(leaves[index], index ^ 1, size, path, root)
        wrong = [bytes(32), *path[1:]]
        assert not merkle.verify_inclusion(leaves[index], index, size, wrong, root)


@settings(deadline=None)
@given(second=st.integers(1, 200), data=st.data())
def test_consistency_holds_for_what_grew_and_nothing_else(second: int, data: st.DataObject) -> None:
    """A path proves that one tree is the start of another, and not of one with a changed start."""
    first = data.draw(st.integers(1, second))
    leaves = hashes(second)
    path = merkle.consistency_path(leaves, first)
    old, new = merkle.root_of(leaves[:first]), merkle.root_of(leaves)
    assert merkle.verify_consistency(first, second, path, old, new)
    assert not merkle.verify_consistency(first, second, path, merkle.EMPTY, new)
    assert not merkle.verify_consistency(first, second, path, old, merkle.EMPTY)
    assert not merkle.verify_consistency(first, second, [*path, old], old, new)
    if first < second:
        rewritten = [merkle.leaf_hash(b"rewritten"), *leaves[1:]]
        assert not merkle.verify_consistency(first, second, path, old, merkle.root_of(rewritten))


def test_roots_of_aligned_blocks_are_a_tree_over_the_blocks() -> None:
    """The path of a leaf is the path in its block of 8 and then that of the block."""
    for size in range(1, 70):
        leaves = hashes(size)
        blocks = [merkle.root_of(leaves[at : at + 8]) for at in range(0, size, 8)]
        assert merkle.root_of(blocks) == merkle.root_of(leaves)
        for index in range(size):
            block = leaves[index // 8 * 8 : index // 8 * 8 + 8]
            path = merkle.inclusion_path(block, index % 8) + merkle.inclusion_path(blocks, index // 8)
            assert path == merkle.inclusion_path(leaves, index)


def test_what_is_no_tree_is_refused() -> None:
    """A wrong number of peaks, or a leaf or start that is not there, is an error."""
    with pytest.raises(ValueError, match="2 peaks"):
        merkle.Tree(3, [bytes(32)])
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.Tree(1, [b"short"])
    with pytest.raises(IndexError):
        merkle.inclusion_path(hashes(3), 3)
    for first in (0, 4):
        with pytest.raises(IndexError):
            merkle.consistency_path(hashes(3), first)


def test_base64_of_a_root_is_what_a_note_has() -> None:
    """The root of the empty tree, in the form in which notes show it."""
    assert base64.b64encode(merkle.EMPTY) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
