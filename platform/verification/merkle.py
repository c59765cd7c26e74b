"""Merkle trees of RFC 9162, section 2.1: roots, inclusion proofs and consistency proofs.

A tree of n leaves splits at the largest power of two below n. Hashes are SHA-256. The input of a leaf hash
starts with 0x00 and that of a node hash with 0x01, so a node cannot be mistaken for a leaf.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf with this content."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over two hashes."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows at its right end by leaves or whole subtrees. It stores one hash per level."""

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        """Create an empty tree, or continue a tree from its size and peaks."""
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> list[bytes]:
        """The roots of the complete subtrees that make up the tree, the largest first."""
        return list(self._peaks)

    def add(self, leaf: bytes, level: int = 0) -> None:
        """Append the hash of a leaf, or of a complete subtree of 2**level leaves.

        Raises ValueError if the size of the tree is not a multiple of the size of the subtree.
        """
        if self.size % (1 << level):
            raise ValueError("A subtree begins at a multiple of its size.")
        before = self.size >> level
        self.size += 1 << level
        while before & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            before >>= 1
        self._peaks.append(leaf)

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over hashes of leaves."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def subtrees(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield (start, level) of the largest complete subtrees that cover the leaves start … stop - 1."""
    while start < stop:
        level = (start & -start).bit_length() - 1 if start else (stop - start).bit_length() - 1
        while start + (1 << level) > stop:
            level -= 1
        yield start, level
        start += 1 << level


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root over `leaves`.

    Source: RFC 9162, section 2.1.3.1. Raises IndexError if there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root_of(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split])]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the proof leads from the leaf to the root of a tree of `size` leaves.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    node, last, computed = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(step, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, step)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """Return the hashes that show that the first `size` leaves are a beginning of `leaves`.

    Source: RFC 9162, section 2.1.4.1. Raises IndexError if `size` is not between 1 and the number of leaves.
    """
    if not 0 < size <= len(leaves):
        raise IndexError(size)
    return _consistency(leaves, size, whole=True)


def _consistency(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = _split(len(leaves))
    if size <= split:
        return [*_consistency(leaves[:split], size, whole=whole), root_of(leaves[split:])]
    return [*_consistency(leaves[split:], size - split, whole=False), root_of(leaves[:split])]


def is_consistent(first: int, second: int, roots: tuple[bytes, bytes], proof: Sequence[bytes]) -> bool:
    """Return whether the tree of `first` leaves is a beginning of the tree of `second` leaves.

    Source: RFC 9162, section 2.1.4.2.
    """
    older, newer = roots
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and older == newer
    steps = list(proof)
    if first & (first - 1) == 0:  # the root of a complete tree is the first step of the proof
        steps.insert(0, older)
    if not steps:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    older_root = newer_root = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            older_root, newer_root = node_hash(step, older_root), node_hash(step, newer_root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            newer_root = node_hash(newer_root, step)
        node, last = node >> 1, last >> 1
    return last == 0 and older_root == older and newer_root == newer


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
