"""The Merkle tree of RFC 6962 (section 2.1) over the records of a log, and its proofs.

A leaf is `SHA-256(00 || payload)`, a node `SHA-256(01 || left || right)`, the empty tree `SHA-256()`. `Tree` keeps only
the peaks of the perfect subtrees, so a log of any length costs at most 64 hashes of memory and can go on from them.

Standard library only and no sibling imports: the log-writer process runs this, and verify recomputes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

__all__ = [
    "EMPTY",
    "Tree",
    "consistency_path",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY: Final = sha256(b"").digest()
"""Root of the tree without leaves."""
HASH_BYTES: Final = 32


def leaf_hash(payload: bytes) -> bytes:
    """Hash of a leaf with this content."""
    return sha256(b"\0" + payload).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


def _paired(nodes: Sequence[bytes]) -> list[bytes]:
    """The nodes one level up; an even number of them."""
    return [sha256(b"\1" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=True)]


class Tree:
    """A tree that leaves are added to at the right, known by its peaks.

    Args:
        size: leaves that it has.
        peaks: hashes of its perfect subtrees, the largest (leftmost) first; one for each bit that is set in `size`.

    Raises:
        ValueError: another number of peaks than `size` needs.
    """

    __slots__ = ("_levels", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in peaks):
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks of {HASH_BYTES} bytes")
        self.size = size
        self._levels: list[bytes | None] = []
        left = list(peaks)
        for level in range(size.bit_length()):
            self._levels.append(left.pop() if size >> level & 1 else None)

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Adds leaves, given by their hashes."""
        self.size += len(leaves)
        nodes: list[bytes] = list(leaves)
        level = 0
        while nodes:
            if level == len(self._levels):
                self._levels.append(None)
            waiting = self._levels[level]
            if waiting is not None:
                nodes.insert(0, waiting)
            self._levels[level] = nodes.pop() if len(nodes) & 1 else None
            nodes = _paired(nodes)
            level += 1

    def peaks(self) -> list[bytes]:
        """Hashes of the perfect subtrees, the largest first: all that is needed to go on."""
        return [peak for peak in reversed(self._levels) if peak is not None]

    def root(self) -> bytes:
        """The root hash."""
        found: bytes | None = None
        for peak in self._levels:
            if peak is not None:
                found = peak if found is None else node_hash(peak, found)
        return EMPTY if found is None else found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes."""
    tree = Tree()
    tree.extend(leaves)
    return tree.root()


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """PATH(index, D[n]): the hashes that lead from a leaf to the root, from the bottom up.

    `leaves` may also be the roots of aligned subtrees of one size (the last may be smaller): the path begins there.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} in a tree of {len(leaves)}")
    path: list[bytes] = []
    begin, end = 0, len(leaves)
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[begin:middle]))
            begin = middle
    return path[::-1]


def consistency_path(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """PROOF(first, D[n]): the hashes that show that the tree of the first `first` leaves is the start of this one.

    Raises:
        IndexError: `first` is not between 1 and the number of leaves.
    """
    if not 0 < first <= len(leaves):
        raise IndexError(f"a consistency proof begins at 1 to {len(leaves)} leaves, not {first}")
    path: list[bytes] = []
    begin, end, whole = 0, len(leaves), True
    while first < end:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[begin:middle]))
            begin, whole = middle, False
    if not whole:
        path.append(root_of(leaves[begin:end]))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path shows that the leaf with this hash is number `index` of a tree of `size` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for other in path:
        if not last or len(other) != HASH_BYTES:
            return False
        if at & 1 or at == last:
            found = node_hash(other, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, other)
        at, last = at >> 1, last >> 1
    return not last and found == root


def verify_consistency(first: int, second: int, path: Sequence[bytes], old: bytes, new: bytes) -> bool:
    """Whether the path shows that a tree of `first` leaves grew into one of `second` (RFC 9162, 2.1.4.2)."""
    if first == second:
        return not path and old == new
    if not 0 < first < second or not path or any(len(item) != HASH_BYTES for item in path):
        return False
    hashes = [old, *path] if not first & (first - 1) else list(path)
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    found_old = found_new = hashes[0]
    for other in hashes[1:]:
        if not last:
            return False
        if at & 1 or at == last:
            found_old, found_new = node_hash(other, found_old), node_hash(other, found_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found_new = node_hash(found_new, other)
        at, last = at >> 1, last >> 1
    return not last and found_old == old and found_new == new
