"""Groups of near-duplicates, compared with a plain definition, and what holds for any vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.acquisition import near_duplicates
from workers.acquisition.near_duplicates import group_near_duplicates

# Vectors of a few small whole numbers have many equal and nearly equal directions.
numbers = st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any), max_size=40)


def plain_groups(X: NDArray[np.float64], threshold: float, known: list[int]) -> list[int]:
    """Return the first images by the definition, one image and one cosine at a time."""
    unit = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32) if len(X) else X
    first = list(known)
    visited = [row for row in range(len(X)) if known[row] >= 0]
    for row in (row for row in range(len(X)) if known[row] < 0):
        choices = [other for other in visited if first[other] == other]
        best = max(choices, key=lambda other: float(unit[row] @ unit[other]), default=-1)
        first[row] = best if best >= 0 and float(unit[row] @ unit[best]) >= threshold else row
        visited.append(row)
    return first


@given(rows=numbers, threshold=st.sampled_from([0.601, 0.801, 0.951, 0.999]), split=st.integers(0, 40))
def test_groups_are_those_of_the_definition(rows: list[list[int]], threshold: float, split: int) -> None:
    """Also for blocks of a few images, and if the last images are imported later."""
    X = np.array(rows, float).reshape(-1, 3)
    n = len(X)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_BLOCK", "_CHUNK", "_CELL_BLOCK"):
            patch.setattr(near_duplicates, name, {"_BLOCK": 4, "_CHUNK": 3, "_CELL_BLOCK": 8}[name])
        groups = group_near_duplicates(X, threshold)
        assert same_groups(X, groups.first, plain_groups(X, threshold, [-1] * n), threshold)
        known = np.where(np.arange(n) < split, groups.first, -1)
        later = group_near_duplicates(X, threshold, known=known)
        assert (later.first == groups.first).all(), "images that come later change no group"
        by_cells = group_near_duplicates(X, threshold, exact_up_to=0)
    for found in (groups, by_cells):
        assert (found.first[found.first] == found.first).all()
        assert (found.first <= np.arange(n)).all()
        unit = X / np.linalg.norm(X, axis=1, keepdims=True)
        member = found.first != np.arange(n)
        with_first = (unit * unit[found.first]).sum(axis=1)
        assert (with_first[member] >= threshold - 1e-6).all(), "no chains"
        assert (found.cosine[member] >= threshold).all()
        assert (found.nearest[member] == found.first[member]).all()
        assert found.sizes.sum() == (np.bincount(found.first, minlength=n) ** 2).sum()


def same_groups(X: NDArray[np.float64], first: NDArray[np.int64], plain: list[int], threshold: float) -> bool:
    """Return whether the groups are equal, except for equally similar first images.

    Products of blocks and of single vectors are rounded differently.
    """
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    return all(
        one == other or abs(float(unit[row] @ unit[one] - unit[row] @ unit[other])) < 1e-6
        for row, (one, other) in enumerate(zip(first.tolist(), plain, strict=True))
    )


def test_cells_find_nearly_all_groups() -> None:
    """Of 3,000 pairs among 20,000 vectors, which are compared within cells, nearly all are found."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 64)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    X[17_000:] = X[:3_000] + rng.normal(scale=0.02, size=(3_000, 64))
    done: list[int] = []
    groups = group_near_duplicates(X.astype(np.float16), 0.95, exact_up_to=0, progress=done.append)
    assert (groups.first[17_000:] == np.arange(3_000)).mean() > 0.97
    assert (groups.first[:17_000] == np.arange(17_000)).all()
    assert done[-1] == 20_000 and done == sorted(done)
