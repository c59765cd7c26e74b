"""k-centre and TypiClust: who is asked when only the places of the images count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.acquisition import k_center as k_center_module
from workers.acquisition import typiclust as typiclust_module
from workers.acquisition.k_center import k_center
from workers.acquisition.stand_in import stand_in
from workers.acquisition.typiclust import typicality, typiclust

SAMPLERS = {"k_center": k_center, "typiclust": typiclust}


@given(
    name=st.sampled_from(sorted(SAMPLERS)),
    n=st.integers(0, 60),
    kinds=st.integers(1, 60),
    k=st.integers(0, 70),
    share=st.floats(0, 1),
    seed=st.integers(0, 999),
)
@settings(max_examples=80, deadline=None)
def test_each_row_once_only_candidates_the_same_for_a_seed(name, n, kinds, k, share, seed) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(kinds, 5))[np.arange(n) % kinds].astype(np.float16)  # many copies when kinds are few
    asked = rng.random(n) < share
    candidates, covered = np.flatnonzero(~asked), np.flatnonzero(asked)
    found = SAMPLERS[name](X, candidates, k, covered=covered, seed=seed)
    assert len(found) == min(k, len(candidates)) == len(np.unique(found))
    assert np.isin(found, candidates).all()
    assert found.tolist() == SAMPLERS[name](X, candidates, k, covered=covered, seed=seed).tolist()


@given(n=st.integers(0, 50), at_most=st.integers(0, 60), seed=st.integers(0, 99))
def test_stand_in_is_a_sample_without_replacement(n, at_most, seed) -> None:
    rows = np.arange(n) * 3
    found = stand_in(rows, at_most, np.random.default_rng(seed))
    assert len(found) == min(n, at_most) == len(np.unique(found))
    assert np.isin(found, rows).all()
    assert (np.diff(found) > 0).all()


def test_k_center_by_hand() -> None:
    X = np.array([[0.0], [1.0], [2.0], [9.0], [10.0]])
    everyone = np.arange(5)
    # nearest to the mean 4.4 is 2; then 10 (8 away), then 0 (2 away, before 1 and 9 at a distance of 1)
    assert k_center(X, everyone, 5, seed=0).tolist()[:3] == [2, 4, 0]
    assert k_center(X, everyone, 2, covered=np.array([0]), seed=0).tolist()[0] == 4
    # 4 and 0 covered: 2 is two away from either end of its gap
    assert k_center(X, np.array([1, 2, 3]), 1, covered=np.array([0, 4]), seed=0).tolist() == [2]


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_k_center_leaves_no_more_than_it_must(n: int, k: int, seed: int) -> None:
    """Greedy's property behind its bound: no image left is farther from the chosen than the chosen are apart."""
    X = np.random.default_rng(seed).normal(size=(n, 3))
    chosen = k_center(X, np.arange(n), k, seed=seed)
    apart = np.linalg.norm(X[chosen][:, None] - X[chosen][None], axis=2)
    left = np.linalg.norm(X[:, None] - X[chosen][None], axis=2).min(axis=1).max()
    if len(chosen) > 1:
        assert left <= apart[np.triu_indices(len(chosen), 1)].min() + 1e-4


def test_k_center_in_a_narrow_cone_still_sees_differences() -> None:
    X = np.full((50, 8), 1.0, np.float32)
    X[:, 0] += np.linspace(0, 1e-3, 50)
    assert set(k_center(X, np.arange(50), 3, seed=0)[1:]) == {0, 49}


def test_typicality_by_hand() -> None:
    V = np.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(typicality(V, 1), [1.0, 1.0, 0.5])
    np.testing.assert_allclose(typicality(V, 20), [0.5, 1 / 1.5, 0.4])
    assert typicality(V[:1], 20).tolist() == [0.0]


def test_typicality_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    V = np.random.default_rng(0).normal(size=(40, 4))
    whole = typicality(V, 5)
    monkeypatch.setattr(typiclust_module, "_BLOCK", 7)
    np.testing.assert_allclose(typicality(V, 5), whole)


def blobs(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return (np.eye(8)[owner] * 10 + rng.normal(size=(len(owner), 8)) * 0.3).astype(np.float32), owner


def test_typiclust_asks_the_middle_of_each_blob_largest_first() -> None:
    X, owner = blobs([60, 30, 10])
    found = typiclust(X, np.arange(len(X)), 3, seed=0)
    assert owner[found].tolist() == [0, 1, 2]
    for row in found:
        mine = X[owner == owner[row]]
        far = np.linalg.norm(mine - mine.mean(axis=0), axis=1)
        assert np.linalg.norm(X[row] - mine.mean(axis=0)) < np.median(far)


def test_typiclust_goes_where_nobody_asked() -> None:
    X, owner = blobs([60, 30, 10])
    covered = np.flatnonzero(owner == 0)[:2]
    rest = np.setdiff1d(np.arange(len(X)), covered)
    found = typiclust(X, rest, 2, covered=covered, seed=0, clusters=3)
    assert owner[found].tolist() == [1, 2]


def test_clusters_too_small_to_judge_come_last() -> None:
    X, owner = blobs([40, 40, 3])
    found = typiclust(X, np.arange(len(X)), 20, seed=0, clusters=3)
    assert not (owner[found] == 2).any()
    assert (owner[typiclust(X, np.arange(len(X)), 83, seed=0, clusters=3)[-3:]] == 2).all()


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_large_pool_is_represented_by_a_seeded_sample(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (k_center_module, typiclust_module):
        monkeypatch.setattr(module, "CANDIDATES", 50)
        monkeypatch.setattr(module, "COVERED", 20)
    X = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32)
    candidates, covered = np.arange(1500), np.arange(1500, 2000)
    draws = [SAMPLERS[name](X, candidates, 10, covered=covered, seed=s).tolist() for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == 10
    assert max(draws[0]) < 1500
