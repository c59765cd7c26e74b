"""k-center and TypiClust: choices by embeddings alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.acquisition import k_center as k_center_module
from workers.acquisition import typiclust as typiclust_module
from workers.acquisition.k_center import k_center
from workers.acquisition.sampling import sample_rows
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
def test_rows_are_distinct_candidates_and_repeatable(name, n, kinds, k, share, seed) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(kinds, 5))[np.arange(n) % kinds].astype(np.float16)  # with copies
    is_covered = rng.random(n) < share
    candidates, covered = np.flatnonzero(~is_covered), np.flatnonzero(is_covered)
    chosen = SAMPLERS[name](X, candidates, k, covered=covered, seed=seed)
    assert len(chosen) == min(k, len(candidates)) == len(np.unique(chosen))
    assert np.isin(chosen, candidates).all()
    assert chosen.tolist() == SAMPLERS[name](X, candidates, k, covered=covered, seed=seed).tolist()


@given(n=st.integers(0, 50), at_most=st.integers(0, 60), seed=st.integers(0, 99))
def test_sample_rows_draws_without_replacement(n, at_most, seed) -> None:
    rows = np.arange(n) * 3
    chosen = sample_rows(rows, at_most, np.random.default_rng(seed))
    assert len(chosen) == min(n, at_most) == len(np.unique(chosen))
    assert np.isin(chosen, rows).all()
    assert (np.diff(chosen) > 0).all()


def test_k_center_by_hand() -> None:
    X = np.array([[0.0], [1.0], [2.0], [9.0], [10.0]])
    candidates = np.arange(5)
    # nearest to the mean 4.4 is 2; then 10 (8 away), then 0 (2 away, before 1 and 9 at a distance of 1)
    assert k_center(X, candidates, 5, seed=0).tolist()[:3] == [2, 4, 0]
    assert k_center(X, candidates, 2, covered=np.array([0]), seed=0).tolist()[0] == 4
    # 4 and 0 covered: 2 is two away from either end of its gap
    assert k_center(X, np.array([1, 2, 3]), 1, covered=np.array([0, 4]), seed=0).tolist() == [2]


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_k_center_covers_as_well_as_the_greedy_bound(n: int, k: int, seed: int) -> None:
    """No image is farther from the chosen images than those are from each other."""
    X = np.random.default_rng(seed).normal(size=(n, 3))
    chosen = k_center(X, np.arange(n), k, seed=seed)
    distance = np.linalg.norm(X[chosen][:, None] - X[chosen][None], axis=2)
    farthest = np.linalg.norm(X[:, None] - X[chosen][None], axis=2).min(axis=1).max()
    if len(chosen) > 1:
        assert farthest <= distance[np.triu_indices(len(chosen), 1)].min() + 1e-4


def test_k_center_with_a_large_common_component() -> None:
    X = np.full((50, 8), 1.0, np.float32)
    X[:, 0] += np.linspace(0, 1e-3, 50)
    assert set(k_center(X, np.arange(50), 3, seed=0)[1:]) == {0, 49}


def test_typicality_by_hand() -> None:
    V = np.array([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(typicality(V, 1), [1.0, 1.0, 0.5])
    np.testing.assert_allclose(typicality(V, 20), [0.5, 1 / 1.5, 0.4])
    assert typicality(V[:1], 20).tolist() == [0.0]


def test_typicality_does_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    V = np.random.default_rng(0).normal(size=(40, 4))
    whole = typicality(V, 5)
    monkeypatch.setattr(typiclust_module, "_BLOCK", 7)
    np.testing.assert_allclose(typicality(V, 5), whole)


def blobs(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    blob_of = np.repeat(np.arange(len(sizes)), sizes)
    return (np.eye(8)[blob_of] * 10 + rng.normal(size=(len(blob_of), 8)) * 0.3).astype(np.float32), blob_of


def test_typiclust_chooses_central_images_of_the_largest_blobs_first() -> None:
    X, blob_of = blobs([60, 30, 10])
    chosen = typiclust(X, np.arange(len(X)), 3, seed=0)
    assert blob_of[chosen].tolist() == [0, 1, 2]
    for row in chosen:
        members = X[blob_of == blob_of[row]]
        distance = np.linalg.norm(members - members.mean(axis=0), axis=1)
        assert np.linalg.norm(X[row] - members.mean(axis=0)) < np.median(distance)


def test_typiclust_prefers_clusters_without_labels() -> None:
    X, blob_of = blobs([60, 30, 10])
    covered = np.flatnonzero(blob_of == 0)[:2]
    rest = np.setdiff1d(np.arange(len(X)), covered)
    chosen = typiclust(X, rest, 2, covered=covered, seed=0, clusters=3)
    assert blob_of[chosen].tolist() == [1, 2]


def test_small_clusters_come_last() -> None:
    X, blob_of = blobs([40, 40, 3])
    chosen = typiclust(X, np.arange(len(X)), 20, seed=0, clusters=3)
    assert not (blob_of[chosen] == 2).any()
    assert (blob_of[typiclust(X, np.arange(len(X)), 83, seed=0, clusters=3)[-3:]] == 2).all()


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_large_pools_are_sampled_by_the_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (k_center_module, typiclust_module):
        monkeypatch.setattr(module, "MAX_CANDIDATES", 50)
        monkeypatch.setattr(module, "MAX_COVERED", 20)
    X = np.random.default_rng(0).normal(size=(2000, 4)).astype(np.float32)
    candidates, covered = np.arange(1500), np.arange(1500, 2000)
    draws = [SAMPLERS[name](X, candidates, 10, covered=covered, seed=s).tolist() for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert len(set(draws[0])) == 10
    assert max(draws[0]) < 1500
