"""Merkle trees and canonical JSON, compared with the RFCs and another implementation."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from verification import merkle
from verification.canonical import canonical

SIZES = st.integers(1, 70)


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(n).encode()) for n in range(count)]


def root_by_definition(hashes: list[bytes]) -> bytes:
    """Return the root as section 2.1.1 defines it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else merkle.EMPTY
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return merkle.node_hash(root_by_definition(hashes[:split]), root_by_definition(hashes[split:]))


@given(count=st.integers(0, 70))
def test_root_equals_the_definition(count: int) -> None:
    assert merkle.root_of(leaves(count)) == root_by_definition(leaves(count))


@given(count=SIZES, data=st.data())
def test_inclusion_proof_holds_for_its_leaf_only(count: int, data: st.DataObject) -> None:
    hashes, index = leaves(count), data.draw(st.integers(0, count - 1))
    root, proof = merkle.root_of(hashes), merkle.inclusion_proof(hashes, index)
    assert merkle.is_included(hashes[index], index, count, proof, root)
    assert not merkle.is_included(merkle.leaf_hash(b"other"), index, count, proof, root)
    assert not merkle.is_included(hashes[index], index + 1, count, proof, root)
    assert not merkle.is_included(hashes[index], index, count, [*proof, root], root)


@given(count=SIZES, data=st.data())
def test_consistency_proof_holds_for_its_roots_only(count: int, data: st.DataObject) -> None:
    hashes, first = leaves(count), data.draw(st.integers(1, count))
    roots = merkle.root_of(hashes[:first]), merkle.root_of(hashes)
    proof = merkle.consistency_proof(hashes, first)
    assert merkle.is_consistent(first, count, roots, proof)
    changed = merkle.root_of([merkle.leaf_hash(b"other"), *hashes[1:first]])
    assert not merkle.is_consistent(first, count, (changed, roots[1]), proof)
    assert not merkle.is_consistent(first, count, roots, [*proof, roots[0]])


@given(count=SIZES, data=st.data())
def test_subtrees_replace_their_leaves(count: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    hashes, tree = leaves(count), merkle.Tree()
    for leaf in hashes[:start]:
        tree.add(leaf)
    for position, level in merkle.subtrees(start, stop):
        tree.add(merkle.root_of(hashes[position : position + (1 << level)]), level)
    for leaf in hashes[stop:]:
        tree.add(leaf)
    assert (tree.size, tree.root()) == (count, merkle.root_of(hashes))
    assert merkle.Tree(tree.size, tree.peaks).root() == tree.root()


def test_subtree_at_an_invalid_position_is_refused() -> None:
    tree = merkle.Tree()
    tree.add(leaves(1)[0])
    with pytest.raises(ValueError, match="multiple"):
        tree.add(leaves(1)[0], 1)


NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(value=VALUES)
def test_canonical_json_follows_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", {"a": [2**60]}])
def test_values_without_canonical_json_are_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)
